//! What people write into phone columns, made into numbers that can be dialled, or refused with a reason.
//!
//! The number plans are those of Google's libphonenumber. Nothing is guessed: where a repair is not certain
//! (a lost `+`, a lost zero, digits a spreadsheet rounded away) the number is refused under a code that says
//! which repair the file needs, because the alternative is to call a stranger.

use std::sync::Arc;

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, ParseError, PhoneNumber as Parsed, PhoneNumberFormat,
    PhoneNumberType, Region as PlanRegion, ValidationError,
};
use uuid::Uuid;
use voice_telephony::{PhoneNumber, PhoneTokenKey, phone_token};

use crate::Code;

/// A country with a number plan, by its two letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region(PlanRegion);

impl Region {
    /// The country with this ISO 3166-1 code, in either case; none when there is no such number plan.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let letters = code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_alphabetic());
        let region = PlanRegion::from_code(&code.to_ascii_uppercase()).ok()?;
        let known = PHONE_NUMBER_UTIL
            .get_supported_regions()
            .any(|known| known == region);
        (letters && known).then_some(Self(region))
    }

    /// Its two letters, in upper case.
    #[must_use]
    pub fn code(self) -> String {
        self.0.as_region_str().as_str().to_owned()
    }
}

/// What the number plan says a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberKind {
    /// A line in a place.
    Fixed,
    /// A mobile.
    Mobile,
    /// Either: the plan does not tell them apart.
    FixedOrMobile,
    /// Internet telephony.
    Voip,
    /// Free for the caller.
    TollFree,
    /// A pager, a personal number, a number of a whole company.
    Other,
}

impl NumberKind {
    /// Its name in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Mobile => "mobile",
            Self::FixedOrMobile => "fixed_or_mobile",
            Self::Voip => "voip",
            Self::TollFree => "toll_free",
            Self::Other => "other",
        }
    }
}

/// A number that can be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// The number itself.
    pub e164: PhoneNumber,
    /// What stands for it everywhere else.
    pub token: Uuid,
    /// The country its plan names.
    pub region: Option<Region>,
    /// What its plan says it is.
    pub kind: NumberKind,
}

/// Reads phone cells of one tenant.
#[derive(Clone, Debug)]
pub struct Numbers {
    key: Arc<PhoneTokenKey>,
    region: Option<Region>,
}

/// The token of a number as the tables hold it: the 128 bits that events show as hexadecimal text.
#[must_use]
pub fn token(key: &PhoneTokenKey, number: &PhoneNumber) -> Uuid {
    // 32 hexadecimal characters always are a uuid.
    Uuid::parse_str(&phone_token(key, number)).unwrap_or_default()
}

impl Numbers {
    /// Numbers without `+` are numbers of `region`.
    #[must_use]
    pub fn new(key: Arc<PhoneTokenKey>, region: Option<Region>) -> Self {
        Self { key, region }
    }

    /// The region of numbers without `+`.
    #[must_use]
    pub const fn region(&self) -> Option<Region> {
        self.region
    }

    /// Every number of a cell, in its order; nothing for an empty one.
    #[must_use]
    pub fn cell(&self, cell: &str) -> Vec<Result<Number, Code>> {
        let text = clean(cell);
        if text.is_empty() {
            return Vec::new();
        }
        let whole = match self.one(&text) {
            Ok(number) => return vec![Ok(number)],
            Err(code) => code,
        };
        let parts: Vec<&str> = text
            .split(['/', ';', ',', '|', '&', '\n', '\r'])
            .flat_map(|part| part.split(" or "))
            .flat_map(|part| part.split(" nebo "))
            .filter(|part| digits(part) >= 7)
            .collect();
        if parts.len() > 1 {
            let read: Vec<Result<Number, Code>> = parts.iter().map(|part| self.one(&clean(part))).collect();
            if read.iter().any(Result::is_ok) {
                return read;
            }
        }
        vec![Err(whole)]
    }

    fn one(&self, text: &str) -> Result<Number, Code> {
        if is_scientific(text) {
            return Err(Code::PhoneScientific);
        }
        let region = self.region.map(|region| region.0);
        let parsed = match PHONE_NUMBER_UTIL.parse(text, region) {
            Ok(parsed) => parsed,
            Err(error) => return Err(self.unparsed(text, &error)),
        };
        if parsed
            .extension
            .as_deref()
            .is_some_and(|extension| !extension.is_empty())
        {
            return Err(Code::PhoneExtension);
        }
        // libphonenumber dials letters ("1-800-FLOWERS"); in a file they are a name in the wrong column.
        if text.chars().any(char::is_alphabetic) {
            return Err(Code::PhoneNotANumber);
        }
        if PHONE_NUMBER_UTIL.is_valid_number(&parsed) {
            return self.number(&parsed);
        }
        Err(self.repair(text).unwrap_or_else(|| {
            match PHONE_NUMBER_UTIL.is_possible_number_with_reason(&parsed) {
                Ok(NumberLengthType::IsPossible) => Code::PhoneNotInPlan,
                Ok(NumberLengthType::IsPossibleLocalOnly) | Err(ValidationError::TooShort) => {
                    Code::PhoneTooShort
                }
                Err(ValidationError::TooLong) => Code::PhoneTooLong,
                Err(ValidationError::InvalidLength) => Code::PhoneNotInPlan,
                Err(ValidationError::InvalidCountryCode) => Code::PhoneUnknownCountry,
            }
        }))
    }

    fn unparsed(&self, text: &str, error: &ParseError) -> Code {
        match error {
            ParseError::NotANumber(_) if text.starts_with('+') && digits(text) > 15 => Code::PhoneTooLong,
            ParseError::NotANumber(_) => Code::PhoneNotANumber,
            ParseError::InvalidCountryCode if text.starts_with('+') => Code::PhoneUnknownCountry,
            ParseError::InvalidCountryCode if text.chars().any(char::is_alphabetic) => Code::PhoneNotANumber,
            ParseError::InvalidCountryCode if self.region.is_none() => Code::PhoneNoRegion,
            ParseError::InvalidCountryCode => Code::PhoneUnknownCountry,
            ParseError::TooShortAfterIdd | ParseError::TooShortNsn => Code::PhoneTooShort,
            ParseError::TooLongNsn => self.repair(text).unwrap_or(Code::PhoneTooLong),
        }
    }

    /// Which lost character would make a number of it.
    fn repair(&self, text: &str) -> Option<Code> {
        if text.starts_with('+') {
            return None;
        }
        let valid = |text: String| {
            let region = self.region.map(|region| region.0);
            PHONE_NUMBER_UTIL
                .parse(text, region)
                .is_ok_and(|parsed| PHONE_NUMBER_UTIL.is_valid_number(&parsed))
        };
        if !text.starts_with('0') && valid(format!("0{text}")) {
            return Some(Code::PhoneLostZero);
        }
        valid(format!("+{text}")).then_some(Code::PhoneLostPlus)
    }

    fn number(&self, parsed: &Parsed) -> Result<Number, Code> {
        let kind = match PHONE_NUMBER_UTIL.get_number_type(parsed) {
            PhoneNumberType::PremiumRate | PhoneNumberType::SharedCost => return Err(Code::PhonePremiumRate),
            PhoneNumberType::FixedLine => NumberKind::Fixed,
            PhoneNumberType::Mobile => NumberKind::Mobile,
            PhoneNumberType::FixedLineOrMobile => NumberKind::FixedOrMobile,
            PhoneNumberType::VoIP => NumberKind::Voip,
            PhoneNumberType::TollFree => NumberKind::TollFree,
            PhoneNumberType::PersonalNumber
            | PhoneNumberType::Pager
            | PhoneNumberType::UAN
            | PhoneNumberType::VoiceMail
            | PhoneNumberType::Unknown => NumberKind::Other,
        };
        let text = PHONE_NUMBER_UTIL.format(parsed, PhoneNumberFormat::E164);
        // A few plans have numbers longer than E.164 allows; no carrier takes them.
        let e164 = PhoneNumber::parse(&text).ok_or(Code::PhoneTooLong)?;
        let region = PHONE_NUMBER_UTIL.get_region_for_number(parsed).map(Region);
        Ok(Number {
            token: token(&self.key, &e164),
            e164,
            region: region.filter(|region| region.code().bytes().all(|letter| letter.is_ascii_uppercase())),
            kind,
        })
    }
}

fn digits(text: &str) -> usize {
    text.chars().filter(|letter| letter.is_numeric()).count()
}

/// Takes off what spreadsheets and people put around a number: invisible characters, `'`, `="…"`, `Tel.:`,
/// and the `.0` of a number that was once a float.
fn clean(cell: &str) -> String {
    let visible: String = cell
        .chars()
        .filter(|letter| !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}'))
        .collect();
    let mut text = visible.trim();
    if let Some(inner) = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')) {
        text = inner.trim();
    }
    text = text.trim_start_matches(['\'', '’', '`']).trim_start();
    let label_end = text
        .find(|letter: char| letter.is_numeric() || letter == '+' || letter == '(')
        .unwrap_or(0);
    let label = text[..label_end]
        .trim()
        .trim_end_matches([':', '.', ' '])
        .to_lowercase();
    const LABELS: [&str; 12] = [
        "tel",
        "telefon",
        "teléfono",
        "telefono",
        "phone",
        "mob",
        "mobil",
        "mobile",
        "móvil",
        "gsm",
        "t",
        "m",
    ];
    if LABELS.contains(&label.as_str()) {
        text = &text[label_end..];
    }
    if let Some((whole, fraction)) = text.rsplit_once(['.', ',']) {
        let only =
            |part: &str, wanted: fn(&u8) -> bool| !part.is_empty() && part.as_bytes().iter().all(wanted);
        let plain = whole.strip_prefix('+').unwrap_or(whole);
        if plain.len() >= 7
            && only(plain, u8::is_ascii_digit)
            && fraction.len() <= 2
            && only(fraction, |byte| *byte == b'0')
        {
            text = whole;
        }
    }
    text.to_owned()
}

/// `4.20602E+11`, with a comma as well.
fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return false;
    };
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let mantissa = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = mantissa.splitn(2, ['.', ',']);
    number(exponent)
        && exponent.len() <= 3
        && parts.next().is_some_and(number)
        && parts.next().is_none_or(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(region: &str) -> Numbers {
        Numbers::new(Arc::new(PhoneTokenKey::new([1; 32])), Region::parse(region))
    }

    fn read(region: &str, cell: &str) -> Vec<Result<String, Code>> {
        let numbers = numbers(region).cell(cell);
        numbers
            .into_iter()
            .map(|one| one.map(|number| number.e164.expose().to_owned()))
            .collect()
    }

    #[test]
    fn the_ways_people_write_a_number_become_one_number() {
        for (region, cell) in [
            ("CZ", "602123456"),
            ("CZ", "602 123 456"),
            ("CZ", "+420602123456"),
            ("CZ", "+420 602-123-456"),
            ("CZ", "(+420) 602 123 456"),
            ("CZ", "00420602123456"),
            ("CZ", "420602123456"),
            ("CZ", "420602123456.0"),
            ("CZ", "602123456,00"),
            ("CZ", "'602123456"),
            ("CZ", "=\"602123456\""),
            ("CZ", "\u{feff}\u{a0}602\u{a0}123\u{a0}456\u{202c}"),
            ("CZ", "Tel.: 602 123 456"),
            ("CZ", "tel:+420602123456"),
            ("CZ", "６０２１２３４５６"),
            ("DE", "+420602123456"),
            ("DE", "00420 602 123 456"),
            ("", "+420602123456"),
        ] {
            assert_eq!(
                read(region, cell),
                [Ok("+420602123456".to_owned())],
                "{region} {cell}"
            );
        }
        // A national prefix a spreadsheet took for a leading zero is not missed by the plan.
        assert_eq!(read("GB", "7911123456"), [Ok("+447911123456".to_owned())]);
        assert_eq!(read("US", "(415) 555-2671"), [Ok("+14155552671".to_owned())]);
        assert_eq!(read("ES", "612 34 56 78"), [Ok("+34612345678".to_owned())]);
    }

    #[test]
    fn what_is_not_a_number_says_why() {
        for (region, cell, code) in [
            ("CZ", "n/a", Code::PhoneNotANumber),
            ("CZ", "-", Code::PhoneNotANumber),
            ("CZ", "Jan Novák", Code::PhoneNotANumber),
            ("CZ", "jan@example.com", Code::PhoneNotANumber),
            ("CZ", "zavolat 602123456", Code::PhoneNotANumber),
            ("US", "1-800-FLOWERS", Code::PhoneNotANumber),
            ("CZ", "4.20602E+11", Code::PhoneScientific),
            ("CZ", "4,2E+11", Code::PhoneScientific),
            ("CZ", "4E11", Code::PhoneScientific),
            ("CZ", "60212345", Code::PhoneTooShort),
            ("CZ", "112", Code::PhoneTooShort),
            ("CZ", "+4206021234567890", Code::PhoneTooLong),
            ("CZ", "+999123456789", Code::PhoneUnknownCountry),
            ("CZ", "999999999", Code::PhoneNotInPlan),
            ("CZ", "34612345678", Code::PhoneLostPlus),
            ("IT", "612345678", Code::PhoneLostZero),
            ("", "602123456", Code::PhoneNoRegion),
            ("CZ", "602123456 ext. 12", Code::PhoneExtension),
            ("US", "415-555-2671 x123", Code::PhoneExtension),
            ("CZ", "900123456", Code::PhonePremiumRate),
        ] {
            assert_eq!(read(region, cell), [Err(code)], "{region} {cell}");
        }
        assert_eq!(read("CZ", " \u{a0}\u{200b} "), []);
    }

    #[test]
    fn several_numbers_in_a_cell_are_several_numbers() {
        let both = [Ok("+420602123456".to_owned()), Ok("+420603123456".to_owned())];
        for cell in [
            "602123456/603123456",
            "602 123 456 / 603 123 456",
            "602123456;603123456",
            "602 123 456, 603 123 456",
            "602123456\n603123456",
            "602123456 nebo 603123456",
            "tel. 602123456, mob. 603123456",
        ] {
            assert_eq!(read("CZ", cell), both, "{cell}");
        }
        assert_eq!(
            read("CZ", "602123456 / 60312345"),
            [Ok("+420602123456".to_owned()), Err(Code::PhoneTooShort)]
        );
    }

    #[test]
    fn the_plan_says_where_and_what_a_number_is() {
        let one = |cell: &str| numbers("CZ").cell(cell).remove(0).unwrap();
        let mobile = one("602123456");
        assert_eq!(
            (mobile.kind, mobile.region),
            (NumberKind::Mobile, Region::parse("cz"))
        );
        assert_eq!(one("224123456").kind, NumberKind::Fixed);
        assert_eq!(one("+14155552671").kind, NumberKind::FixedOrMobile);
        // An international freephone number is of no country.
        assert_eq!(one("+80012345678").region, None);
    }

    #[test]
    fn a_token_in_a_table_is_the_token_of_the_events() {
        let key = PhoneTokenKey::new([1; 32]);
        let number = PhoneNumber::parse("+14155550100").unwrap();
        assert_eq!(
            token(&key, &number).simple().to_string(),
            phone_token(&key, &number)
        );
    }

    #[test]
    fn a_region_is_two_letters_of_a_country_with_a_plan() {
        assert_eq!(Region::parse("cz").unwrap().code(), "CZ");
        for bad in ["", "C", "CZE", "XX", "é", "42", "001"] {
            assert_eq!(Region::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_cell_breaks_it_and_all_it_accepts_is_e164(cell in "\\PC{0,40}", digits in "[-+ ()./;,0-9eE]{0,30}") {
            for text in [cell, digits] {
                for number in numbers("CZ").cell(&text).into_iter().flatten() {
                    prop_assert!(PhoneNumber::parse(number.e164.expose()).is_some());
                    // Read again, it is itself.
                    prop_assert_eq!(numbers("DE").cell(number.e164.expose()), vec![Ok(number)]);
                }
            }
        }
    }
}
