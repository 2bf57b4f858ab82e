// SPDX-License-Identifier: MIT
//! Routes as data: a method, a pattern and a handler. Like Docker 28, every version of the API that is served has every route.
//!
//! A pattern is made of literal segments and placeholders: `{id}` matches one segment, `{name:*}` one or more, as image names have
//! slashes; what follows a greedy placeholder is matched from the end. Patterns are compared in order. Pure but for the handlers.

use std::pin::Pin;

use http::Method;

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ApiResult;

/// The future of a handler.
pub(crate) type Handling = Pin<Box<dyn Future<Output = ApiResult<Answer>> + Send>>;

/// One route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    /// The method; `HEAD` is answered by `GET` routes too.
    pub method: Verb,
    /// The path without version prefix.
    pub pattern: &'static str,
    /// What answers.
    pub handler: fn(Call) -> Handling,
}

/// The methods that routes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
}

impl Verb {
    fn accepts(self, method: &Method) -> bool {
        match self {
            Self::Get => matches!(*method, Method::GET | Method::HEAD),
            Self::Post => *method == Method::POST,
            Self::Put => *method == Method::PUT,
            Self::Delete => *method == Method::DELETE,
        }
    }
}

/// Makes a [`Route`] of an async function.
macro_rules! route {
    ($method:ident $pattern:literal => $handler:path) => {
        $crate::router::Route {
            method: $crate::router::Verb::$method,
            pattern: $pattern,
            handler: |call| Box::pin($handler(call)),
        }
    };
}
pub(crate) use route;

/// What placeholders matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// Returns what a placeholder matched; empty when the pattern has none of that name.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, value)| value)
    }
}

/// Finds the route of a request; `path` is decoded and has no version prefix.
pub(crate) fn find<'r>(
    routes: impl Iterator<Item = &'r Route>,
    method: &Method,
    path: &str,
) -> Option<(&'r Route, Parameters)> {
    let candidates: Vec<&Route> = routes.filter(|route| route.method.accepts(method)).collect();
    let by = |reach| {
        let mut candidates = candidates.iter();
        candidates.find_map(|route| matches(route.pattern, path, reach).map(|parameters| (*route, parameters)))
    };
    by(Reach::Segment).or_else(|| by(Reach::Rest))
}

/// How far a placeholder that is not greedy reaches.
///
/// To Docker every placeholder is greedy (`{name:.*}`), so that a name with a slash is a name that nobody has, not another route.
/// As some patterns would then take what others are meant for, this is tried last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// One segment that is not empty.
    Segment,
    /// Whatever the rest of the pattern leaves, which may be nothing. Only for patterns with one placeholder.
    Rest,
}

/// Returns the path without empty and dotted segments; `None` when it has none, or only one at its end.
pub(crate) fn cleaned(path: &str) -> Option<String> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let last = inner.split('/').count() - 1;
    let odd = |(index, segment): (usize, &str)| matches!(segment, "." | "..") || (segment.is_empty() && index < last);
    if !inner.split('/').enumerate().any(odd) {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in inner.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let end = if inner.ends_with('/') && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    Some(format!("/{}{end}", kept.join("/")))
}

fn matches(pattern: &'static str, path: &str, reach: Reach) -> Option<Parameters> {
    let pattern: Vec<&'static str> = pattern.split('/').skip(1).collect();
    let path: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let is_placeholder = |segment: &&'static str| segment.starts_with('{');
    let alone = pattern.iter().filter(|segment| is_placeholder(segment)).count() == 1;
    let rest = reach == Reach::Rest && alone;
    let greedy = match rest {
        true => pattern.iter().position(is_placeholder),
        false => pattern.iter().position(|segment| segment.ends_with(":*}")),
    };
    let mut parameters = Parameters::default();
    let Some(greedy) = greedy else {
        let same = pattern.len() == path.len();
        return (same && all_match(&pattern, &path, &mut parameters)).then_some(parameters);
    };
    let after = pattern.len() - greedy - 1;
    let end = path.len().checked_sub(after).filter(|end| *end > greedy)?;
    let name = path[greedy..end].join("/");
    let surroundings = all_match(&pattern[..greedy], &path[..greedy], &mut parameters)
        && all_match(&pattern[greedy + 1..], &path[end..], &mut parameters);
    if !surroundings || (name.is_empty() && !rest) {
        return None;
    }
    let placeholder = pattern[greedy].trim_matches(['{', '}']).trim_end_matches(":*");
    parameters.0.push((placeholder, name));
    Some(parameters)
}

fn all_match(pattern: &[&'static str], path: &[&str], parameters: &mut Parameters) -> bool {
    pattern.iter().zip(path).all(|(pattern, segment)| {
        match pattern.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => {
                parameters.0.push((name, (*segment).to_owned()));
                true
            }
            Some(_) => false,
            None => pattern == segment,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Docker's own list of what the API v1.51 has.
    const OPERATIONS: &str = include_str!("../tests/data/operations-v1.51.txt");

    #[test]
    fn every_operation_of_docker_has_a_route() {
        let operations = OPERATIONS.lines().filter(|line| !line.starts_with('#'));
        let mut count = 0;
        for operation in operations {
            let mut words = operation.split(' ');
            let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
            let filled: Vec<&str> = path
                .split('/')
                .map(|segment| if segment.starts_with('{') { "x" } else { segment })
                .collect();
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let found = find(crate::routes::all(), &method, &filled.join("/"));
            assert!(found.is_some(), "{operation}: no route");
            count += 1;
        }
        assert_eq!(count, 107);
    }

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, expected) in [
            ("/info", None),
            ("/info/", None),
            ("/", None),
            ("//info", Some("/info")),
            ("/../info", Some("/info")),
            ("/containers/../info", Some("/info")),
            ("/a/./b/", Some("/a/b/")),
            ("/..", Some("/")),
            ("*", None),
        ] {
            assert_eq!(cleaned(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn names_that_nobody_has_are_names() {
        for (method, path, expected) in [
            (Method::GET, "/containers/a/b/json", Some("id=a/b")),
            (Method::GET, "/volumes/data/", Some("name=data/")),
            (Method::GET, "/volumes/", Some("name=")),
            (Method::DELETE, "/containers/", Some("id=")),
            (Method::DELETE, "/containers/web/checkpoints/x", Some("id=web")),
            (Method::GET, "/info/", None),
            (Method::GET, "/containers/json/", None),
        ] {
            let found = find(crate::routes::all(), &method, path).map(|(_, parameters)| {
                let (name, value) = &parameters.0[0];
                format!("{name}={value}")
            });
            assert_eq!(found.as_deref(), expected, "{method} {path}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("/info", "/info", Some("")),
            ("/info", "/info/", None),
            ("/containers/{id}/json", "/containers/web/json", Some("id=web")),
            ("/containers/{id}/json", "/containers//json", None),
            ("/containers/{id}/json", "/containers/a/b/json", None),
            ("/images/{name:*}/json", "/images/a/b/c:1/json", Some("name=a/b/c:1")),
            ("/images/{name:*}/json", "/images/json", None),
            (
                "/images/{name:*}",
                "/images/localhost:5000/x",
                Some("name=localhost:5000/x"),
            ),
            ("/images/{name:*}", "/images/", None),
            ("/images/{name:*}/json", "/images/json/json", Some("name=json")),
        ] {
            let found = matches(pattern, path, Reach::Segment).map(|parameters| {
                let pairs: Vec<String> = parameters
                    .0
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                pairs.join(",")
            });
            assert_eq!(found.as_deref(), expected, "{pattern} {path}");
        }
    }
}
