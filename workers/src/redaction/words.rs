//! Words that stand for digits, and those that make an address when it is spoken, in English, Spanish and Czech.

/// What a word adds to a number that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// One digit.
    Unit,
    /// Two digits, the second of which the next word may say.
    Tens,
    /// Two digits.
    Pair,
    /// A hundred of something: one digit, unless the word before has said which.
    Hundred,
    /// The next word counts so many times more.
    Times(usize),
    /// Adds no digit, and does not end the number either: `thousand`, `and`.
    Link,
}

/// What this lower-case word adds.
pub(super) fn spoken(word: &str) -> Option<Spoken> {
    let spoken = match word {
        "zero" | "oh" | "o" | "one" | "two" | "three" | "four" | "five" | "six" | "seven" | "eight"
        | "nine" => Spoken::Unit,
        "ten" | "eleven" | "twelve" | "thirteen" | "fourteen" | "fifteen" | "sixteen" | "seventeen"
        | "eighteen" | "nineteen" => Spoken::Pair,
        "twenty" | "thirty" | "forty" | "fifty" | "sixty" | "seventy" | "eighty" | "ninety" => Spoken::Tens,
        "double" | "doble" | "dvakrát" => Spoken::Times(1),
        "triple" | "treble" | "třikrát" => Spoken::Times(2),
        "hundred" => Spoken::Hundred,
        "thousand" | "and" => Spoken::Link,

        "cero" | "uno" | "una" | "un" | "dos" | "tres" | "cuatro" | "cinco" | "seis" | "siete" | "ocho"
        | "nueve" => Spoken::Unit,
        "diez" | "once" | "doce" | "trece" | "catorce" | "quince" | "dieciséis" | "dieciseis"
        | "diecisiete" | "dieciocho" | "diecinueve" | "veinte" => Spoken::Pair,
        "treinta" | "cuarenta" | "cincuenta" | "sesenta" | "setenta" | "ochenta" | "noventa" => Spoken::Tens,
        "cien" | "ciento" => Spoken::Hundred,
        "quinientos" | "quinientas" => Spoken::Unit,
        "mil" | "y" => Spoken::Link,

        "nula" | "jedna" | "jeden" | "jedno" | "dva" | "dvě" | "tři" | "čtyři" | "pět" | "šest" | "sedm"
        | "osm" | "devět" => Spoken::Unit,
        "deset" | "čtrnáct" | "patnáct" | "devatenáct" => Spoken::Pair,
        "dvacet" | "třicet" | "čtyřicet" | "padesát" | "šedesát" | "sedmdesát" | "osmdesát" | "devadesát" => {
            Spoken::Tens
        }
        "sto" | "stě" | "sta" | "set" => Spoken::Hundred,
        "tisíc" | "tisíce" | "a" => Spoken::Link,
        _ if word.ends_with("cientos") || word.ends_with("cientas") => Spoken::Unit,
        _ if word.starts_with("veinti") => Spoken::Pair,
        _ if word.ends_with("náct") => Spoken::Pair,
        // Turned round, as in German: `jedenadvacet`.
        _ if [
            "adva", "atři", "ačtyři", "apade", "ašede", "asedm", "aosm", "adeva",
        ]
        .iter()
        .any(|tens| word.contains(tens))
            && (word.ends_with("cet") || word.ends_with("sát")) =>
        {
            Spoken::Pair
        }
        _ => return None,
    };
    Some(spoken)
}

/// What is said for `@`.
pub(super) fn is_at(word: &str) -> bool {
    matches!(word, "at" | "arroba" | "zavináč" | "zavinac")
}

/// What is said for the dot of an address.
pub(super) fn is_dot(word: &str) -> bool {
    matches!(word, "dot" | "punto" | "tečka" | "tecka")
}

/// What an address that is spoken ends in.
pub(super) fn is_top_level(word: &str) -> bool {
    matches!(
        word,
        "com"
            | "net"
            | "org"
            | "edu"
            | "info"
            | "io"
            | "eu"
            | "es"
            | "cz"
            | "sk"
            | "uk"
            | "us"
            | "de"
            | "at"
            | "fr"
            | "mx"
            | "ar"
            | "co"
            | "ai"
            | "dev"
            | "app"
            | "email"
    )
}
