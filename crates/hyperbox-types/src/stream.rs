// SPDX-License-Identifier: MIT
//! The framing of multiplexed byte streams: Docker's `stdcopy` header, with three more channels for our own fast path.
//!
//! ```text
//!  0        1..4      4..8
//! ┌────────┬─────────┬──────────────────┬───────────
//! │channel │ 0 0 0   │ length, big endian│ payload …
//! └────────┴─────────┴──────────────────┴───────────
//! ```
//!
//! Channels 1 and 2 are what every Docker client reads on an attached stream without a terminal, so the bytes that a shim
//! writes go to a Docker client without being touched. Channels 3 and up appear only on `POST /hyperbox/v1/run`.

/// The length of a frame header in bytes.
pub const HEADER_LEN: usize = 8;

/// The largest payload that HyperBox itself puts into one frame.
pub const MAX_PAYLOAD: usize = 32 * 1024;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Channel {
    /// Bytes for the standard input of the process; an empty frame closes it.
    Stdin = 0,
    /// Bytes of standard output (or of the terminal).
    Stdout = 1,
    /// Bytes of standard error.
    Stderr = 2,
    /// Docker's error channel: text of an error that ended the stream.
    SystemError = 3,
    /// A JSON message of [`crate::run`].
    Control = 4,
}

impl TryFrom<u8> for Channel {
    type Error = u8;

    fn try_from(byte: u8) -> Result<Self, u8> {
        match byte {
            0 => Ok(Self::Stdin),
            1 => Ok(Self::Stdout),
            2 => Ok(Self::Stderr),
            3 => Ok(Self::SystemError),
            4 => Ok(Self::Control),
            other => Err(other),
        }
    }
}

/// Returns the header of a frame.
pub fn header(channel: Channel, length: u32) -> [u8; HEADER_LEN] {
    let [a, b, c, d] = length.to_be_bytes();
    [channel as u8, 0, 0, 0, a, b, c, d]
}

/// Reads a header; `None` for an unknown channel.
pub fn parse_header(bytes: [u8; HEADER_LEN]) -> Option<(Channel, u32)> {
    let channel = Channel::try_from(bytes[0]).ok()?;
    Some((channel, u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips() {
        for channel in [
            Channel::Stdin,
            Channel::Stdout,
            Channel::Stderr,
            Channel::SystemError,
            Channel::Control,
        ] {
            assert_eq!(parse_header(header(channel, 70_000)), Some((channel, 70_000)));
        }
        assert_eq!(header(Channel::Stdout, 258), [1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(parse_header([9, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
