// SPDX-License-Identifier: MIT
//! The key sequence that detaches a terminal, such as `ctrl-p,ctrl-q`: parsing it and finding it in input. Pure.
//!
//! The beginning of a sequence is held back until the next key shows what it is, so a program sees those keys late but complete.

use crate::error::{ApiError, ApiResult};

/// Docker's default sequence.
const DEFAULT: [u8; 2] = [0x10, 0x11];

/// Finds the sequence in a stream of input.
#[derive(Debug, Clone)]
pub(crate) struct DetachKeys {
    sequence: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    /// Parses a comma-separated sequence; an empty text is the default.
    ///
    /// # Errors
    /// 400 for an unknown key.
    pub(crate) fn parse(text: &str) -> ApiResult<Self> {
        let sequence = if text.is_empty() {
            DEFAULT.to_vec()
        } else {
            text.split(',')
                .map(|key| key_code(key.trim(), text))
                .collect::<ApiResult<_>>()?
        };
        Ok(Self { sequence, matched: 0 })
    }

    /// Passes input on to `output`; returns true when the sequence is complete, and drops what follows it.
    pub(crate) fn filter(&mut self, input: &[u8], output: &mut Vec<u8>) -> bool {
        for byte in input {
            if *byte == self.sequence[self.matched] {
                self.matched += 1;
                if self.matched == self.sequence.len() {
                    return true;
                }
                continue;
            }
            output.extend_from_slice(&self.sequence[..self.matched]);
            self.matched = usize::from(*byte == self.sequence[0]);
            if self.matched == 0 {
                output.push(*byte);
            } else if self.sequence.len() == 1 {
                return true;
            }
        }
        false
    }
}

fn key_code(key: &str, whole: &str) -> ApiResult<u8> {
    let control = key.strip_prefix("ctrl-").map(str::as_bytes);
    match (control, key.as_bytes()) {
        (Some([letter @ b'a'..=b'z']), _) => Ok(letter - b'a' + 1),
        (Some([b'@']), _) => Ok(0),
        (Some([b'[']), _) => Ok(27),
        (Some([b'\\']), _) => Ok(28),
        (Some([b']']), _) => Ok(29),
        (Some([b'^']), _) => Ok(30),
        (Some([b'_']), _) => Ok(31),
        (None, [plain]) => Ok(*plain),
        (None, b"DEL") => Ok(127),
        _ => Err(ApiError::bad_request(format!("Invalid detach keys ({whole}) provided"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_found_across_reads() {
        for (keys, reads, output, found) in [
            ("", vec![&b"ab\x10"[..], b"\x11x"], &b"ab"[..], true),
            ("", vec![b"\x10", b"x\x10y"], b"\x10x\x10y", false),
            ("", vec![b"\x10\x10\x11"], b"\x10", true),
            ("a", vec![b"xyaz"], b"xy", true),
            ("ctrl-a,b", vec![b"\x01c"], b"\x01c", false),
        ] {
            let mut detach = DetachKeys::parse(keys).expect(keys);
            let mut passed = Vec::new();
            let detached = reads.iter().any(|read| detach.filter(read, &mut passed));
            assert_eq!((passed.as_slice(), detached), (output, found), "{keys}");
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in ["ctrl-", "ctrl-aa", "ctrl-1", "xy", "a,,b"] {
            assert!(DetachKeys::parse(text).is_err(), "{text}");
        }
    }
}
