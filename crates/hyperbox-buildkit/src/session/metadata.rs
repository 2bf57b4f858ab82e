// SPDX-License-Identifier: MIT
//! Headers of calls to a client: names of directories, patterns, paths. Pure.
//!
//! What is no printable ASCII is encoded as in the query of an address (`url.QueryEscape` of Go), then all values of that name are, and
//! a header `NAME-encoded: 1` says so (`encodeStringForHeader` in `session/filesync/filesync.go` of moby/buildkit).

use http::{HeaderName, HeaderValue};

use crate::transport::client::Metadata;

/// Appends values of one name; nothing when there are none.
pub(super) fn append<V: AsRef<str>>(metadata: &mut Metadata, name: &'static str, values: impl IntoIterator<Item = V>) {
    let values: Vec<V> = values.into_iter().collect();
    let plain = |value: &V| value.as_ref().bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let encode = !values.iter().all(plain);
    for value in &values {
        let text = match encode {
            true => escaped(value.as_ref()),
            false => value.as_ref().to_owned(),
        };
        // Only printable ASCII is left.
        if let Ok(value) = HeaderValue::try_from(text) {
            metadata.push((HeaderName::from_static(name), value));
        }
    }
    if encode && let Ok(name) = HeaderName::try_from(format!("{name}-encoded")) {
        metadata.push((name, HeaderValue::from_static("1")));
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            b' ' => escaped.push('+'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_that_needs_it_encodes_all() {
        for (values, expected) in [
            (&[][..], &[][..]),
            (&["a b", "50%+*"], &[("k", "a b"), ("k", "50%+*")]),
            (&["a b%", "ä"], &[("k", "a+b%25"), ("k", "%C3%A4"), ("k-encoded", "1")]),
            (&["a\nb"], &[("k", "a%0Ab"), ("k-encoded", "1")]),
        ] {
            let mut metadata = Metadata::new();
            append(&mut metadata, "k", values);
            let found: Vec<_> = metadata
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
                .collect();
            assert_eq!(found, expected, "{values:?}");
        }
    }
}
