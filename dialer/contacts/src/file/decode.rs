//! Bytes of any encoding as UTF-8, a chunk at a time.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use encoding_rs::{Decoder, Encoding};

const CHUNK: usize = 64 * 1024;

/// A file read as UTF-8. What its encoding does not know becomes U+FFFD; a byte order mark is left out.
pub(super) struct Decoded {
    file: File,
    decoder: Decoder,
    raw: Vec<u8>,
    taken: u64,
    ended: bool,
}

impl Decoded {
    pub(super) fn open(path: &Path, encoding: &'static Encoding) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            decoder: encoding.new_decoder_with_bom_removal(),
            raw: vec![0; CHUNK],
            taken: 0,
            ended: false,
        })
    }

    /// Appends the next chunk as text; false when there is no more.
    pub(super) fn more(&mut self, text: &mut Vec<u8>) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let read = self.file.read(&mut self.raw)?;
        self.taken += read as u64;
        self.ended = read == 0;
        // Also at the end: the decoder may hold back the bytes of half a character.
        let longest = self.decoder.max_utf8_buffer_length(read).unwrap_or(CHUNK * 4);
        let start = text.len();
        text.resize(start + longest, 0);
        let (_, _, written, _) =
            self.decoder
                .decode_to_utf8(&self.raw[..read], &mut text[start..], self.ended);
        text.truncate(start + written);
        Ok(true)
    }

    /// How many bytes of the file were read.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }
}
