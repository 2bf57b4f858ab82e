// SPDX-License-Identifier: MIT
use std::io::{Cursor, Read, Write};

use flate2::write::GzEncoder;
use hyperbox_core::seam::Compression;

use super::{Inflated, detect};

/// Gives one byte at a time, as a slow network may.
struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let end = buffer.len().min(1);
        self.0.read(&mut buffer[..end])
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn inflate(bytes: Vec<u8>) -> std::io::Result<(String, u64)> {
    let (diff_id, length) = Inflated::start(Box::new(Trickle(Cursor::new(bytes))), 1 << 20)?.finish()?;
    Ok((diff_id.to_string(), length))
}

#[test]
fn magic_bytes_decide() {
    for (start, expected) in [
        (&b"\x1f\x8b\x08\0"[..], Compression::Gzip),
        (b"\x28\xb5\x2f\xfd", Compression::Zstd),
        (b"\x50\x2a\x4d\x18", Compression::Zstd),
        (b"\x5f\x2a\x4d\x18", Compression::Zstd),
        (b"\x60\x2a\x4d\x18", Compression::None),
        (b"etc/", Compression::None),
        (b"\x1f", Compression::None),
        (b"", Compression::None),
    ] {
        assert_eq!(detect(start), expected, "{start:x?}");
    }
}

#[test]
fn all_encodings_give_the_same_bytes() {
    let text = b"some text, some text, some text".repeat(100);
    let plain = inflate(text.clone()).unwrap();
    assert_eq!(plain.1, text.len() as u64);
    let (head, tail) = text.split_at(1234);
    let skippable = [b"\x51\x2a\x4d\x18\x03\0\0\0abc".as_slice()].concat();
    let encode = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    for (name, bytes) in [
        ("gzip", gzip(&text)),
        ("gzip members", [gzip(head), gzip(b""), gzip(tail)].concat()),
        ("zstd", encode(&text)),
        ("zstd frames", [encode(head), encode(tail)].concat()),
        (
            "zstd skippable",
            [
                skippable.clone(),
                encode(head),
                skippable.clone(),
                encode(tail),
                skippable,
            ]
            .concat(),
        ),
    ] {
        assert_eq!(inflate(bytes).unwrap(), plain, "{name}");
    }
}

#[test]
fn damage_truncation_and_excess_are_errors() {
    let text = vec![7; 100_000];
    let whole = gzip(&text);
    let mut damaged = whole.clone();
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 0xff;
    for bytes in [
        damaged,
        whole[..whole.len() / 2].to_vec(),
        [whole.clone(), b"rubbish".to_vec()].concat(),
        zstd::encode_all(&text[..], 1).unwrap()[..9].to_vec(),
        gzip(&vec![0; (1 << 20) + 1]),
    ] {
        assert!(inflate(bytes).is_err());
    }
}
