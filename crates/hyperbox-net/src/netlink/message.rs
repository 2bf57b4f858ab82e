// SPDX-License-Identifier: MIT
//! Writes messages for the kernel.

use super::attribute::aligned;

/// Flags of a message (`NLM_F_…`).
pub(crate) mod flag {
    pub(crate) const REQUEST: u16 = 0x1;
    pub(crate) const ACKNOWLEDGE: u16 = 0x4;
    pub(crate) const DUMP: u16 = 0x300;
    pub(crate) const REPLACE: u16 = 0x100;
    pub(crate) const EXCLUSIVE: u16 = 0x200;
    pub(crate) const CREATE: u16 = 0x400;
    pub(crate) const APPEND: u16 = 0x800;
    pub(crate) const DUMP_INTERRUPTED: u16 = 0x10;
}

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

/// A message under construction. Lengths are filled in by [`Message::finish`] and at the end of each nest.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    buffer: Vec<u8>,
}

impl Message {
    /// Begins a message with its fixed structure, which is already in the kernel's layout and aligned.
    pub(crate) fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut buffer = Vec::with_capacity(256);
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&kind.to_ne_bytes());
        buffer.extend_from_slice(&flags.to_ne_bytes());
        buffer.extend_from_slice(&[0; 8]);
        buffer.extend_from_slice(body);
        Self { buffer }
    }

    /// Appends an attribute.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.attribute(kind, |message| message.buffer.extend_from_slice(value))
    }

    /// Appends text with its NUL.
    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.attribute(kind, |message| {
            message.buffer.extend_from_slice(value.as_bytes());
            message.buffer.push(0);
        })
    }

    /// Appends a number in the machine's byte order, as rtnetlink wants it.
    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a number in network byte order, as nfnetlink wants it.
    pub(crate) fn network_number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends a nest whose attributes `fill` appends.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.attribute(kind | NESTED, fill)
    }

    /// Appends a fixed structure, as it stands before the attributes in some nests.
    pub(crate) fn structure(&mut self, bytes: &[u8]) -> &mut Self {
        self.buffer.extend_from_slice(bytes);
        self
    }

    /// Asks for an acknowledgement.
    pub(super) fn acknowledged(mut self) -> Self {
        let flags = u16::from_ne_bytes([self.buffer[6], self.buffer[7]]) | flag::ACKNOWLEDGE;
        self.buffer[6..8].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    /// Returns the bytes to send.
    pub(super) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.buffer.len()).expect("a message is made of a few short attributes");
        self.buffer[..4].copy_from_slice(&length.to_ne_bytes());
        self.buffer[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.buffer
    }

    fn attribute(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 2]);
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        fill(self);
        let length =
            u16::try_from(self.buffer.len() - start).expect("values are names, addresses and short lists of them");
        self.buffer[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.buffer.resize(aligned(self.buffer.len()), 0);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_of_nested_attributes() {
        let mut message = Message::new(0x10, flag::REQUEST, &[1, 2, 3, 4]);
        message.text(3, "eth0").nest(18, |info| {
            info.text(1, "veth");
        });
        let expected = [
            &[48, 0, 0, 0, 0x10, 0, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4][..],
            b"\x09\x00\x03\x00eth0\x00\x00\x00\x00",
            b"\x10\x00\x12\x80\x09\x00\x01\x00veth\x00\x00\x00\x00",
        ];
        if cfg!(target_endian = "little") {
            assert_eq!(message.finish(5), expected.concat());
        }
    }
}
