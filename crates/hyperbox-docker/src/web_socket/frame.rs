// SPDX-License-Identifier: MIT
//! Frames (RFC 6455, section 5). Pure.
//!
//! The reader is fed with whatever arrives. Payloads of data frames come out piece by piece, unmasked; those of control frames, which
//! are 125 bytes at most, as a whole.

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text.
    Text,
    /// Bytes.
    Binary,
    /// The end.
    Close,
    /// The answer to a ping.
    Pong,
}

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A piece of input.
    Data(Vec<u8>),
    /// A question whether somebody is there.
    Ping(Vec<u8>),
    /// The end.
    Close,
}

/// The client does not speak the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Takes frames apart.
#[derive(Debug, Default)]
pub(super) struct Reader {
    header: Vec<u8>,
    open: Option<Open>,
}

/// The frame whose payload is being read.
#[derive(Debug)]
struct Open {
    opcode: u8,
    rest: u64,
    mask: [u8; 4],
    /// Where in the mask the next byte is.
    phase: usize,
    /// What there is of a control frame's payload.
    collected: Vec<u8>,
}

const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The longest payload of a control frame.
const CONTROL_LIMIT: u64 = 125;

/// The frame that says how the connection ends, with a status of section 7.4.
pub(super) fn close(status: u16) -> Vec<u8> {
    let mut bytes = header(Kind::Close, 2);
    bytes.extend_from_slice(&status.to_be_bytes());
    bytes
}

/// The head of a complete, unmasked frame.
pub(super) fn header(kind: Kind, length: usize) -> Vec<u8> {
    let opcode = match kind {
        Kind::Text => 1,
        Kind::Binary => 2,
        Kind::Close => CLOSE,
        Kind::Pong => PONG,
    };
    let mut bytes = vec![0x80 | opcode];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => bytes.push(short),
        (_, Ok(medium)) => {
            bytes.push(126);
            bytes.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes
}

impl Reader {
    /// Takes bytes that arrived and returns what is complete.
    ///
    /// # Errors
    /// [`Malformed`]; the connection is to be ended, after what came before has been used.
    pub(super) fn feed(&mut self, mut bytes: &[u8], complete: &mut Vec<Incoming>) -> Result<(), Malformed> {
        loop {
            match &mut self.open {
                Some(open) => bytes = open.take(bytes, complete),
                None => {
                    let Some((byte, rest)) = bytes.split_first() else {
                        return Ok(());
                    };
                    self.header.push(*byte);
                    bytes = rest;
                    self.open = Open::parse(&self.header)?;
                    if self.open.is_some() {
                        self.header.clear();
                    }
                }
            }
            if self.open.as_ref().is_some_and(|open| open.rest == 0) {
                complete.extend(self.open.take().and_then(Open::finish));
            } else if bytes.is_empty() {
                return Ok(());
            }
        }
    }
}

impl Open {
    /// Parses a head; `None` when more bytes are needed.
    fn parse(header: &[u8]) -> Result<Option<Self>, Malformed> {
        let [first, second, more @ ..] = header else {
            return Ok(None);
        };
        // Reserved bits belong to extensions, and none was agreed on; clients must mask (section 5.1).
        if first & 0x70 != 0 || second & 0x80 == 0 {
            return Err(Malformed);
        }
        let (rest, more) = match second & 0x7f {
            126 => match more.split_first_chunk::<2>() {
                Some((length, more)) => (u64::from(u16::from_be_bytes(*length)), more),
                None => return Ok(None),
            },
            127 => match more.split_first_chunk::<8>() {
                Some((length, more)) => (u64::from_be_bytes(*length), more),
                None => return Ok(None),
            },
            short => (u64::from(short), more),
        };
        let opcode = first & 0x0f;
        if rest > i64::MAX as u64 || (opcode >= CLOSE && rest > CONTROL_LIMIT) {
            return Err(Malformed);
        }
        Ok(more.first_chunk::<4>().map(|mask| Self {
            opcode,
            rest,
            mask: *mask,
            phase: 0,
            collected: Vec::new(),
        }))
    }

    fn is_control(&self) -> bool {
        matches!(self.opcode, CLOSE | PING | PONG)
    }

    /// Takes what belongs to this frame and returns the rest.
    fn take<'b>(&mut self, bytes: &'b [u8], complete: &mut Vec<Incoming>) -> &'b [u8] {
        let length = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
        let (ours, others) = bytes.split_at(length);
        let (mask, phase) = (self.mask, self.phase);
        let plain = ours
            .iter()
            .enumerate()
            .map(|(index, byte)| byte ^ mask[(phase + index) % 4]);
        if self.is_control() {
            self.collected.extend(plain);
        } else if length > 0 {
            complete.push(Incoming::Data(plain.collect()));
        }
        self.phase = (phase + length) % 4;
        self.rest -= length as u64;
        others
    }

    fn finish(self) -> Option<Incoming> {
        match self.opcode {
            CLOSE => Some(Incoming::Close),
            PING => Some(Incoming::Ping(self.collected)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = header(Kind::Binary, payload.len());
        bytes[0] = first;
        bytes[1] |= 0x80;
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
        bytes
    }

    fn data(incoming: &[Incoming]) -> Vec<u8> {
        let pieces = incoming.iter().filter_map(|incoming| match incoming {
            Incoming::Data(data) => Some(data.as_slice()),
            _ => None,
        });
        pieces.collect::<Vec<_>>().concat()
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // Section 5.7: a masked "Hello", and its unmasked form.
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let mut complete = Vec::new();
        Reader::default().feed(&hello, &mut complete).expect("well-formed");
        assert_eq!(data(&complete), b"Hello");
        assert_eq!(header(Kind::Text, 5), [0x81, 0x05]);
        assert_eq!(header(Kind::Binary, 256), [0x82, 0x7e, 0x01, 0x00]);
        assert_eq!(header(Kind::Binary, 65536), [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(close(1000), [0x88, 0x02, 0x03, 0xe8]);
    }

    #[test]
    fn control_frames_between_fragments() {
        let stream = [
            masked(0x02, b"fra"),
            masked(0x89, b"ping"),
            masked(0x80, b"gment"),
            masked(0x8a, b"pong"),
            masked(0x83, b"odd"),
            masked(0x88, b""),
        ]
        .concat();
        let mut complete = Vec::new();
        Reader::default().feed(&stream, &mut complete).expect("well-formed");
        assert_eq!(data(&complete), b"fragmentodd");
        assert!(complete.contains(&Incoming::Ping(b"ping".to_vec())));
        assert_eq!(complete.last(), Some(&Incoming::Close));
    }

    #[test]
    fn what_is_no_frame() {
        for bytes in [
            &b"\x82\x07nomask"[..],
            b"\xc2\x81aaaab",
            b"\x89\xfe\x01\x00",
            b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            let mut complete = Vec::new();
            assert_eq!(
                Reader::default().feed(bytes, &mut complete),
                Err(Malformed),
                "{bytes:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn payloads_survive_any_cuts(payload in proptest::collection::vec(any::<u8>(), 0..70_000), cut in 100..9000_usize) {
            let mut reader = Reader::default();
            let mut complete = Vec::new();
            for piece in masked(0x82, &payload).chunks(cut) {
                reader.feed(piece, &mut complete).expect("well-formed");
            }
            prop_assert_eq!(data(&complete), payload);
        }

        #[test]
        fn foreign_bytes_never_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let mut reader = Reader::default();
            let mut complete = Vec::new();
            for piece in &pieces {
                if reader.feed(piece, &mut complete).is_err() {
                    break;
                }
            }
            prop_assert!(data(&complete).len() <= pieces.concat().len());
        }
    }
}
