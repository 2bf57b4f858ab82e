// SPDX-License-Identifier: MIT
//! Requests that Go's HTTP server refuses before Docker sees them, and hyper lets pass: no `Host` or several, broken escapes in the
//! path, expectations and codings that nobody knows. The answers are Go's, in plain text. Pure.

use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{StatusCode, Version};

use crate::answer::{Answer, status, whole};

/// Returns the answer to a request that makes no sense as HTTP; `None` when it does.
///
/// A `Host` is required of HTTP/1.1, and at most one of any version (RFC 9112, 3.2): who guards the engine by that name must not see
/// another one than we do.
pub(crate) fn refusal(version: Version, path: &str, headers: &HeaderMap) -> Option<Answer> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Some(bad_request("400 Bad Request")),
        (None, _) if version == Version::HTTP_11 => {
            return Some(bad_request("400 Bad Request: missing required Host header"));
        }
        (Some(host), _) if !is_host(host) => return Some(bad_request("400 Bad Request: malformed Host header")),
        _ => {}
    }
    // A target in the form of an authority has no path (RFC 9112, 3.2.3).
    if path.is_empty() || !escapes_are_whole(path) {
        return Some(bad_request("400 Bad Request"));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if codings.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Some(plain(StatusCode::NOT_IMPLEMENTED, "Unsupported transfer encoding"));
    }
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers
        .get(EXPECT)
        .is_some_and(|value| !value.is_empty() && !known(value))
    {
        return Some(closing(status(StatusCode::EXPECTATION_FAILED)));
    }
    None
}

/// Only characters that may stand in a host and its port (RFC 3986, 3.2.2), in any order.
fn is_host(value: &HeaderValue) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!$%&()*+,-./:;=@[]_~'".contains(byte);
    value.as_bytes().iter().all(allowed)
}

fn escapes_are_whole(path: &str) -> bool {
    let mut pieces = path.split('%');
    pieces.next();
    pieces.all(|piece| {
        let digits = piece.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn bad_request(text: &'static str) -> Answer {
    plain(StatusCode::BAD_REQUEST, text)
}

fn plain(code: StatusCode, text: &'static str) -> Answer {
    let mut answer = status(code);
    *answer.body_mut() = whole(text);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    closing(answer)
}

fn closing(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(version: Version, path: &str, fields: &[(&'static str, &str)]) -> Option<u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        refusal(version, path, &headers).map(|answer| answer.status().as_u16())
    }

    #[test]
    fn as_go_does() {
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        let host = ("host", "docker");
        for (version, path, fields, expected) in [
            (new, "/info", &[host][..], None),
            (new, "/info", &[("host", "")], None),
            (new, "/info", &[("host", "[::1]:2375")], None),
            (new, "/info", &[], Some(400)),
            (old, "/info", &[], None),
            (old, "/info", &[host, host], Some(400)),
            (new, "/info", &[("host", "a b")], Some(400)),
            (new, "/a%2Fb", &[host], None),
            (new, "/a%zz", &[host], Some(400)),
            (new, "/a%2", &[host], Some(400)),
            (new, "", &[host], Some(400)),
            (new, "/", &[host, ("transfer-encoding", "Chunked")], None),
            (new, "/", &[host, ("transfer-encoding", "gzip, chunked")], Some(501)),
            (new, "/", &[host, ("expect", "100-Continue")], None),
            (new, "/", &[host, ("expect", "nonsense")], Some(417)),
        ] {
            assert_eq!(
                refused(version, path, fields),
                expected,
                "{version:?} {path} {fields:?}"
            );
        }
    }
}
