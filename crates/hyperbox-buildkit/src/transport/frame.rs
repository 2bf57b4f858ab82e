// SPDX-License-Identifier: MIT
//! Messages in the body of a call: one byte that says whether it is compressed, its length in four bytes, big-endian, and the message.
//!
//! What arrives is foreign: a length beyond [`MESSAGE_LIMIT`], a compressed message or a body that ends in the middle of one ends the
//! call with a status. Nothing is kept but the message that is arriving.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::MESSAGE_LIMIT;
use super::status::{Code, Status};

/// What stands before each message.
const HEAD: usize = 5;

/// Puts a message into a frame.
pub(crate) fn frame(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(HEAD + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // The buffer grows: encoding cannot fail.
    let _infallible = message.encode(&mut bytes);
    bytes.freeze()
}

/// Puts a message that is encoded already into a frame.
pub(crate) fn frame_encoded(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD + message.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    bytes.put_slice(message);
    bytes.freeze()
}

/// Returns the message in a frame of [`frame`].
pub(crate) fn payload(mut framed: Bytes) -> Bytes {
    framed.split_off(HEAD.min(framed.len()))
}

/// Reads a message.
///
/// # Errors
/// [`Code::Internal`], as with other servers.
pub(crate) fn decode<M: prost::Message + Default>(bytes: Bytes) -> Result<M, Status> {
    M::decode(bytes).map_err(|error| Status::new(Code::Internal, format!("malformed message: {error}")))
}

/// Cuts bytes into messages.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: BytesMut,
}

impl Frames {
    /// Adds what has arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next message, without its head, if all of it is there.
    ///
    /// # Errors
    /// [`Code::Unimplemented`] for what is compressed, [`Code::ResourceExhausted`] for what is too long.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(head) = self.bytes.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        if head[0] != 0 {
            return Err(Status::new(
                Code::Unimplemented,
                "compressed messages are not understood",
            ));
        }
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > MESSAGE_LIMIT {
            return Err(Status::new(
                Code::ResourceExhausted,
                format!("a message of {length} bytes is larger than {MESSAGE_LIMIT}"),
            ));
        }
        if self.bytes.len() < HEAD + length {
            return Ok(None);
        }
        self.bytes.advance(HEAD);
        Ok(Some(self.bytes.split_to(length).freeze()))
    }

    /// Tells whether a message has begun and not ended.
    pub(crate) fn is_partial(&self) -> bool {
        !self.bytes.is_empty()
    }
}

/// Reads the messages of a body.
#[derive(Debug)]
pub(crate) struct Messages {
    body: Incoming,
    frames: Frames,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl Messages {
    /// Reads those of this body.
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body,
            frames: Frames::default(),
            trailers: None,
            ended: false,
        }
    }

    /// Returns the next message; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// Those of [`Frames::next`], [`Code::Unavailable`] when the connection is gone, [`Code::Internal`] when it ends within a message.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.frames.next()? {
                return Ok(Some(message));
            }
            if self.ended {
                return match self.frames.is_partial() {
                    true => Err(Status::new(Code::Internal, "the stream ends within a message")),
                    false => Ok(None),
                };
            }
            match self.body.frame().await {
                None => self.ended = true,
                Some(Err(error)) => {
                    // Which of the layers below has failed is said by its source.
                    let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
                    let message = format!("the peer is gone: {error}{}", source.unwrap_or_default());
                    return Err(Status::new(Code::Unavailable, message));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.frames.push(&data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        }
    }

    /// Returns the only message of a call that has one.
    ///
    /// # Errors
    /// As [`Messages::next`]; [`Code::Internal`] when there is none.
    pub(crate) async fn only<M: prost::Message + Default>(&mut self) -> Result<M, Status> {
        match self.next().await? {
            Some(bytes) => decode(bytes),
            None => Err(Status::new(Code::Internal, "the call has no message")),
        }
    }

    /// Returns the trailers, once all messages were read.
    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(frames: &mut Frames, flag: u8, length: u32, message: &[u8]) {
        frames.push(&[flag]);
        frames.push(&length.to_be_bytes());
        frames.push(message);
    }

    #[test]
    fn messages_are_cut_wherever_they_are_split() {
        let mut bytes = Frames::default();
        put(&mut bytes, 0, 3, b"abc");
        put(&mut bytes, 0, 0, b"");
        put(&mut bytes, 0, 2, b"de");
        let all = bytes.bytes.freeze();
        for step in 1..=all.len() {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for piece in all.chunks(step) {
                frames.push(piece);
                while let Some(message) = frames.next().expect("well formed") {
                    found.push(message);
                }
            }
            assert_eq!(found, ["abc", "", "de"].map(Bytes::from), "pieces of {step}");
            assert!(!frames.is_partial());
        }
    }

    #[test]
    fn what_is_too_long_or_compressed_is_refused_at_its_head() {
        let mut frames = Frames::default();
        put(&mut frames, 0, u32::MAX, b"");
        assert_eq!(frames.next().expect_err("too long").code, Code::ResourceExhausted);
        let mut frames = Frames::default();
        put(&mut frames, 1, 1, b"x");
        assert_eq!(frames.next().expect_err("compressed").code, Code::Unimplemented);
        let mut frames = Frames::default();
        put(&mut frames, 0, 2, b"x");
        assert_eq!(frames.next().expect("not yet"), None);
        assert!(frames.is_partial());
    }
}
