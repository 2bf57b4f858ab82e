// SPDX-License-Identifier: MIT
//! A file of a web server that a person named by its URL (`docker import URL`): one GET, redirects, a stream.
//!
//! Plain HTTP is allowed here, because the person wrote it; a redirect may not lead from HTTPS to plain HTTP, nor from elsewhere to
//! this machine ([`crate::redirect`]). Nothing is sent but the request: no credentials, no cookies. Each piece must come within the
//! stall limit, and a body that ends before its announced length is an error; how long it may be is for the caller to bound.
//!
//! A caller that knows entity tags of the file sends them along. A server that answers with one of them is believed that the bytes are
//! those it had then, by 304 or not: some ignore the condition, and then the body is not read. Dates are no such condition: two changes
//! within a second have the same one.

use futures_util::{StreamExt as _, stream};
use http::header::{ETAG, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyperbox_core::seam::{Download, RegistryError, RegistryFault};
use hyperbox_core::time::Timestamp;
use reqwest::Url;

use crate::failure::{Failure, printable};
use crate::session::Session;
use crate::transport::Answer;

/// The most bytes of an error page that are shown.
const SHOWN: u64 = 4 * 1024;
/// A longer entity tag is none.
const LONGEST_TAG: usize = 1024;

/// Opens the file; the header of the answer is there when this returns.
///
/// # Errors
/// `Refused` for a URL that is none, `NotFound` and others by the status, `Unavailable`.
pub(crate) async fn open(
    session: std::sync::Arc<Session>,
    text: &str,
    known: &[String],
) -> Result<Download, RegistryError> {
    let url = parse(text)?;
    let answer = session
        .transport
        .fetch(&url, &condition(known))
        .await
        .map_err(|failure| told(&url, failure))?;
    let status = answer.status();
    if status.as_u16() >= 400 {
        return Err(refused(&session, &url, answer).await);
    }
    let length = answer.content_length();
    let modified_at = answer.header(&LAST_MODIFIED).and_then(moment);
    let entity_tag = match (entity_tag(answer.header(&ETAG)), known) {
        // A server need not repeat what it was asked about.
        (None, [only]) if status == StatusCode::NOT_MODIFIED => Some(only.clone()),
        (tag, _) => tag,
    };
    let unchanged = entity_tag
        .as_ref()
        .is_some_and(|tag| known.iter().any(|known| same(known, tag)));
    if unchanged {
        return Ok(Download {
            length,
            entity_tag,
            modified_at,
            unchanged,
            pieces: stream::empty().boxed(),
        });
    }
    if status == StatusCode::NOT_MODIFIED {
        return Err(RegistryError {
            fault: RegistryFault::Protocol,
            message: format!("Get \"{url}\": not modified, but since which state is not said"),
            source: None,
        });
    }
    let pieces = stream::try_unfold((session, answer), |(session, mut answer)| async move {
        let piece = session.transport.next_chunk(&mut answer).await;
        match piece {
            Ok(Some(bytes)) => Ok(Some((bytes, (session, answer)))),
            Ok(None) => Ok(None),
            Err(failure) => Err(std::io::Error::other(failure)),
        }
    });
    Ok(Download {
        length,
        entity_tag,
        modified_at,
        unchanged,
        pieces: pieces.boxed(),
    })
}

/// Asks for what has another entity tag than these.
fn condition(known: &[String]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(tags) = HeaderValue::from_str(&known.join(", "))
        .ok()
        .filter(|_| !known.is_empty())
    {
        headers.insert(IF_NONE_MATCH, tags);
    }
    headers
}

/// Returns an entity tag that is well-formed: `"…"` or `W/"…"` (RFC 9110, section 8.8.3).
fn entity_tag(header: Option<&str>) -> Option<String> {
    let text = header?.trim();
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let is_tag = text.len() <= LONGEST_TAG && inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    is_tag.then(|| text.to_owned())
}

/// Compares as `If-None-Match` does (RFC 9110, section 8.8.3.2).
fn same(one: &str, other: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    opaque(one) == opaque(other)
}

/// Reads an HTTP date, which is one of RFC 2822 too; the obsolete forms of RFC 9110, section 5.6.7, are none here.
fn moment(header: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
    i64::try_from(date.as_nanosecond()).ok().map(Timestamp)
}

/// A text without scheme is one of plain HTTP, as for Docker.
fn parse(text: &str) -> Result<Url, RegistryError> {
    let refused = |reason: String| RegistryError {
        fault: RegistryFault::Refused,
        message: reason,
        source: None,
    };
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = Url::parse(&whole).map_err(|error| refused(format!("parse \"{text}\": {error}")))?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_some() => Ok(url),
        scheme => Err(refused(format!(
            "Get \"{url}\": unsupported protocol scheme \"{scheme}\""
        ))),
    }
}

fn told(url: &Url, failure: Failure) -> RegistryError {
    match failure {
        Failure::Connection {
            unreached: Some(reason),
            ..
        } => RegistryError {
            fault: RegistryFault::Unavailable,
            message: reason,
            source: None,
        },
        Failure::Refused { .. } => RegistryError {
            fault: RegistryFault::Refused,
            message: format!("Get \"{url}\""),
            source: Some(Box::new(failure)),
        },
        failure => RegistryError {
            fault: RegistryFault::Unavailable,
            message: format!("Get \"{url}\""),
            source: Some(Box::new(failure)),
        },
    }
}

async fn refused(session: &Session, url: &Url, answer: Answer) -> RegistryError {
    let status = answer.status();
    let body = session.transport.read_body(answer, SHOWN).await.ok().flatten();
    let page = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
    let page = page
        .lines()
        .map(|line| printable(line, 512))
        .collect::<Vec<_>>()
        .join("\n");
    RegistryError {
        fault: if status == StatusCode::NOT_FOUND {
            RegistryFault::NotFound
        } else {
            RegistryFault::Protocol
        },
        message: format!("failed to {} {url} with status {status}: {page}", Method::GET),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        for (text, expected) in [
            ("http://a/b.tar", Ok("http://a/b.tar")),
            ("https://a:1/b?c", Ok("https://a:1/b?c")),
            ("a/b.tar", Ok("http://a/b.tar")),
            ("127.0.0.1:8000/b", Ok("http://127.0.0.1:8000/b")),
            (
                "ftp://a/b",
                Err("Get \"ftp://a/b\": unsupported protocol scheme \"ftp\""),
            ),
            (
                "file:///etc/passwd",
                Err("Get \"file:///etc/passwd\": unsupported protocol scheme \"file\""),
            ),
            ("http://", Err("parse \"http://\": empty host")),
        ] {
            let parsed = parse(text);
            match expected {
                Ok(url) => assert_eq!(parsed.expect(text).as_str(), url),
                Err(message) => assert_eq!(parsed.expect_err(text).message, message),
            }
        }
    }
}
