// SPDX-License-Identifier: MIT
//! An answer: its head is there, its body is read on demand.

use hyperbox_types::Hint;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::body::Body;
use super::head::Head;
use crate::error::{ClientError, Result};
use crate::host::Host;

/// The largest JSON answer that is read into memory.
const MAX_JSON: u64 = 64 * 1024 * 1024;
/// The largest text of an error that is kept.
const MAX_ERROR: u64 = 64 * 1024;

/// An answer of the daemon.
#[derive(Debug)]
pub struct Response {
    pub(crate) host: Host,
    pub(crate) path: String,
    pub(crate) head: Head,
    pub(crate) body: Body,
}

impl Response {
    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// Returns a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// Returns the body as a reader.
    pub fn into_body(self) -> Body {
        self.body
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the connection breaks, [`ClientError::Decode`] when the JSON is not of that shape.
    pub fn json<T: DeserializeOwned>(mut self) -> Result<T> {
        let bytes = self.bytes()?;
        serde_json::from_slice(&bytes).map_err(|source| ClientError::Decode {
            path: self.path,
            source,
        })
    }

    /// Reads the body as JSON text without looking into it.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub fn raw_json(mut self) -> Result<Box<RawValue>> {
        let bytes = self.bytes()?;
        serde_json::from_slice(&bytes).map_err(|source| ClientError::Decode {
            path: self.path,
            source,
        })
    }

    /// Reads and forgets the body, so that the connection can be used again.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the connection breaks.
    pub fn discard(mut self) -> Result<()> {
        self.bytes().map(drop)
    }

    fn bytes(&mut self) -> Result<Vec<u8>> {
        self.body.read_all(MAX_JSON).map_err(|source| ClientError::Broken {
            host: self.host.clone(),
            doing: "reading an answer",
            source,
        })
    }

    /// Turns an answer with an error status into the error.
    pub(crate) fn checked(mut self) -> Result<Self> {
        let status = self.head.status;
        if status < 400 {
            return Ok(self);
        }
        let bytes = self.body.read_all(MAX_ERROR).unwrap_or_default();
        let (message, hint) = error_message(status, &bytes);
        Err(ClientError::Daemon { status, message, hint })
    }
}

/// Finds the sentence in the body of an error, and advice if there is some: `{"message": …, "hint": …}`, or plain text as very old API
/// versions send it.
fn error_message(status: u16, body: &[u8]) -> (String, Option<Hint>) {
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
        hint: Option<Hint>,
    }
    if let Ok(Message { message, hint }) = serde_json::from_slice(body) {
        return (message, hint);
    }
    let text = String::from_utf8_lossy(body);
    let message = match text.trim() {
        "" => format!("the daemon answered with status {status} and no explanation"),
        text => text.chars().take(2000).collect(),
    };
    (message, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_sentences() {
        for (body, message) in [
            (r#"{"message":"No such container: x"}"#, "No such container: x"),
            ("plain text\n", "plain text"),
            ("", "the daemon answered with status 500 and no explanation"),
            ("[1]", "[1]"),
        ] {
            assert_eq!(error_message(500, body.as_bytes()), (message.to_owned(), None));
        }
        let (_, hint) = error_message(409, br#"{"message":"taken","hint":"take another"}"#);
        assert_eq!(hint, Some(Hint::new("take another")));
    }
}
