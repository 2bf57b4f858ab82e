// SPDX-License-Identifier: MIT
//! The tags of a repository: `GET /v2/NAME/tags/list`, page by page (OCI distribution specification, "Listing Tags").
//!
//! The registry alone is asked: a mirror knows the tags that went through it. What is no tag is left out.

use http::header::LINK;
use http::{Method, StatusCode};
use hyperbox_core::seam::Credentials;
use hyperbox_types::{ImageReference, Tag};
use reqwest::Url;
use serde::Deserialize;

use crate::auth::Access;
use crate::failure::Failure;
use crate::redirect::same_origin;
use crate::scope::Scope;
use crate::session::Session;
use crate::transport::Call;

/// The longest page that is read: a hundred thousand tags of usual length.
const PAGE_LIMIT: u64 = 4 * 1024 * 1024;
/// The most pages; a registry whose pages go round must come to an end.
const MAX_PAGES: usize = 1000;

#[derive(Deserialize)]
struct Page {
    /// `null` for a repository without tags.
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// Lists the tags of a reference's repository.
pub(crate) async fn list(
    session: &Session,
    reference: &ImageReference,
    credentials: Option<&Credentials>,
) -> Result<Vec<Tag>, Failure> {
    let mut tags = Vec::new();
    let mut next = None;
    for _ in 0..MAX_PAGES {
        let (page, following) = session.retry(|| page(session, reference, credentials, &next)).await?;
        let known = page.tags.unwrap_or_default();
        tags.extend(known.iter().filter_map(|tag| Tag::parse(tag).ok()));
        if following.is_none() {
            return Ok(tags);
        }
        next = following;
    }
    let host = reference.repository().host().as_str();
    Err(Failure::protocol(host, "lists tags without end"))
}

/// Reads one page; also returns where the next one is.
async fn page(
    session: &Session,
    reference: &ImageReference,
    credentials: Option<&Credentials>,
    url: &Option<Url>,
) -> Result<(Page, Option<Url>), Failure> {
    let repository = reference.repository();
    let endpoint = session.origin(repository.host().as_str()).await?;
    let scope = Scope::pull(repository.path());
    let access = Access {
        endpoint: &endpoint,
        scope: &scope,
        credentials,
    };
    let url = match url {
        Some(url) => url.clone(),
        None => endpoint.url(&format!("{}/tags/list", repository.path())),
    };
    let answer = session
        .expect(access, Call::new(Method::GET, url.clone()), &[StatusCode::OK])
        .await?;
    let host = answer.host.clone();
    let following = answer.header(&LINK).and_then(|link| following(&url, link));
    let body = session.transport.read_body(answer, PAGE_LIMIT).await?;
    let body = body.ok_or_else(|| Failure::protocol(&host, "sent too long a list of tags"))?;
    let page = serde_json::from_slice(&body).map_err(|_| Failure::protocol(&host, "sent no list of tags"))?;
    Ok((page, following))
}

/// Returns the target of `<…>; rel="next"` (RFC 8288), which must be of the registry: credentials go there.
fn following(here: &Url, link: &str) -> Option<Url> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let next = parameters.split(';').any(|parameter| {
        let parameter = parameter.trim();
        let value = parameter.strip_prefix("rel=").unwrap_or_default();
        value.trim_matches('"').eq_ignore_ascii_case("next")
    });
    let url = here.join(target).ok().filter(|url| same_origin(url, here))?;
    next.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_pages() {
        let here = Url::parse("http://h:5000/v2/a/b/tags/list").expect("a URL");
        for (link, expected) in [
            (
                "</v2/a/b/tags/list?last=x&n=2>; rel=\"next\"",
                Some("http://h:5000/v2/a/b/tags/list?last=x&n=2"),
            ),
            ("<?last=x>;rel=next", Some("http://h:5000/v2/a/b/tags/list?last=x")),
            ("<http://h:5000/v2/x>; rel=\"next\"", Some("http://h:5000/v2/x")),
            ("<http://evil.example/v2/x>; rel=\"next\"", None),
            ("<https://h:5000/v2/x>; rel=\"next\"", None),
            ("</v2/x>; rel=\"prev\"", None),
            ("</v2/x>", None),
            ("/v2/x; rel=\"next\"", None),
            ("", None),
        ] {
            let found = following(&here, link);
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{link}");
        }
    }
}
