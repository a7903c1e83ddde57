//! What a whole file says about itself: its digest, its length, and the encoding its bytes fit.
//!
//! All of it is read, because a list that is plain ASCII for a megabyte may name its first Šárka after that.

use std::{fs::File, io::Read as _, path::Path};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};
use sha2::{Digest as _, Sha256};

use super::FileError;
use crate::Region;

const CHUNK: usize = 1024 * 1024;
/// The detector's opinion does not change after this much text that is not ASCII.
const ENOUGH: usize = 4 * CHUNK;
/// A file with this many readable characters for every broken one is UTF-8 with faults, not another encoding.
const MOSTLY: u64 = 10;

/// What a whole file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Its length.
    pub bytes: u64,
    /// How it is written.
    pub encoding: &'static Encoding,
}

/// Reads all of a file. An encoding without a mark that is not UTF-8 is guessed from the letters its bytes would
/// be, with the region as a hint.
///
/// # Errors
/// When the file cannot be read, is empty or is not text.
pub fn examine(
    path: &Path,
    told: Option<&'static Encoding>,
    region: Option<Region>,
) -> Result<Evidence, FileError> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK];
    let mut digest = Sha256::new();
    let mut bytes = 0_u64;
    let mut marked = None;
    let mut zeros = false;
    let mut utf8 = Utf8::default();
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let mut fed = 0;
    loop {
        let read = fill(&mut file, &mut chunk)?;
        let text = &chunk[..read];
        if bytes == 0 {
            match text {
                [] => return Err(FileError::Empty),
                // A zip archive, and the container of the older format.
                [b'P', b'K', 3, 4, ..] | [0xd0, 0xcf, 0x11, 0xe0, ..] => return Err(FileError::Spreadsheet),
                _ => marked = Encoding::for_bom(text).map(|(encoding, _)| encoding),
            }
        }
        bytes += read as u64;
        digest.update(text);
        zeros |= text.contains(&0);
        utf8.feed(text);
        if fed < ENOUGH && !text.is_ascii() {
            detector.feed(text, false);
            fed += read;
        }
        if read < CHUNK {
            break;
        }
    }
    let encoding = match (told, marked) {
        (Some(told), _) => told,
        (None, Some(marked)) => marked,
        (None, None) if zeros => return Err(FileError::Binary),
        (None, None) if utf8.broken == 0 || utf8.characters > utf8.broken * MOSTLY => UTF_8,
        (None, None) => {
            detector.feed(&[], true);
            let domain = region.map(top_level_domain);
            detector.guess(domain.as_deref().map(str::as_bytes), Utf8Detection::Deny)
        }
    };
    Ok(Evidence {
        sha256: digest.finalize().into(),
        bytes,
        encoding,
    })
}

/// The detector knows countries as the web does.
fn top_level_domain(region: Region) -> String {
    match region.code().as_str() {
        "GB" => "uk".to_owned(),
        code => code.to_ascii_lowercase(),
    }
}

fn fill(file: &mut File, chunk: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match file.read(&mut chunk[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Counts the characters beyond ASCII that UTF-8 can read, and those it cannot.
#[derive(Default)]
struct Utf8 {
    /// The first bytes of a character whose rest is in the next chunk.
    half: Vec<u8>,
    characters: u64,
    broken: u64,
}

impl Utf8 {
    fn feed(&mut self, chunk: &[u8]) {
        if self.half.is_empty() {
            self.half = self.count(chunk).to_vec();
        } else {
            let mut text = std::mem::take(&mut self.half);
            text.extend_from_slice(chunk);
            self.half = self.count(&text).to_vec();
        }
    }

    fn count<'a>(&mut self, mut text: &'a [u8]) -> &'a [u8] {
        loop {
            match std::str::from_utf8(text) {
                Ok(whole) => {
                    self.characters += leads(whole.as_bytes());
                    return &[];
                }
                Err(fault) => {
                    let (good, rest) = text.split_at(fault.valid_up_to());
                    self.characters += leads(good);
                    let Some(length) = fault.error_len() else {
                        return rest;
                    };
                    self.broken += 1;
                    text = &rest[length..];
                }
            }
        }
    }
}

fn leads(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte >= 0xc0).count() as u64
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use encoding_rs::{ISO_8859_2, UTF_16BE, UTF_16LE, WINDOWS_1250, WINDOWS_1252};

    use super::*;

    const CZECH: &str = "jméno;příjmení;telefon\nŠárka;Dvořáková;602123456\nTomáš;Nováček;603123456\n\
        Zdeněk;Růžička;604123456\nŽaneta;Šťastná;605123456\nJiří;Hrůza;606123456\nLuboš;Křížek;607123456\n";
    const SPANISH: &str = "nombre;apellido;teléfono\nJosé;Muñoz;612345678\nMaría;Peña;612345679\n\
        Ángel;Núñez;612345680\nSofía;Ibáñez;612345681\nBegoña;Güell;612345682\nRamón;Calderón;612345683\n";

    fn examined(bytes: &[u8], region: &str) -> Result<Evidence, FileError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        examine(file.path(), None, Region::parse(region))
    }

    fn encoding(bytes: &[u8], region: &str) -> &'static Encoding {
        examined(bytes, region).unwrap().encoding
    }

    fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xfeff)
            .chain(text.encode_utf16())
            .flat_map(order)
            .collect()
    }

    #[test]
    fn marks_are_believed_and_unmarked_text_is_utf8_when_it_can_be() {
        assert_eq!(encoding(CZECH.as_bytes(), "CZ"), UTF_8);
        assert_eq!(
            encoding(&[b"\xef\xbb\xbf", CZECH.as_bytes()].concat(), "CZ"),
            UTF_8
        );
        assert_eq!(encoding(b"phone\n602123456\n", "CZ"), UTF_8);
        assert_eq!(encoding(&utf16(CZECH, u16::to_le_bytes), "CZ"), UTF_16LE);
        assert_eq!(encoding(&utf16(CZECH, u16::to_be_bytes), "CZ"), UTF_16BE);
    }

    #[test]
    fn central_and_western_european_encodings_are_told_apart() {
        for region in ["CZ", ""] {
            assert_eq!(
                encoding(&WINDOWS_1250.encode(CZECH).0, region),
                WINDOWS_1250,
                "{region}"
            );
            assert_eq!(
                encoding(&ISO_8859_2.encode(CZECH).0, region),
                ISO_8859_2,
                "{region}"
            );
        }
        for region in ["ES", ""] {
            assert_eq!(
                encoding(&WINDOWS_1252.encode(SPANISH).0, region),
                WINDOWS_1252,
                "{region}"
            );
        }
    }

    #[test]
    fn one_name_far_behind_in_the_file_decides_its_encoding() {
        let mut late = "Jan;Novak;602123456\n".repeat(100_000).into_bytes();
        late.extend_from_slice(&WINDOWS_1250.encode("Šárka;Dvořáková;602123456\n").0);
        assert_eq!(encoding(&late, "CZ"), WINDOWS_1250);
    }

    #[test]
    fn a_few_broken_bytes_do_not_make_utf8_something_else() {
        let mut damaged = CZECH.as_bytes().to_vec();
        damaged.extend_from_slice(b"J\xe1n;Nov\xe1k;608123456\n");
        assert_eq!(encoding(&damaged, "CZ"), UTF_8);
    }

    #[test]
    fn a_character_cut_by_a_chunk_is_whole() {
        for padding in CHUNK - 3..CHUNK + 2 {
            let mut text = "a".repeat(padding);
            text.push_str("ščř€😀");
            assert_eq!(encoding(text.as_bytes(), "CZ"), UTF_8, "{padding}");
        }
    }

    #[test]
    fn what_is_not_text_is_refused_by_name() {
        let kind = |bytes: &[u8]| examined(bytes, "CZ").unwrap_err().kind();
        assert_eq!(kind(b""), "file_empty");
        assert_eq!(kind(b"PK\x03\x04 and the rest of an xlsx"), "file_is_spreadsheet");
        assert_eq!(kind(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "file_is_spreadsheet");
        assert_eq!(kind(&utf16(CZECH, u16::to_le_bytes)[2..]), "file_is_binary");
    }

    #[test]
    fn the_digest_and_the_length_are_those_of_the_bytes() {
        let evidence = examined(b"abc", "").unwrap();
        assert_eq!(evidence.bytes, 3);
        assert_eq!(evidence.sha256[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
