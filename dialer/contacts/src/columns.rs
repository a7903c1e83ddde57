//! Which column of a file is what.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::Numbers;

/// Files with more columns are not lists of people.
const MOST_COLUMNS: usize = 500;

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $wire:literal: $($name:literal)*,)+) => {
        /// What a column holds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $($(#[$doc])* $variant,)+
        }

        impl Field {
            /// Its name in mappings.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire,)+ }
            }

            fn named(wire: &str) -> Option<Self> {
                match wire { $($wire => Some(Self::$variant),)+ _ => None }
            }

            /// What a heading means in English, Czech or Spanish; `heading` is folded by [`fold`].
            fn of_heading(heading: &str) -> Option<Self> {
                $(if [$($name,)* ""].contains(&heading) && !heading.is_empty() { return Some(Self::$variant); })+
                None
            }
        }
    };
}

fields! {
    /// Phone numbers. There may be several such columns; the first number is the primary one.
    Phone = "phone": "phone" "phonenumber" "phoneno" "telephone" "telephonenumber" "tel" "telno" "telnumber" "mobile"
        "mobilephone" "mobilenumber" "cell" "cellphone" "msisdn" "e164" "primaryphone" "workphone" "homephone"
        "telefon" "telefonnicislo" "telefonicislo" "telcislo" "cislotelefonu" "mobil" "mobilnicislo" "mobilnitelefon"
        "gsm" "telefono" "telefonos" "numerodetelefono" "numtelefono" "movil" "telefonomovil" "telefonofijo" "celular",
    /// What the customer's own systems call the person.
    ExternalId = "external_id": "externalid" "extid" "id" "customerid" "clientid" "contactid" "crmid" "recordid"
        "idzakaznika" "zakaznikid" "cislozakaznika" "idklienta" "cisloklienta" "idcliente" "clienteid" "idexterno"
        "codigocliente" "numerodecliente",
    /// Given name.
    FirstName = "first_name": "firstname" "givenname" "forename" "jmeno" "krestnijmeno" "nombre" "nombredepila",
    /// Family name.
    LastName = "last_name": "lastname" "surname" "familyname" "prijmeni" "apellido" "apellidos",
    /// The whole name in one cell; kept as it is, in the place of the given name.
    Name = "name": "name" "fullname" "contactname" "customername" "celejmeno" "jmenoaprijmeni" "prijmeniajmeno"
        "jmenoprijmeni" "nombrecompleto" "nombreyapellido" "nombreyapellidos",
    /// E-mail address.
    Email = "email": "email" "mail" "emailaddress" "emailovaadresa" "correo" "correoelectronico",
    /// Language tag.
    Locale = "locale": "locale" "lang" "language" "jazyk" "idioma" "lengua",
    /// Zone of the IANA database.
    Timezone = "timezone": "timezone" "tz" "casovepasmo" "casovazona" "zonahoraria" "husohorario",
    /// The customer's class of customers.
    Tier = "tier": "tier" "customertier" "uroven" "nivel",
    /// 0 to 100; higher is called first.
    Priority = "priority": "priority" "priorita" "prioridad",
    /// Types of consent that were given, several separated by commas or spaces.
    ConsentType = "consent_type": "consenttype" "typsouhlasu" "tipodeconsentimiento" "tipoconsentimiento",
    /// What was said to them; `granted` where the column or the cell is missing.
    ConsentStatus = "consent_status": "consentstatus" "stavsouhlasu" "estadodelconsentimiento" "estadoconsentimiento",
    /// How it was obtained.
    ConsentSource = "consent_source": "consentsource" "zdrojsouhlasu" "origendelconsentimiento" "origenconsentimiento",
    /// When: a date, or RFC 3339.
    ConsentTime = "consent_captured_at": "consentcapturedat" "consentdate" "consentat" "datumsouhlasu" "fechaconsentimiento"
        "fechadelconsentimiento",
    /// Kept among the attributes, under the heading.
    Attribute = "attribute":,
    /// Left out.
    Ignore = "ignore":,
}

impl FromStr for Field {
    type Err = PlanError;

    fn from_str(name: &str) -> Result<Self, PlanError> {
        Self::named(name).ok_or_else(|| PlanError::NoSuchField(name.to_owned()))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Field {
    const fn may_repeat(self) -> bool {
        matches!(self, Self::Phone | Self::Attribute | Self::Ignore)
    }
}

/// A column told by hand: `heading=field`, or `#3=field` by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The heading, or `#` and the position from 1.
    pub column: String,
    /// What it holds.
    pub field: Field,
}

impl FromStr for Told {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let (column, field) = text
            .rsplit_once('=')
            .ok_or_else(|| PlanError::NotAMapping(text.to_owned()))?;
        let (column, field) = (column.trim().to_owned(), field.trim().parse()?);
        Ok(Self { column, field })
    }
}

/// One column of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its heading, or `column_3` where the file has none.
    #[serde(rename = "column")]
    pub name: String,
    /// What it holds.
    #[serde(serialize_with = "field_name")]
    pub field: Field,
}

fn field_name<S: serde::Serializer>(field: &Field, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(field.as_str())
}

/// All columns, and whether the first row names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// In the order of the file.
    pub columns: Vec<Column>,
    /// The first row is a heading and not a person.
    pub has_header: bool,
}

/// Why the columns of a file make no list of people.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// A mapping is `heading=field`.
    #[error("`{0}` is not a mapping: write heading=field, or #3=field for the third column")]
    NotAMapping(String),
    /// Not a field.
    #[error(
        "no field is called `{0}`: use phone, external_id, first_name, last_name, name, email, locale, timezone, tier, \
         priority, consent_type, consent_status, consent_source, consent_captured_at, attribute or ignore"
    )]
    NoSuchField(String),
    /// A mapping names a column the file does not have.
    #[error("the file has no column `{column}`; its columns are: {columns}")]
    NoSuchColumn {
        /// As it was given.
        column: String,
        /// Those there are.
        columns: String,
    },
    /// Nobody could be called.
    #[error(
        "no column holds phone numbers; name it with --mapping heading=phone. The columns are: {columns}"
    )]
    NoPhone {
        /// Those there are.
        columns: String,
    },
    /// Two columns for a field that has one place.
    #[error("`{first}` and `{second}` both hold {field}; say which with --mapping")]
    Twice {
        /// The field.
        field: Field,
        /// One column.
        first: String,
        /// The other.
        second: String,
    },
    /// A consent without its time proves nothing.
    #[error(
        "consent_type is mapped, and consent_captured_at is not: a consent without its time proves nothing"
    )]
    ConsentWithoutTime,
    /// More columns than a list of people has.
    #[error("the file has {0} columns; at most 500 are read")]
    TooManyColumns(usize),
}

impl PlanError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotAMapping(_) => "mapping_malformed",
            Self::NoSuchField(_) => "field_unknown",
            Self::NoSuchColumn { .. } => "column_unknown",
            Self::NoPhone { .. } => "no_phone_column",
            Self::Twice { .. } => "column_twice",
            Self::ConsentWithoutTime => "consent_without_time",
            Self::TooManyColumns(_) => "too_many_columns",
        }
    }
}

impl Columns {
    /// Decides from the first rows of a file, and from what was told. What is told stands; a field that is
    /// told is looked for nowhere else.
    ///
    /// # Errors
    /// When nobody could be called, or two columns want one place.
    pub fn plan(rows: &[Vec<String>], told: &[Told], numbers: &Numbers) -> Result<Self, PlanError> {
        let first = rows.first().map(Vec::as_slice).unwrap_or_default();
        if first.len() > MOST_COLUMNS {
            return Err(PlanError::TooManyColumns(first.len()));
        }
        let has_header = is_header(first, told, numbers);
        let names: Vec<String> = if has_header {
            first
                .iter()
                .enumerate()
                .map(|(at, cell)| heading(cell, at))
                .collect()
        } else {
            (1..=first.len())
                .map(|position| format!("column_{position}"))
                .collect()
        };
        let mut fields = vec![None; names.len()];
        for one in told {
            let at = find(&names, &one.column).ok_or_else(|| PlanError::NoSuchColumn {
                column: one.column.clone(),
                columns: names.join(", "),
            })?;
            fields[at] = Some(one.field);
        }
        let is_told = |field: Field| told.iter().any(|one| one.field == field);
        if has_header {
            for (name, field) in names.iter().zip(&mut fields) {
                let known = Field::of_heading(&fold(name));
                *field = field.or(known.filter(|known| !is_told(*known)));
            }
        } else if !is_told(Field::Phone)
            && let Some(at) = column_of_numbers(rows, numbers).filter(|at| fields[*at].is_none())
        {
            fields[at] = Some(Field::Phone);
        }
        // "name" beside a given name is something else of the customer's.
        if fields.contains(&Some(Field::FirstName)) && !is_told(Field::Name) {
            for field in fields.iter_mut().filter(|field| **field == Some(Field::Name)) {
                *field = Some(Field::Attribute);
            }
        }
        let fields: Vec<Field> = fields
            .into_iter()
            .map(|field| field.unwrap_or(Field::Attribute))
            .collect();
        if !fields.contains(&Field::Phone) {
            return Err(PlanError::NoPhone {
                columns: names.join(", "),
            });
        }
        for (at, field) in fields.iter().enumerate().filter(|(_, field)| !field.may_repeat()) {
            if let Some(other) = fields[..at].iter().position(|other| other == field) {
                let (first, second) = (names[other].clone(), names[at].clone());
                return Err(PlanError::Twice {
                    field: *field,
                    first,
                    second,
                });
            }
        }
        if fields.contains(&Field::ConsentType) && !fields.contains(&Field::ConsentTime) {
            return Err(PlanError::ConsentWithoutTime);
        }
        let columns = unique(names)
            .into_iter()
            .zip(fields)
            .map(|(name, field)| Column { name, field });
        Ok(Self {
            columns: columns.collect(),
            has_header,
        })
    }
}

/// A first row is a heading unless it holds a phone number; a heading we know, or were told of, settles it.
fn is_header(first: &[String], told: &[Told], numbers: &Numbers) -> bool {
    let named = first.iter().any(|cell| {
        Field::of_heading(&fold(cell)).is_some() || told.iter().any(|one| same(cell, &one.column))
    });
    named
        || !first
            .iter()
            .any(|cell| numbers.cell(cell).iter().any(Result::is_ok))
}

fn same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

fn find(names: &[String], column: &str) -> Option<usize> {
    if let Some(position) = column
        .strip_prefix('#')
        .and_then(|position| position.parse::<usize>().ok())
    {
        return position.checked_sub(1).filter(|at| *at < names.len());
    }
    names.iter().position(|name| same(name, column))
}

/// The column where most cells of the sample are numbers; none when no column has them in half of its cells.
fn column_of_numbers(rows: &[Vec<String>], numbers: &Numbers) -> Option<usize> {
    let width = rows.first()?.len();
    let share = |at: usize| {
        let filled = rows
            .iter()
            .filter_map(|row| row.get(at))
            .filter(|cell| !cell.trim().is_empty());
        let (mut all, mut valid) = (0_usize, 0_usize);
        for cell in filled {
            all += 1;
            valid += usize::from(numbers.cell(cell).iter().any(Result::is_ok));
        }
        (valid * 1000).checked_div(all).unwrap_or(0)
    };
    let best = (0..width).map(|at| (share(at), width - at)).max()?;
    (best.0 >= 500).then_some(width - best.1)
}

fn heading(cell: &str, at: usize) -> String {
    let name: String = cell
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(100)
        .collect();
    if name.is_empty() {
        format!("column_{}", at + 1)
    } else {
        name
    }
}

/// Equal headings get a number, so that no attribute hides another.
fn unique(names: Vec<String>) -> Vec<String> {
    let mut taken: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let mut candidate = name.clone();
        let mut number = 2;
        while taken.contains(&candidate) {
            candidate = format!("{name}_{number}");
            number += 1;
        }
        taken.push(candidate);
    }
    taken
}

/// Small letters without accents, spaces and signs; a number at the end is dropped: `Tel. číslo 2` is `telcislo`.
fn fold(heading: &str) -> String {
    let mut folded = String::with_capacity(heading.len());
    for letter in heading.chars().flat_map(char::to_lowercase) {
        let plain = match letter {
            'á' | 'à' | 'ä' | 'â' => 'a',
            'č' | 'ç' | 'ć' => 'c',
            'ď' => 'd',
            'é' | 'ě' | 'è' | 'ë' | 'ê' => 'e',
            'í' | 'ì' | 'ï' | 'î' => 'i',
            'ľ' | 'ĺ' => 'l',
            'ň' | 'ñ' => 'n',
            'ó' | 'ò' | 'ö' | 'ô' => 'o',
            'ř' | 'ŕ' => 'r',
            'š' | 'ś' => 's',
            'ť' => 't',
            'ú' | 'ů' | 'ù' | 'ü' => 'u',
            'ý' => 'y',
            'ž' | 'ź' => 'z',
            other => other,
        };
        if plain.is_alphanumeric() {
            folded.push(plain);
        }
    }
    if folded != "e164" {
        folded.truncate(
            folded
                .trim_end_matches(|letter: char| letter.is_ascii_digit())
                .len(),
        );
    }
    folded
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use voice_telephony::PhoneTokenKey;

    use super::*;
    use crate::Region;

    fn plan(lines: &[&str], told: &[&str]) -> Result<Columns, PlanError> {
        let rows: Vec<Vec<String>> = lines
            .iter()
            .map(|line| line.split(';').map(str::to_owned).collect())
            .collect();
        let told: Vec<Told> = told.iter().map(|one| one.parse().unwrap()).collect();
        let numbers = Numbers::new(Arc::new(PhoneTokenKey::new([1; 32])), Region::parse("CZ"));
        Columns::plan(&rows, &told, &numbers)
    }

    fn fields(lines: &[&str], told: &[&str]) -> Vec<&'static str> {
        plan(lines, told)
            .unwrap()
            .columns
            .iter()
            .map(|column| column.field.as_str())
            .collect()
    }

    #[test]
    fn headings_are_known_in_three_languages() {
        for header in [
            "Phone Number;First Name;Last Name;E-mail",
            "Telefonní číslo;Jméno;Příjmení;E-mail",
            "Número de teléfono;Nombre;Apellidos;Correo electrónico",
            "TEL.;JMÉNO;PŘÍJMENÍ;MAIL",
            "Móvil;nombre;apellido;correo",
        ] {
            assert_eq!(
                fields(&[header], &[]),
                ["phone", "first_name", "last_name", "email"],
                "{header}"
            );
        }
        assert_eq!(
            fields(
                &["ID zákazníka;Telefon 1;Telefon 2;Časové pásmo;Jazyk;Barva auta"],
                &[]
            ),
            ["external_id", "phone", "phone", "timezone", "locale", "attribute"]
        );
    }

    #[test]
    fn a_whole_name_is_the_name_unless_there_are_parts() {
        assert_eq!(fields(&["name;phone"], &[]), ["name", "phone"]);
        assert_eq!(
            fields(&["name;first_name;phone"], &[]),
            ["attribute", "first_name", "phone"]
        );
    }

    #[test]
    fn what_is_told_stands_and_is_looked_for_nowhere_else() {
        assert_eq!(
            fields(
                &["phone;backup;id;ref"],
                &["backup=phone", "ref=external_id", "#1=ignore"]
            ),
            ["ignore", "phone", "attribute", "external_id"]
        );
        assert_eq!(
            fields(&["Číslo;Kdo"], &["číslo=phone", "KDO=name"]),
            ["phone", "name"]
        );
    }

    #[test]
    fn a_file_without_a_heading_shows_its_numbers() {
        let planned = plan(&["Jan;602123456", "Eva;603123456", "Petr;"], &[]).unwrap();
        assert!(!planned.has_header);
        let names: Vec<_> = planned
            .columns
            .iter()
            .map(|column| (column.name.as_str(), column.field))
            .collect();
        assert_eq!(
            names,
            [("column_1", Field::Attribute), ("column_2", Field::Phone)]
        );
        assert_eq!(fields(&["602123456;Jan"], &["#2=name"]), ["phone", "name"]);
    }

    #[test]
    fn columns_that_make_no_list_are_refused_with_the_reason() {
        let refused = |lines: &[&str], told: &[&str]| {
            let error = plan(lines, told).unwrap_err();
            (error.kind(), error.to_string())
        };
        let (kind, text) = refused(&["Kdo;Kdy", "Jan;dnes"], &[]);
        assert_eq!(kind, "no_phone_column");
        assert!(text.contains("Kdo, Kdy"), "{text}");
        assert_eq!(refused(&["phone;email;mail"], &[]).0, "column_twice");
        assert_eq!(refused(&["phone;email;email"], &[]).0, "column_twice");
        assert_eq!(refused(&["phone;a"], &["b=email"]).0, "column_unknown");
        assert_eq!(refused(&["phone;a"], &["#3=email"]).0, "column_unknown");
        assert_eq!(refused(&["phone;consent type"], &[]).0, "consent_without_time");
        assert_eq!(refused(&[&"a;".repeat(500)], &[]).0, "too_many_columns");
        assert_eq!("phone".parse::<Told>().unwrap_err().kind(), "mapping_malformed");
        assert_eq!("a=colour".parse::<Told>().unwrap_err().kind(), "field_unknown");
    }

    #[test]
    fn equal_headings_of_attributes_are_numbered() {
        let planned = plan(&["phone;note;note;;note_2"], &[]).unwrap();
        let names: Vec<_> = planned
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(names, ["phone", "note", "note_2", "column_4", "note_2_2"]);
    }
}
