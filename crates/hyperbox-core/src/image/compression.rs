// SPDX-License-Identifier: MIT
//! Archives that people bring are plain or compressed with gzip, bzip2, xz or Zstandard, as Docker takes them.
//!
//! Docker runs `xz` for the third; here nothing is run. Decoders are streams: memory is bounded by `XZ_MEMORY`, by Zstandard's own
//! limit of 128 MiB for windows and by bzip2's 4 MB, whatever the archive says.

use std::io::{self, BufRead, Read};

/// The most memory that an xz stream may ask for, in KiB: `xz -9` needs 65 MiB to decompress (xz(1)).
const XZ_MEMORY: u32 = 256 * 1024;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all, or in a way that nobody here knows.
    Plain,
    /// RFC 1952.
    Gzip,
    /// `BZh` and a block size.
    Bzip2,
    /// The .xz file format, section 2.1.1.1.
    Xz,
    /// RFC 8878, frames and skippable frames.
    Zstd,
}

impl Packing {
    /// Tells by the first bytes.
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// Makes a reader of what is packed in a stream.
///
/// # Errors
/// When a decoder cannot be made.
pub fn unpacked<'s>(packing: Packing, stream: impl BufRead + 's) -> io::Result<Box<dyn Read + 's>> {
    Ok(match packing {
        Packing::Plain => Box::new(stream),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        Packing::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(stream)),
        Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(stream, true, XZ_MEMORY)),
        Packing::Zstd => Box::new(zstd::Decoder::with_buffer(stream)?),
    })
}

/// Reads what is packed in a stream in a way that an unpacker of archives does not know by itself: bzip2 and xz. Everything else
/// passes. The stream is looked at when it is read first, on the reader's thread.
pub(crate) struct Unpacking(Stage);

enum Stage {
    Unread(Box<dyn Read + Send>),
    Known(Box<dyn Read + Send>),
    /// The beginning could not be read.
    Failed,
}

impl Unpacking {
    pub(crate) fn new(stream: Box<dyn Read + Send>) -> Self {
        Self(Stage::Unread(stream))
    }
}

/// As many bytes as tell the way of packing.
const MAGIC: u64 = 6;

fn recognised(mut stream: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::new();
    stream.by_ref().take(MAGIC).read_to_end(&mut start)?;
    let packing = Packing::detect(&start);
    let whole = io::Cursor::new(start).chain(stream);
    let whole = io::BufReader::new(whole);
    Ok(match packing {
        Packing::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(whole)),
        Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(whole, true, XZ_MEMORY)),
        Packing::Plain | Packing::Gzip | Packing::Zstd => Box::new(whole),
    })
}

impl Read for Unpacking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Stage::Known(reader) = &mut self.0 {
            return reader.read(buffer);
        }
        let Stage::Unread(stream) = std::mem::replace(&mut self.0, Stage::Failed) else {
            return Err(io::Error::other("the beginning of the archive could not be read"));
        };
        let mut reader = recognised(stream)?;
        let count = reader.read(buffer);
        self.0 = Stage::Known(reader);
        count
    }
}

/// What Docker says of a stream that ends before its archive does.
pub(crate) const CUT_SHORT: &str = "unexpected EOF";

/// Tells whether an error comes of a stream that ended too early.
pub(crate) fn is_cut_short(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'hello\n'` through each program.
    const HELLO: &[(Packing, &[u8])] = &[
        (Packing::Plain, b"hello\n"),
        (Packing::Gzip, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\xe7\x02\x00\x20\x30\x3a\x36\x06\x00\x00\x00"),
        (Packing::Bzip2, b"\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\xc1\xc0\x80\xe2\x00\x00\x01\x41\x00\x00\x10\x02\x44\xa0\x00\x30\xcd\x00\xc3\x46\x29\x97\x17\x72\x45\x38\x50\x90\xc1\xc0\x80\xe2"),
        (Packing::Xz, b"\xfd\x37\x7a\x58\x5a\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x05\x68\x65\x6c\x6c\x6f\x0a\x00\x00\x00\xa5\x60\x97\xf1\x94\xf6\xfd\xe0\x00\x01\x1e\x06\xc1\x2f\xa4\x1d\x1f\xb6\xf3\x7d\x01\x00\x00\x00\x00\x04\x59\x5a"),
        (Packing::Zstd, b"\x28\xb5\x2f\xfd\x04\x58\x31\x00\x00\x68\x65\x6c\x6c\x6f\x0a\x53\x88\xbd\x91"),
    ];

    #[test]
    fn archives_for_others_are_unpacked_where_those_cannot() {
        /// Gives one byte at a time.
        struct Slow(io::Cursor<Vec<u8>>);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let end = buffer.len().min(1);
                self.0.read(&mut buffer[..end])
            }
        }
        for (packing, bytes) in HELLO {
            let mut text = Vec::new();
            let stream = Box::new(Slow(io::Cursor::new(bytes.to_vec())));
            Unpacking::new(stream).read_to_end(&mut text).expect("a good stream");
            match packing {
                Packing::Bzip2 | Packing::Xz | Packing::Plain => assert_eq!(text, b"hello\n"),
                Packing::Gzip | Packing::Zstd => assert_eq!(text, *bytes),
            }
        }
        for short in [&b""[..], b"B"] {
            let mut text = Vec::new();
            let mut reader = Unpacking::new(Box::new(short));
            reader.read_to_end(&mut text).expect("no archive");
            assert_eq!(text, short);
        }
    }

    #[test]
    fn what_the_programs_write_is_read() {
        for (packing, bytes) in HELLO {
            assert_eq!(Packing::detect(bytes), *packing);
            let mut text = String::new();
            let mut reader = unpacked(*packing, *bytes).expect("a decoder");
            reader
                .read_to_string(&mut text)
                .unwrap_or_else(|error| panic!("{packing:?}: {error}"));
            assert_eq!(text, "hello\n", "{packing:?}");
        }
    }

    #[test]
    fn what_is_cut_short_fails() {
        for (packing, bytes) in HELLO.iter().skip(1) {
            let mut nothing = Vec::new();
            let cut =
                unpacked(*packing, &bytes[..bytes.len() - 5]).and_then(|mut reader| reader.read_to_end(&mut nothing));
            assert!(cut.is_err(), "{packing:?}");
        }
    }

    #[test]
    fn an_xz_stream_cannot_ask_for_gigabytes() {
        // The dictionary size of the filter flags (.xz format 5.3.1) and their CRC-32 replaced by those of 4 GiB - 1.
        let (_, xz) = HELLO[3];
        let mut greedy = xz.to_vec();
        greedy[16] = 40;
        let crc = crc32(&greedy[12..20]).to_le_bytes();
        greedy[20..24].copy_from_slice(&crc);
        let mut nothing = Vec::new();
        let error = unpacked(Packing::Xz, greedy.as_slice())
            .and_then(|mut reader| reader.read_to_end(&mut nothing))
            .expect_err("too much memory");
        assert!(error.to_string().contains("mem"), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        })
    }
}
