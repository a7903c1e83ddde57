//! Labels that can only take values known when the program is built.

/// One dimension of a metric. Its values are `&'static str`: unbounded text does not fit through.
pub trait Label: Copy + 'static {
    /// Name of the label, lower snake case.
    const NAME: &'static str;

    /// The value of this label.
    fn value(self) -> &'static str;
}

/// The labels of one metric: `()`, one [`Label`], or a tuple of up to five.
pub trait LabelSet: Copy + 'static {
    /// Names in the order of the values.
    const NAMES: &'static [&'static str];

    /// An array of as many values as there are names.
    type Values: AsRef<[&'static str]>;

    /// The values in the order of the names.
    fn values(self) -> Self::Values;
}

impl LabelSet for () {
    const NAMES: &'static [&'static str] = &[];
    type Values = [&'static str; 0];

    fn values(self) -> Self::Values {
        []
    }
}

impl<L: Label> LabelSet for L {
    const NAMES: &'static [&'static str] = &[L::NAME];
    type Values = [&'static str; 1];

    fn values(self) -> Self::Values {
        [self.value()]
    }
}

macro_rules! label_tuple {
    ($count:literal: $($name:ident $index:tt),+) => {
        impl<$($name: Label),+> LabelSet for ($($name,)+) {
            const NAMES: &'static [&'static str] = &[$($name::NAME),+];
            type Values = [&'static str; $count];

            fn values(self) -> Self::Values {
                [$(self.$index.value()),+]
            }
        }
    };
}

label_tuple!(2: A 0, B 1);
label_tuple!(3: A 0, B 1, C 2);
label_tuple!(4: A 0, B 1, C 2, D 3);
label_tuple!(5: A 0, B 1, C 2, D 3, E 4);

/// Declares a closed set of label values: an enum with `ALL`, `as_str` and [`Label`].
///
/// ```
/// voice_telemetry::labels! {
///     /// How a batch ended.
///     pub enum Outcome: "outcome" { Written = "written", Rejected = "rejected" }
/// }
/// assert_eq!(Outcome::Written.as_str(), "written");
/// assert_eq!(Outcome::ALL.len(), 2);
/// ```
#[macro_export]
macro_rules! labels {
    ($(#[$meta:meta])* $vis:vis enum $name:ident: $label:literal {
        $($(#[$variant_meta:meta])* $variant:ident = $value:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $(
                #[doc = concat!("`", $value, "`")]
                $(#[$variant_meta])*
                $variant,
            )+
        }

        #[allow(dead_code, reason = "not every label needs every accessor")]
        impl $name {
            /// Every value.
            $vis const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value as it appears in metrics and logs.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $value),+ }
            }
        }

        impl $crate::Label for $name {
            const NAME: &'static str = $label;

            fn value(self) -> &'static str {
                self.as_str()
            }
        }
    };
}
