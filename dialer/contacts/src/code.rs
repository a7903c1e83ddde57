//! Why a row or a cell was not taken, as stable codes.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $wire:literal,)+) => {
        /// A stable code; `docs/contacts.md` has the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)+
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in files and tables.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire,)+ }
            }
        }
    };
}

codes! {
    /// A row of empty cells.
    RowEmpty = "row_empty",
    /// More cells than the header has, and not only empty ones: probably shifted.
    RowTooManyCells = "row_too_many_cells",
    /// Longer than a row may be.
    RowTooLong = "row_too_long",
    /// A quotation mark was opened and not closed within the length of a row.
    QuoteUnclosed = "quote_unclosed",
    /// Bytes that mean nothing in the encoding of the file.
    TextUndecodable = "text_undecodable",
    /// The customer's id is longer than 200 characters.
    ExternalIdTooLong = "external_id_too_long",
    /// No number in any phone column.
    PhoneMissing = "phone_missing",
    /// Text that is not a number.
    PhoneNotANumber = "phone_not_a_number",
    /// A spreadsheet rounded the number away: `4.2E+11`.
    PhoneScientific = "phone_scientific_notation",
    /// Fewer digits than a number of that country has.
    PhoneTooShort = "phone_too_short",
    /// More digits than a number of that country has.
    PhoneTooLong = "phone_too_long",
    /// A calling code no country has.
    PhoneUnknownCountry = "phone_unknown_country",
    /// The right length, and nobody's number under the number plan.
    PhoneNotInPlan = "phone_not_in_plan",
    /// Not a number of the region; it would be one of another country with `+` before it.
    PhoneLostPlus = "phone_lost_plus",
    /// Not a number; it would be one with `0` before it.
    PhoneLostZero = "phone_lost_zero",
    /// A national number, and no region was given.
    PhoneNoRegion = "phone_no_region",
    /// A number with an extension, which a dialer cannot reach.
    PhoneExtension = "phone_extension",
    /// A number whose caller pays extra.
    PhonePremiumRate = "phone_premium_rate",
    /// Not an e-mail address.
    EmailMalformed = "email_malformed",
    /// Not a language tag.
    LocaleMalformed = "locale_malformed",
    /// Not a zone of the IANA database.
    TimezoneUnknown = "timezone_unknown",
    /// Not a whole number from 0 to 100.
    PriorityMalformed = "priority_malformed",
    /// Longer than its field holds.
    ValueTooLong = "value_too_long",
    /// No type of consent has this name.
    ConsentTypeUnknown = "consent_type_unknown",
    /// No status of a consent has this name.
    ConsentStatusUnknown = "consent_status_unknown",
    /// A consent without a readable time, which proves nothing.
    ConsentTimeMalformed = "consent_time_malformed",
    /// The same person as in an earlier row of the file.
    DuplicateInFile = "duplicate_in_file",
    /// Every number of the row must not be called.
    Suppressed = "suppressed",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
