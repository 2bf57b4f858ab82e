// SPDX-License-Identifier: MIT
//! How a call ended: a code, a sentence, and details for programs; in trailers `grpc-status`, `grpc-message` (percent-encoded) and
//! `grpc-status-details-bin` (a `google.rpc.Status` in base64). Pure.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue};
use hyperbox_types::ErrorKind;
use prost::Message as _;

use crate::proto::rpc;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Headers have a limit in clients: no more details than fit beside everything else are sent.
const DETAILS_LIMIT: usize = 512 * 1024;

/// Binary headers are written without padding and read with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Codes of gRPC (`google.rpc.Code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// Reads a number; what is no code is [`Code::Unknown`].
    pub(crate) fn of(number: i32) -> Self {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        Self::ALL.get(index).copied().unwrap_or(Self::Unknown)
    }

    /// Returns the class that the engine has for it.
    pub(crate) fn kind(self) -> ErrorKind {
        match self {
            Self::Cancelled => ErrorKind::Cancelled,
            Self::InvalidArgument | Self::OutOfRange => ErrorKind::InvalidArgument,
            Self::NotFound => ErrorKind::NotFound,
            Self::AlreadyExists => ErrorKind::AlreadyExists,
            Self::PermissionDenied | Self::Unauthenticated => ErrorKind::PermissionDenied,
            Self::ResourceExhausted => ErrorKind::ResourceExhausted,
            Self::FailedPrecondition => ErrorKind::FailedPrecondition,
            Self::Aborted => ErrorKind::Conflict,
            Self::Unimplemented => ErrorKind::Unsupported,
            Self::Unavailable | Self::DeadlineExceeded => ErrorKind::Unavailable,
            Self::Ok | Self::Unknown | Self::Internal | Self::DataLoss => ErrorKind::Internal,
        }
    }
}

impl From<ErrorKind> for Code {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::AlreadyExists | ErrorKind::NotModified => Self::AlreadyExists,
            ErrorKind::InvalidArgument => Self::InvalidArgument,
            ErrorKind::FailedPrecondition => Self::FailedPrecondition,
            ErrorKind::Conflict => Self::Aborted,
            ErrorKind::PermissionDenied => Self::PermissionDenied,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Unsupported => Self::Unimplemented,
            ErrorKind::ResourceExhausted => Self::ResourceExhausted,
            ErrorKind::Cancelled => Self::Cancelled,
            ErrorKind::Internal => Self::Internal,
        }
    }
}

/// How a call ended, when not well.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Status {
    /// The class.
    pub(crate) code: Code,
    /// For people.
    pub(crate) message: String,
    /// For programs.
    pub(crate) details: Vec<rpc::Any>,
}

impl Status {
    /// Makes one without details.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// A method that is not there.
    pub(crate) fn unimplemented(path: &str) -> Self {
        Self::new(Code::Unimplemented, format!("unknown method {path}"))
    }

    /// Returns the trailers of a call that went well.
    pub(crate) fn ok() -> HeaderMap {
        HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))])
    }

    /// Returns the trailers.
    pub(crate) fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert(STATUS, HeaderValue::from(self.code as i32));
        if let Ok(message) = HeaderValue::try_from(encoded(&self.message)) {
            trailers.insert(MESSAGE, message);
        }
        let details = self.to_message().encode_to_vec();
        if !self.details.is_empty()
            && details.len() <= DETAILS_LIMIT
            && let Ok(value) = HeaderValue::try_from(BASE64.encode(details))
        {
            trailers.insert(DETAILS, value);
        }
        trailers
    }

    /// Reads trailers; `None` when the call went well.
    pub(crate) fn of_trailers(trailers: &HeaderMap) -> Option<Self> {
        let text = |name: &HeaderName| trailers.get(name).and_then(|value| value.to_str().ok());
        let Some(number) = text(&STATUS) else {
            return Some(Self::new(Code::Unknown, "the answer has no status"));
        };
        let code = number.trim().parse().map_or(Code::Unknown, Code::of);
        if code == Code::Ok {
            return None;
        }
        let details = text(&DETAILS)
            .and_then(|value| BASE64.decode(value).ok())
            .and_then(|bytes| rpc::Status::decode(bytes.as_slice()).ok())
            .map(|status| status.details)
            .unwrap_or_default();
        Some(Self {
            code,
            message: decoded(text(&MESSAGE).unwrap_or_default()),
            details,
        })
    }

    /// Returns it as a message.
    pub(crate) fn to_message(&self) -> rpc::Status {
        rpc::Status {
            code: self.code as i32,
            message: self.message.clone(),
            details: self.details.clone(),
        }
    }

    /// Reads a message.
    pub(crate) fn of_message(message: rpc::Status) -> Self {
        Self {
            code: Code::of(message.code),
            message: message.message,
            details: message.details,
        }
    }
}

/// Percent-encodes what is no printable ASCII, and `%`.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => encoded.push_str("%25"),
            b' '..=b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The opposite; what is malformed stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, value) {
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = &after[2..];
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_the_way() {
        let status = Status {
            code: Code::NotFound,
            message: "50% of “a”\nare gone".to_owned(),
            details: vec![rpc::Any {
                type_url: "x".to_owned(),
                value: b"{}".to_vec(),
            }],
        };
        let trailers = status.trailers();
        assert_eq!(trailers[MESSAGE], "50%25 of %E2%80%9Ca%E2%80%9D%0Aare gone");
        assert_eq!(Status::of_trailers(&trailers), Some(status));
        assert_eq!(Status::of_trailers(&Status::ok()), None);
    }

    #[test]
    fn foreign_trailers_are_read_as_they_are() {
        let read = |fields: &[(&'static str, &'static str)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            Status::of_trailers(&fields.collect()).map(|status| (status.code, status.message))
        };
        assert_eq!(read(&[]).expect("no status").0, Code::Unknown);
        assert_eq!(
            read(&[("grpc-status", "5"), ("grpc-message", "a%zz%2")]),
            Some((Code::NotFound, "a%zz%2".to_owned()))
        );
        assert_eq!(
            read(&[("grpc-status", "99"), ("grpc-status-details-bin", "!")]),
            Some((Code::Unknown, String::new()))
        );
    }

    #[test]
    fn kinds_have_codes() {
        for code in Code::ALL {
            if !matches!(code.kind(), ErrorKind::Internal) {
                assert_eq!(Code::from(code.kind()).kind(), code.kind());
            }
            assert_eq!(Code::of(code as i32), code);
        }
        assert_eq!(Code::of(-1), Code::Unknown);
    }
}
