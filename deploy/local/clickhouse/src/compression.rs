//! Both kinds of compression that ClickHouse's HTTP interface knows: its own
//! block framing (`compress=1`, `decompress=1`) and HTTP's content encodings.

use std::io::{self, BufRead, BufReader, Read, Write};

use crate::errors::QueryError;

/// Checksum (16), method (1), compressed size (4), uncompressed size (4).
const CHECKSUM: usize = 16;
const HEADER: usize = 9;
const METHOD_NONE: u8 = 0x02;
const METHOD_LZ4: u8 = 0x82;
const METHOD_ZSTD: u8 = 0x90;
/// What a ClickHouse server accepts at most in one block.
const MAX_BLOCK: usize = 1 << 30;

/// Rows per written block of our own: the server's default block size.
pub(crate) const BLOCK: usize = 1 << 20;

/// How a response is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    /// ClickHouse's own framing.
    Blocks,
    Lz4,
    Zstd,
    Gzip,
    Deflate,
}

impl Encoding {
    /// What to answer with, from `Accept-Encoding`, in the server's order.
    pub(crate) fn accepted(header: &str) -> Self {
        let offered: Vec<&str> = header
            .split(',')
            .map(|part| part.split(';').next().unwrap_or_default().trim())
            .collect();
        [
            ("lz4", Self::Lz4),
            ("zstd", Self::Zstd),
            ("gzip", Self::Gzip),
            ("deflate", Self::Deflate),
        ]
        .into_iter()
        .find(|(name, _)| offered.contains(name))
        .map_or(Self::Plain, |(_, encoding)| encoding)
    }

    /// The value of `Content-Encoding`.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::Blocks => None,
            Self::Lz4 => Some("lz4"),
            Self::Zstd => Some("zstd"),
            Self::Gzip => Some("gzip"),
            Self::Deflate => Some("deflate"),
        }
    }
}

/// Compresses a response piece by piece; each piece leaves whole, so that the
/// reader at the other end never waits for rows that are already here.
pub(crate) enum Compressor {
    Plain,
    Blocks,
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Deflate(Box<flate2::write::ZlibEncoder<Vec<u8>>>),
}

impl Compressor {
    pub(crate) fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Plain => Self::Plain,
            Encoding::Blocks => Self::Blocks,
            Encoding::Lz4 => Self::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(Vec::new()))),
            Encoding::Zstd => Self::Zstd(Box::new(zstd::stream::write::Encoder::new(Vec::new(), 1)?)),
            Encoding::Gzip => Self::Gzip(Box::new(flate2::write::GzEncoder::new(
                Vec::new(),
                flate2::Compression::fast(),
            ))),
            Encoding::Deflate => Self::Deflate(Box::new(flate2::write::ZlibEncoder::new(
                Vec::new(),
                flate2::Compression::fast(),
            ))),
        })
    }

    /// Compressed bytes for `piece`.
    pub(crate) fn push(&mut self, piece: Vec<u8>) -> io::Result<Vec<u8>> {
        fn through(encoder: &mut impl Write, piece: &[u8]) -> io::Result<()> {
            encoder.write_all(piece)?;
            encoder.flush()
        }
        Ok(match self {
            Self::Plain => piece,
            Self::Blocks => {
                let mut framed = Vec::with_capacity(piece.len() / 2);
                for block in piece.chunks(BLOCK) {
                    append_block(&mut framed, block);
                }
                framed
            }
            Self::Lz4(encoder) => {
                through(encoder, &piece)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                through(encoder, &piece)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Gzip(encoder) => {
                through(encoder, &piece)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Deflate(encoder) => {
                through(encoder, &piece)?;
                std::mem::take(encoder.get_mut())
            }
        })
    }

    /// The bytes that end the stream.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain | Self::Blocks => Ok(Vec::new()),
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
        }
    }
}

fn append_block(out: &mut Vec<u8>, data: &[u8]) {
    let body = lz4_flex::block::compress(data);
    let start = out.len();
    out.extend_from_slice(&[0; CHECKSUM]);
    out.push(METHOD_LZ4);
    // Blocks are at most `BLOCK` long, so both sizes fit.
    out.extend_from_slice(&((body.len() + HEADER) as u32).to_le_bytes());
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
    out.extend_from_slice(&body);
    let checksum = checksum(&out[start + CHECKSUM..]);
    out[start..start + CHECKSUM].copy_from_slice(&checksum);
}

fn checksum(framed: &[u8]) -> [u8; CHECKSUM] {
    // CityHash128 of version 1.0.2, low half first.
    cityhash_rs::cityhash_102_128(framed)
        .rotate_right(64)
        .to_le_bytes()
}

/// Reads ClickHouse's block framing.
struct Blocks<R> {
    inner: R,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> Blocks<R> {
    /// False at the end of the stream.
    fn refill(&mut self) -> io::Result<bool> {
        let mut head = [0; CHECKSUM + HEADER];
        let got = read_full(&mut self.inner, &mut head)?;
        if got == 0 {
            return Ok(false);
        }
        if got < head.len() {
            return Err(corrupt("a block ends within its header"));
        }
        let size =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (compressed, uncompressed) = (size(CHECKSUM + 1), size(CHECKSUM + 5));
        if !(HEADER..=MAX_BLOCK).contains(&compressed) || uncompressed > MAX_BLOCK {
            return Err(corrupt("a block's size is out of range"));
        }
        let mut framed = head[CHECKSUM..].to_vec();
        framed.resize(compressed, 0);
        if read_full(&mut self.inner, &mut framed[HEADER..])? < compressed - HEADER {
            return Err(corrupt("a block is shorter than its header says"));
        }
        if checksum(&framed) != head[..CHECKSUM] {
            return Err(corrupt("Checksum doesn't match: corrupted data"));
        }
        let body = &framed[HEADER..];
        self.at = 0;
        self.block = match framed[0] {
            METHOD_NONE => body.to_vec(),
            METHOD_LZ4 => lz4_flex::block::decompress(body, uncompressed).map_err(corrupt)?,
            METHOD_ZSTD => zstd::bulk::decompress(body, uncompressed)?,
            method => return Err(corrupt(format!("unknown compression method {method:#x}"))),
        };
        if self.block.len() != uncompressed {
            return Err(corrupt("a block has another size than its header says"));
        }
        Ok(true)
    }
}

impl<R: Read> Read for Blocks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.refill()? {
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.block.len() - self.at);
        buffer[..length].copy_from_slice(&self.block[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// All LZ4 frames of a body: clients compress each block of an INSERT on its
/// own, and the decoder reports the end of every frame as the end.
struct Lz4Frames<R: Read>(lz4_flex::frame::FrameDecoder<BufReader<R>>);

impl<R: Read> Read for Lz4Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.0.read(buffer)?;
            if length > 0 || buffer.is_empty() || self.0.get_mut().fill_buf()?.is_empty() {
                return Ok(length);
            }
        }
    }
}

/// One zlib stream; what stands behind it is an error, not ignored.
struct OneZlib<R: Read>(flate2::bufread::ZlibDecoder<BufReader<R>>);

impl<R: Read> Read for OneZlib<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        if length == 0 && !buffer.is_empty() && !self.0.get_mut().fill_buf()?.is_empty() {
            return Err(corrupt("there is data behind the end of the deflate stream"));
        }
        Ok(length)
    }
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}

fn corrupt(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// A request body without its compression: first HTTP's, then ClickHouse's.
pub(crate) fn decoded<'a>(
    body: impl Read + 'a,
    content_encoding: Option<&str>,
    blocks: bool,
) -> Result<Box<dyn Read + 'a>, QueryError> {
    let body: Box<dyn Read + 'a> = match content_encoding.map(str::trim) {
        None | Some("" | "identity") => Box::new(body),
        Some("lz4") => Box::new(Lz4Frames(lz4_flex::frame::FrameDecoder::new(BufReader::new(
            body,
        )))),
        Some("zstd") => Box::new(zstd::stream::read::Decoder::new(body).map_err(QueryError::io)?),
        Some("gzip" | "x-gzip") => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Some("deflate") => Box::new(OneZlib(flate2::bufread::ZlibDecoder::new(BufReader::new(body)))),
        Some(other) => {
            return Err(QueryError::not_implemented(format!(
                "Unknown compression method {other}"
            )));
        }
    };
    Ok(if blocks {
        Box::new(Blocks {
            inner: body,
            block: Vec::new(),
            at: 0,
        })
    } else {
        body
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        (0..3_000_000u32)
            .flat_map(|number| (number / 7).to_le_bytes())
            .take(2_500_001)
            .collect()
    }

    #[test]
    fn every_encoding_gives_back_what_went_in() {
        for encoding in [
            Encoding::Plain,
            Encoding::Blocks,
            Encoding::Lz4,
            Encoding::Zstd,
            Encoding::Gzip,
            Encoding::Deflate,
        ] {
            let mut compressor = Compressor::new(encoding).unwrap();
            let mut wire = Vec::new();
            for piece in sample().chunks(700_000) {
                wire.extend(compressor.push(piece.to_vec()).unwrap());
            }
            wire.extend(compressor.finish().unwrap());
            let mut back = Vec::new();
            decoded(&wire[..], encoding.name(), encoding == Encoding::Blocks)
                .unwrap()
                .read_to_end(&mut back)
                .unwrap();
            assert!(back == sample(), "{encoding:?}");
        }
    }

    #[test]
    fn a_body_of_several_frames_is_read_to_its_end() {
        for encoding in [Encoding::Lz4, Encoding::Zstd, Encoding::Gzip] {
            let mut wire = Vec::new();
            for piece in [&b"first "[..], b"", b"second"] {
                let mut compressor = Compressor::new(encoding).unwrap();
                wire.extend(compressor.push(piece.to_vec()).unwrap());
                wire.extend(compressor.finish().unwrap());
            }
            let mut back = String::new();
            decoded(&wire[..], encoding.name(), false)
                .unwrap()
                .read_to_string(&mut back)
                .unwrap();
            assert_eq!(back, "first second", "{encoding:?}");
        }
        let mut twice = Vec::new();
        for _ in 0..2 {
            let mut compressor = Compressor::new(Encoding::Deflate).unwrap();
            twice.extend(compressor.push(b"part".to_vec()).unwrap());
            twice.extend(compressor.finish().unwrap());
        }
        assert!(
            decoded(&twice[..], Some("deflate"), false)
                .unwrap()
                .read_to_end(&mut Vec::new())
                .is_err()
        );
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut wire = Vec::new();
        append_block(&mut wire, b"some rows");
        for at in 0..wire.len() {
            let mut broken = wire.clone();
            broken[at] ^= 1;
            let mut back = Vec::new();
            assert!(
                decoded(&broken[..], None, true)
                    .unwrap()
                    .read_to_end(&mut back)
                    .is_err(),
                "byte {at}"
            );
        }
    }

    #[test]
    fn a_block_that_ends_early_is_an_error_not_an_end() {
        let mut wire = Vec::new();
        append_block(&mut wire, b"some rows");
        for length in 1..wire.len() {
            assert!(
                decoded(&wire[..length], None, true)
                    .unwrap()
                    .read_to_end(&mut Vec::new())
                    .is_err()
            );
        }
    }

    #[test]
    fn the_encoding_is_chosen_in_the_servers_order() {
        assert_eq!(
            Encoding::accepted("gzip, deflate, br, zstd;q=0.5"),
            Encoding::Zstd
        );
        assert_eq!(Encoding::accepted("lz4"), Encoding::Lz4);
        assert_eq!(Encoding::accepted("identity"), Encoding::Plain);
    }
}
