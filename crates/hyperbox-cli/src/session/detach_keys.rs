// SPDX-License-Identifier: MIT
//! The keys that detach, such as `ctrl-p,ctrl-q`.

/// Recognises a sequence of keys in a stream of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetachKeys {
    sequence: Vec<u8>,
    matched: usize,
}

impl Default for DetachKeys {
    fn default() -> Self {
        Self {
            sequence: vec![16, 17],
            matched: 0,
        }
    }
}

impl DetachKeys {
    /// Parses `ctrl-X` and single characters, separated by commas.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut sequence = Vec::new();
        for key in text.split(',') {
            let byte = match key.strip_prefix("ctrl-") {
                Some(letter) => match letter.as_bytes() {
                    [letter @ b'a'..=b'z'] => letter - b'a' + 1,
                    b"@" => 0,
                    b"[" => 27,
                    b"\\" => 28,
                    b"]" => 29,
                    b"^" => 30,
                    b"_" => 31,
                    _ => return Err(invalid(text, key)),
                },
                None => match key.as_bytes() {
                    [byte] if byte.is_ascii() => *byte,
                    _ => return Err(invalid(text, key)),
                },
            };
            sequence.push(byte);
        }
        Ok(Self { sequence, matched: 0 })
    }

    /// Returns what is to be sent, and whether the sequence is complete.
    ///
    /// A beginning of the sequence is held back until it is clear what it is.
    pub(crate) fn filter(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut output = Vec::with_capacity(input.len());
        for byte in input {
            if *byte == self.sequence[self.matched] {
                self.matched += 1;
                if self.matched == self.sequence.len() {
                    self.matched = 0;
                    return (output, true);
                }
                continue;
            }
            output.extend_from_slice(&self.sequence[..self.matched]);
            self.matched = 0;
            if *byte == self.sequence[0] && self.sequence.len() > 1 {
                self.matched = 1;
            } else {
                output.push(*byte);
            }
        }
        (output, false)
    }
}

fn invalid(text: &str, key: &str) -> String {
    format!("invalid detach keys ({text}): unknown character: '{key}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences() {
        for (text, bytes) in [
            ("ctrl-p,ctrl-q", Some(vec![16, 17])),
            ("a", Some(vec![97])),
            ("ctrl-@,x", Some(vec![0, 120])),
        ] {
            assert_eq!(DetachKeys::parse(text).ok().map(|keys| keys.sequence), bytes);
        }
        for text in ["", "foo", "ctrl-", "ctrl-aa", "a,,b"] {
            assert!(DetachKeys::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn input_is_held_back_only_while_it_matches() {
        let mut keys = DetachKeys::default();
        assert_eq!(keys.filter(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.filter(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(keys.filter(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(keys.filter(b"\x11zzz"), (Vec::new(), true));
    }
}
