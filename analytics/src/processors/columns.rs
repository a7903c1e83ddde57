//! Rows of a table as named columns, declared once.

/// Defines a struct of columns, each under the name and in the order of its table. One of them is `_offset`.
macro_rules! columns {
    ($(#[$doc:meta])* $name:ident: $($field:ident: $type:ty = $make:expr),+ $(,)?) => {
        $(#[$doc])*
        pub struct $name { $($field: $type,)+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $make,)+ }
            }
        }

        impl ::voice_clickhouse::block::Columns for $name {
            fn each(&self, visit: &mut dyn FnMut(&'static str, &dyn ::voice_clickhouse::block::Column)) {
                $(visit(stringify!($field), &self.$field);)+
            }

            fn len(&self) -> usize {
                self._offset.values().len()
            }
        }

        impl $name {
            /// Forgets all rows and keeps the memory.
            pub fn clear(&mut self) {
                use ::voice_clickhouse::block::Column as _;
                $(self.$field.clear();)+
            }

            /// The offset of the row at `position`.
            #[must_use]
            pub fn offset(&self, position: usize) -> Option<u64> {
                self._offset.values().get(position).copied()
            }
        }
    };
}
pub(super) use columns;
