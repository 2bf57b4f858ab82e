// SPDX-License-Identifier: MIT
//! The server's side of the handshake (RFC 6455, section 4.2). Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use sha1::{Digest as _, Sha1};

/// Section 1.3: what is appended to the key.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What the answer says of an accepted handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// `Sec-WebSocket-Accept`.
    pub accept: String,
    /// The one subprotocol that the client asked for.
    pub protocol: Option<String>,
}

/// Accepts a handshake, or says in the words of Docker's library why not; the client gets them as the text of a 400.
pub(crate) fn accept(headers: &HeaderMap) -> Result<Accepted, &'static str> {
    let text = |name: HeaderName| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let upgrades = text(CONNECTION)
        .split(',')
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    if !upgrades || !text(UPGRADE).eq_ignore_ascii_case("websocket") {
        return Err("not websocket protocol");
    }
    if text(SEC_WEBSOCKET_VERSION) != "13" {
        return Err("missing or bad WebSocket Version");
    }
    let key = text(SEC_WEBSOCKET_KEY).trim();
    // Section 4.1: 16 bytes in base64.
    if STANDARD.decode(key).map_or(0, |bytes| bytes.len()) != 16 {
        return Err("mismatch challenge/response");
    }
    let wishes = text(SEC_WEBSOCKET_PROTOCOL);
    let protocol = match wishes {
        "" => None,
        // Somebody would have to choose.
        several if several.contains(',') => return Err(""),
        one => Some(one.trim().to_owned()),
    };
    let digest = Sha1::new().chain_update(key).chain_update(MAGIC).finalize();
    Ok(Accepted {
        accept: STANDARD.encode(digest),
        protocol,
    })
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    #[test]
    fn handshakes() {
        let good = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value, expected) in [
            // The example of section 1.3.
            ("x-other", "", Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
            ("upgrade", "tcp", Err("not websocket protocol")),
            ("connection", "close", Err("not websocket protocol")),
            ("sec-websocket-version", "8", Err("missing or bad WebSocket Version")),
            ("sec-websocket-key", "dGhl", Err("mismatch challenge/response")),
            ("sec-websocket-key", "", Err("mismatch challenge/response")),
            ("sec-websocket-protocol", "a, b", Err("")),
            ("sec-websocket-protocol", "a", Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in good.into_iter().chain([(name, value)]) {
                headers.insert(
                    HeaderName::from_bytes(name.as_bytes()).expect("name"),
                    HeaderValue::from_static(value),
                );
            }
            let accepted = accept(&headers);
            assert_eq!(
                accepted
                    .as_ref()
                    .map(|accepted| accepted.accept.as_str())
                    .map_err(|reason| *reason),
                expected,
                "{name}: {value}"
            );
        }
    }
}
