// SPDX-License-Identifier: MIT
//! Where a redirect leads, and whether it is followed. Pure.
//!
//! Registries send readers of blobs to storage servers. Credentials stay behind as soon as a hop leaves the first origin (they
//! would also make signed storage URLs fail). Plain HTTP is never entered from HTTPS unless the operator named the host, and
//! loopback is never entered by plain HTTP from elsewhere: a registry must not reach services of this machine through us.

use http::{Method, StatusCode};
use reqwest::Url;

use crate::config::is_loopback;

/// The most redirects that one request follows.
const MAX_HOPS: usize = 10;

/// Tells whether two URLs have the same scheme, host and port.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// Returns `host[:port]` as it is written in references: without the port that the scheme implies.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Tells whether a status asks to look elsewhere.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The server broke the protocol; the text goes after its name.
    Protocol(String),
    /// Following is not allowed.
    Refused(String),
}

/// Decides the next hop. `visited` are the URLs asked so far, the last of them answered with `status` and `location`;
/// `is_plain_host` tells which hosts the operator named for plain HTTP.
pub(crate) fn next_hop(
    method: &Method,
    visited: &[Url],
    status: StatusCode,
    location: Option<&str>,
    is_plain_host: impl Fn(&str) -> bool,
) -> Result<Url, Stop> {
    let protocol = |reason: &str| Err(Stop::Protocol(reason.to_owned()));
    let (Some(current), Some(location)) = (visited.last(), location) else {
        return protocol("redirects without saying where to");
    };
    let replayable = *method == Method::GET || *method == Method::HEAD || matches!(status.as_u16(), 307 | 308);
    if !replayable {
        return protocol("redirects a request that changes something");
    }
    let Ok(mut target) = current.join(location) else {
        return protocol("redirects to something that is no URL");
    };
    target.set_fragment(None);
    if visited.contains(&target) {
        return protocol("redirects in a loop");
    }
    if visited.len() > MAX_HOPS {
        return protocol("redirects too often");
    }
    let has_credentials = !target.username().is_empty() || target.password().is_some();
    if !matches!(target.scheme(), "http" | "https") || target.host_str().is_none() || has_credentials {
        return protocol("redirects to something that is no plain web address");
    }
    if target.scheme() == "http" && !allowed_plain(current, &target, is_plain_host) {
        return Err(Stop::Refused(format!(
            "{} redirects to plain http on {}, which is not allowed",
            authority(current),
            authority(&target)
        )));
    }
    Ok(target)
}

fn allowed_plain(current: &Url, target: &Url, is_plain_host: impl Fn(&str) -> bool) -> bool {
    let within_loopback =
        current.scheme() == "http" && is_loopback(&authority(current)) && is_loopback(&authority(target));
    within_loopback || is_plain_host(&authority(target))
}

/// Resolves the `Location` of an upload session.
///
/// Registries behind a proxy that ends TLS name themselves with `http://`: that is mended, not followed.
pub(crate) fn upload_location(current: &Url, location: &str) -> Option<Url> {
    let mut target = current.join(location).ok()?;
    if !matches!(target.scheme(), "http" | "https") || !target.username().is_empty() || target.password().is_some() {
        return None;
    }
    if current.scheme() == "https" && target.scheme() == "http" && current.host_str() == target.host_str() {
        target.set_scheme("https").ok()?;
        target.set_port(current.port()).ok()?;
    }
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn hop(method: &Method, from: &str, status: u16, location: &str) -> String {
        let status = StatusCode::from_u16(status).expect("status");
        let visited = [url("https://first/"), url(from)];
        match next_hop(method, &visited, status, Some(location), |host| host == "named:81") {
            Ok(url) => url.to_string(),
            Err(Stop::Protocol(reason)) => format!("protocol: {reason}"),
            Err(Stop::Refused(_)) => "refused".to_owned(),
        }
    }

    #[test]
    fn hops() {
        for (from, location, expected) in [
            ("https://a/v2/x?y", "/z", "https://a/z"),
            ("https://a/v2/x", "z#f", "https://a/v2/z"),
            ("https://a/", "https://b:8/c?sig=1", "https://b:8/c?sig=1"),
            ("https://a/", "//b/c", "https://b/c"),
            ("https://a/", "http://b/c", "refused"),
            ("https://a/", "http://127.0.0.1/c", "refused"),
            ("http://10.0.0.1:5/", "http://127.0.0.1/c", "refused"),
            ("http://127.0.0.1:5/", "http://localhost:6/c", "http://localhost:6/c"),
            ("https://a/", "http://named:81/c", "http://named:81/c"),
            ("https://a/", "https://first/", "protocol: redirects in a loop"),
            ("https://a/", "https://a/", "protocol: redirects in a loop"),
            (
                "https://a/",
                "file:///etc/passwd",
                "protocol: redirects to something that is no plain web address",
            ),
            (
                "https://a/",
                "https://u:p@b/",
                "protocol: redirects to something that is no plain web address",
            ),
            (
                "https://a/",
                "https://[",
                "protocol: redirects to something that is no URL",
            ),
        ] {
            assert_eq!(hop(&Method::GET, from, 307, location), expected, "{from} {location}");
        }
    }

    #[test]
    fn writes_are_repeated_only_when_the_status_says_so() {
        for (status, followed) in [(301, false), (302, false), (303, false), (307, true), (308, true)] {
            let outcome = hop(&Method::POST, "https://a/", status, "/b");
            assert_eq!(outcome == "https://a/b", followed, "{status}");
            assert_eq!(hop(&Method::HEAD, "https://a/", status, "/b"), "https://a/b");
        }
    }

    #[test]
    fn hops_are_counted() {
        let visited: Vec<Url> = (0..11).map(|n| url(&format!("https://a/{n}"))).collect();
        let next = |visited: &[Url]| next_hop(&Method::GET, visited, StatusCode::FOUND, Some("/x"), |_| false);
        assert!(next(&visited[..10]).is_ok());
        assert!(matches!(next(&visited), Err(Stop::Protocol(_))));
        let missing = next_hop(&Method::GET, &visited[..1], StatusCode::FOUND, None, |_| false);
        assert!(matches!(missing, Err(Stop::Protocol(_))));
    }

    #[test]
    fn upload_locations() {
        for (current, location, expected) in [
            (
                "https://a/v2/x/blobs/uploads/",
                "/v2/x/blobs/uploads/1?_state=s",
                Some("https://a/v2/x/blobs/uploads/1?_state=s"),
            ),
            ("https://a/v2/", "http://a/v2/1", Some("https://a/v2/1")),
            ("https://a:8/v2/", "http://a/v2/1", Some("https://a:8/v2/1")),
            ("https://a/", "http://b/1", Some("http://b/1")),
            ("https://a/", "ftp://b/1", None),
            ("https://a/", "https://u@b/1", None),
        ] {
            let resolved = upload_location(&url(current), location).map(|url| url.to_string());
            assert_eq!(resolved.as_deref(), expected, "{location}");
        }
    }
}
