// SPDX-License-Identifier: MIT
//! `GET /images/search`: repositories of a registry that can be searched; Docker Hub unless the term begins with another host.

use http::StatusCode;
use hyperbox_core::seam::SearchResult;
use serde::Serialize;

use super::image_transfer::AUTH;
use crate::answer::{Answer, json};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::filters::Filters;
use crate::query::parse_integer;
use crate::registry_auth::from_header;
use crate::router::{Route, route};
use crate::translate::image::parse_reference;

pub(super) const ROUTES: &[Route] = &[route!(Get "/images/search" => search)];

/// How many results there are when nobody says.
const DEFAULT_LIMIT: u16 = 25;

#[derive(Serialize)]
struct Line {
    star_count: i64,
    is_official: bool,
    name: String,
    /// Docker Hub does not tell any more; the field stays for old clients.
    is_automated: bool,
    description: String,
}

/// What a search is narrowed by.
#[derive(Debug, Default)]
struct Wanted {
    official: Option<bool>,
    automated: Option<bool>,
    stars: i64,
}

async fn search(call: Call) -> ApiResult<Answer> {
    let limit = limit(call.query.text("limit"))?;
    let wanted = wanted(&Filters::parse_accepting(
        call.query.text("filters"),
        &["is-automated", "is-official", "stars"],
    )?)?;
    let (host, term) = split(call.query.text("term"))?;
    let credentials = from_header(call.header(AUTH));
    let images = &call.engine().images;
    let found = images.search(&host, &term, limit, credentials.as_ref()).await;
    let found = found.map_err(|error| {
        let no_search = error.message().starts_with("Unexpected status code");
        let error = ApiError::from(error);
        if no_search {
            error.with_status(StatusCode::INTERNAL_SERVER_ERROR)
        } else {
            error
        }
    })?;
    let lines: Vec<Line> = found
        .into_iter()
        .filter(|found| wanted.accepts(found))
        .map(|found| Line {
            star_count: found.star_count,
            is_official: found.is_official,
            name: found.name,
            is_automated: false,
            description: found.description,
        })
        .collect();
    Ok(json(&lines))
}

fn limit(text: &str) -> ApiResult<u16> {
    if text.is_empty() {
        return Ok(DEFAULT_LIMIT);
    }
    let limit: i64 =
        parse_integer("Atoi", text).map_err(|why| ApiError::bad_request(format!("invalid limit specified: {why}")))?;
    match u16::try_from(limit) {
        Ok(0) => Ok(DEFAULT_LIMIT),
        Ok(limit @ 1..=100) => Ok(limit),
        _ => Err(ApiError::bad_request(format!(
            "limit {limit} is outside the range of [1, 100]"
        ))),
    }
}

fn wanted(filters: &Filters) -> ApiResult<Wanted> {
    let mut stars = 0;
    for value in filters.values("stars") {
        let least: i64 = parse_integer("Atoi", value)
            .map_err(|why| ApiError::bad_request(format!("invalid filter 'stars={value}': {why}")))?;
        stars = least.max(stars);
    }
    Ok(Wanted {
        official: filters.boolean("is-official")?,
        automated: filters.boolean("is-automated")?,
        stars,
    })
}

impl Wanted {
    fn accepts(&self, found: &SearchResult) -> bool {
        // Nothing is automated any more, so who asks for that gets nothing.
        self.official.is_none_or(|official| official == found.is_official)
            && self.automated != Some(true)
            && found.star_count >= self.stars
    }
}

/// Returns the registry's host and what is looked for there.
fn split(term: &str) -> ApiResult<(String, String)> {
    if term.contains("://") {
        return Err(ApiError::bad_request(format!(
            "invalid repository name: repository name ({term}) should not have a scheme"
        )));
    }
    let hub = || Ok(("docker.io".to_owned(), term.to_owned()));
    match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            if matches!(host, "docker.io" | "index.docker.io") {
                return Ok(("docker.io".to_owned(), rest.to_owned()));
            }
            let named = parse_reference(&format!("{host}/x"))?;
            Ok((named.repository().host().as_str().to_owned(), rest.to_owned()))
        }
        _ => hub(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_name_a_registry_or_docker_hub() {
        for (term, expected) in [
            ("busybox", Some(("docker.io", "busybox"))),
            ("user/app", Some(("docker.io", "user/app"))),
            ("docker.io/app", Some(("docker.io", "app"))),
            ("localhost:5000/a/b", Some(("localhost:5000", "a/b"))),
            ("", Some(("docker.io", ""))),
            ("https://example.org/a", None),
            ("ex ample.org/a", None),
        ] {
            let expected = expected.map(|(host, rest)| (host.to_owned(), rest.to_owned()));
            assert_eq!(split(term).ok(), expected, "{term}");
        }
    }

    #[test]
    fn limits() {
        for (text, expected) in [
            ("", Ok(25)),
            ("0", Ok(25)),
            ("100", Ok(100)),
            ("101", Err("limit 101 is outside the range of [1, 100]")),
            ("-1", Err("limit -1 is outside the range of [1, 100]")),
            (
                "x",
                Err("invalid limit specified: strconv.Atoi: parsing \"x\": invalid syntax"),
            ),
        ] {
            let limit = limit(text);
            assert_eq!(
                limit.as_ref().map_err(ApiError::message),
                expected.as_ref().map_err(|text| *text)
            );
        }
    }
}
