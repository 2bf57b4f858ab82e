// SPDX-License-Identifier: MIT
//! Reads what the kernel sends: messages in a datagram, attributes in a message.
//!
//! The iterators end at the first thing that does not fit, so no input makes them panic or loop.

/// Length of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;

/// `NLA_TYPE_MASK`: the two upper bits are flags.
const KIND_MASK: u16 = 0x3fff;

/// One message of a datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(crate) body: &'a [u8],
}

/// The messages of a datagram.
#[derive(Debug, Clone)]
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Received<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::try_from(number(self.0.get(..4)?)?).ok()?;
        let message = self.0.get(..length).filter(|message| message.len() >= HEADER)?;
        let received = Received {
            kind: short(&message[4..6])?,
            flags: short(&message[6..8])?,
            sequence: number(&message[8..12])?,
            body: &message[HEADER..],
        };
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some(received)
    }
}

/// One attribute: kind without flags, and payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

/// The attributes of a message or of a nested attribute.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Reads all of `bytes` as attributes.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Reads the attributes behind a fixed structure of `length` bytes.
    pub(crate) fn after(bytes: &'a [u8], length: usize) -> Self {
        Self(bytes.get(length..).unwrap_or_default())
    }

    /// Returns the payload of the first attribute of that kind.
    pub(crate) fn find(&self, kind: u16) -> Option<&'a [u8]> {
        let mut all = self.clone();
        Iterator::find(&mut all, |attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// Returns the attributes nested in the first one of that kind; none if there is none.
    pub(crate) fn nested(&self, kind: u16) -> Self {
        Self(self.find(kind).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(short(self.0.get(..2)?)?);
        let kind = short(self.0.get(2..4)?)? & KIND_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

/// Reads a 32-bit number in the machine's byte order.
pub(crate) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

/// Reads text up to its NUL.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).ok()
}

fn short(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

/// Rounds up to the alignment of messages and attributes, which is the same.
pub(super) fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::super::message::Message;
    use super::*;

    fn walk(bytes: &[u8], depth: u8) -> usize {
        let nested = Attributes::new(bytes).map(|attribute| {
            let _ = (number(attribute.value), text(attribute.value));
            if depth == 0 {
                0
            } else {
                walk(attribute.value, depth - 1)
            }
        });
        1 + nested.sum::<usize>()
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            for message in Messages(&bytes) {
                prop_assert!(message.body.len() < bytes.len());
                walk(message.body, 3);
            }
            prop_assert!(walk(&bytes, 3) > 0);
        }

        #[test]
        fn what_was_written_is_read(
            attributes in prop::collection::vec((0_u16..0x3fff, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
        ) {
            let mut message = Message::new(7, 1, &[9; 8]);
            for (kind, value) in &attributes {
                message.bytes(*kind, value);
            }
            let datagram = message.finish(42);
            let received: Vec<_> = Messages(&datagram).collect();
            prop_assert_eq!(received.len(), 1);
            prop_assert_eq!((received[0].kind, received[0].flags, received[0].sequence), (7, 1, 42));
            let read: Vec<_> = Attributes::after(received[0].body, 8).map(|a| (a.kind, a.value.to_vec())).collect();
            prop_assert_eq!(read, attributes);
        }
    }

    #[test]
    fn lengths_that_lie_end_the_iteration() {
        for bytes in [
            &[3, 0, 1, 0][..],
            &[0, 0, 0, 0],
            &[255, 255, 1, 0, 7],
            &[8, 0, 1, 0, 1, 2, 3],
        ] {
            assert_eq!(Attributes::new(bytes).next(), None, "{bytes:?}");
        }
        assert_eq!(Attributes::new(&[5, 0, 1, 0x80, 9]).find(1), Some(&[9][..]));
    }
}
