// SPDX-License-Identifier: MIT
//! The superblock's CRC-32C, and the hash that UUIDs are made of.

/// CRC-32C (Castagnoli) as the kernel's `crc32c(~0, …)`: without the final complement.
///
/// Bit by bit: it is computed once for each image, over half a kilobyte.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 }
        })
    })
}

/// A 128-bit hash of a stream, for telling contents apart that nobody made collide: not for security.
///
/// Two lanes multiply and fold 16 bytes at a time, each with constants of its own (digits of pi, odd).
#[derive(Debug)]
pub(crate) struct Fingerprint {
    lanes: [u64; 2],
    pending: [u8; 16],
    filled: usize,
    length: u64,
}

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self {
            lanes: [0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7345],
            pending: [0; 16],
            filled: 0,
            length: 0,
        }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if self.filled > 0 {
            let taken = bytes.len().min(16 - self.filled);
            self.pending[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled < 16 {
                return;
            }
            let pending = self.pending;
            self.mix(&pending);
        }
        let mut chunks = bytes.chunks_exact(16);
        for chunk in &mut chunks {
            self.mix(chunk);
        }
        let rest = chunks.remainder();
        self.pending[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// The hash, marked as a UUID of a custom kind (version 8 of RFC 9562).
    pub(crate) fn uuid(mut self) -> [u8; 16] {
        self.pending[self.filled..].fill(0);
        let (pending, length) = (self.pending, self.length);
        self.mix(&pending);
        let mut last = [0; 16];
        last[..8].copy_from_slice(&length.to_le_bytes());
        self.mix(&last);
        self.mix(&[0; 16]);
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&self.lanes[0].to_le_bytes());
        uuid[8..].copy_from_slice(&self.lanes[1].to_le_bytes());
        uuid[6] = (uuid[6] & 0x0F) | 0x80;
        uuid[8] = (uuid[8] & 0x3F) | 0x80;
        uuid
    }

    fn mix(&mut self, chunk: &[u8]) {
        let (low, high) = (super::u64_at(chunk, 0), super::u64_at(chunk, 8));
        let [first, second] = self.lanes;
        let one = fold(first ^ low, 0xA409_3822_299F_31D1 ^ high);
        let two = fold(second ^ high, 0x082E_FA98_EC4E_6C89 ^ low);
        self.lanes = [
            one.wrapping_add(second.rotate_left(23)),
            two.wrapping_add(first.rotate_left(41)),
        ];
    }
}

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    let bytes = product.to_le_bytes();
    super::u64_at(&bytes, 0) ^ super::u64_at(&bytes, 8)
}

#[cfg(test)]
mod tests {
    use super::{Fingerprint, crc32c};

    #[test]
    fn checksums_of_known_texts() {
        // RFC 3720, B.4, and the check value of the CRC catalogue; both are of the complemented form.
        assert_eq!(!crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(!crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(!crc32c(&[0xFF; 32]), 0x62A8_AB43);
    }

    #[test]
    fn fingerprints_do_not_depend_on_how_the_stream_is_cut() {
        let bytes: Vec<u8> = (0..1000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let whole = |bytes: &[u8]| {
            let mut fingerprint = Fingerprint::new();
            fingerprint.update(bytes);
            fingerprint.uuid()
        };
        for step in [1, 3, 16, 17, 999] {
            let mut fingerprint = Fingerprint::new();
            bytes.chunks(step).for_each(|chunk| fingerprint.update(chunk));
            assert_eq!(fingerprint.uuid(), whole(&bytes), "in steps of {step}");
        }
        assert_ne!(whole(&bytes), whole(&bytes[..999]));
        assert_ne!(whole(&[0; 16]), whole(&[0; 17]));
        assert_ne!(whole(&[]), whole(&[0]));
    }
}
