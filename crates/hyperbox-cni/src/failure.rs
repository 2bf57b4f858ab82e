// SPDX-License-Identifier: MIT
//! Makes the seam's error, and reads the error results of plugins. Pure.
//!
//! A plugin that fails prints `{"cniVersion", "code", "msg", "details"}` (specification, section 5, "Error"). Codes up to 99 are the
//! specification's, others each plugin's own.

use std::io;

use hyperbox_core::seam::NetworkError;
use hyperbox_types::ErrorKind;
use serde::Deserialize;

/// Longest part of a plugin's own words that is repeated.
const LONGEST: usize = 2000;

#[derive(Debug, Deserialize)]
struct ErrorResult {
    code: u64,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    details: String,
}

/// The driver refuses.
pub(crate) fn refused(network: &str, kind: ErrorKind, message: impl Into<String>) -> NetworkError {
    NetworkError {
        network: network.to_owned(),
        message: message.into(),
        kind,
        source: None,
    }
}

/// The system refused; `operation` completes "cannot …".
pub(crate) fn failed(network: &str, operation: &str, source: io::Error) -> NetworkError {
    let kind = match source.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::StorageFull | io::ErrorKind::OutOfMemory => ErrorKind::ResourceExhausted,
        _ => ErrorKind::Internal,
    };
    NetworkError {
        network: network.to_owned(),
        message: format!("cannot {operation}"),
        kind,
        source: Some(source),
    }
}

/// Says what a plugin says that failed: its error result if it printed one, else what it wrote to standard error.
pub(crate) fn of_plugin(network: &str, plugin: &str, verb: &str, stdout: &[u8], stderr: &[u8]) -> NetworkError {
    let said = |text: &str| format!("plugin {plugin:?} failed ({verb}): {text}");
    let Ok(error) = serde_json::from_slice::<ErrorResult>(stdout) else {
        let complaint = [stderr, stdout].map(legible).into_iter().find(|text| !text.is_empty());
        let text = complaint.unwrap_or_else(|| "it does not say why".to_owned());
        return refused(network, ErrorKind::Internal, said(&text));
    };
    let (message, details) = (legible(error.msg.as_bytes()), legible(error.details.as_bytes()));
    let text = match (message.is_empty(), details.is_empty()) {
        (true, true) => format!("error code {}", error.code),
        (true, false) => details,
        (false, true) => message,
        (false, false) => format!("{message}: {details}"),
    };
    let kind = kind_of(error.code, &text);
    refused(network, kind, said(&text))
}

/// Codes of the specification, and two texts of the address management that comes with the reference plugins: it has no codes.
fn kind_of(code: u64, text: &str) -> ErrorKind {
    match code {
        1 => ErrorKind::Unsupported,
        2 | 7 => ErrorKind::InvalidArgument,
        3 => ErrorKind::NotFound,
        11 | 50 | 51 => ErrorKind::Unavailable,
        _ if text.contains("no IP addresses available in range set") => ErrorKind::ResourceExhausted,
        _ if text.contains("is not available in range set") || text.contains("has been allocated") => {
            ErrorKind::Conflict
        }
        _ => ErrorKind::Internal,
    }
}

/// Makes one printable line of whatever a program wrote.
pub(crate) fn legible(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * LONGEST)]);
    let clean = |character: char| if character.is_control() { ' ' } else { character };
    let text: String = text.trim().chars().take(LONGEST).map(clean).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stdout: &str, stderr: &str) -> (String, ErrorKind) {
        let error = of_plugin("net", "bridge", "ADD", stdout.as_bytes(), stderr.as_bytes());
        (error.to_string(), error.kind)
    }

    #[test]
    fn error_results() {
        let cases = [
            (r#"{"code": 1, "msg": "old"}"#, "old", ErrorKind::Unsupported),
            (
                r#"{"code": 7, "msg": "a", "details": "b"}"#,
                "a: b",
                ErrorKind::InvalidArgument,
            ),
            (r#"{"code": 11, "details": "later"}"#, "later", ErrorKind::Unavailable),
            (r#"{"code": 120}"#, "error code 120", ErrorKind::Internal),
            (
                r#"{"code": 100, "msg": "failed to allocate for range 0: no IP addresses available in range set: 10.0.0.1-10.0.0.2"}"#,
                "failed to allocate for range 0: no IP addresses available in range set: 10.0.0.1-10.0.0.2",
                ErrorKind::ResourceExhausted,
            ),
        ];
        for (stdout, text, kind) in cases {
            assert_eq!(
                read(stdout, "noise"),
                (format!("plugin \"bridge\" failed (ADD): {text}"), kind)
            );
        }
    }

    #[test]
    fn without_an_error_result_the_other_stream_speaks() {
        assert_eq!(
            read("", "oops\x1b[1m\nagain\n").0,
            "plugin \"bridge\" failed (ADD): oops [1m again"
        );
        assert_eq!(read("garbage", "").0, "plugin \"bridge\" failed (ADD): garbage");
        assert_eq!(read("", "").0, "plugin \"bridge\" failed (ADD): it does not say why");
        assert!(read("", &"x".repeat(100_000)).0.len() < 2100);
    }
}
