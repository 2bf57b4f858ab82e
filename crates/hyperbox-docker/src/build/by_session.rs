// SPDX-License-Identifier: MIT
//! `POST /build?version=2`: its query becomes a [`SessionBuild`], as the Engine translates it for BuildKit
//! (`builder/builder-next/builder.go`); its news become lines of JSON. Pure.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use hyperbox_build::{SessionBuild, SessionBuildNews};
use hyperbox_types::Ulimit;
use serde::Deserialize;
use serde_json::{Value, json};

use super::classic::{document, extra_hosts};
use crate::error::{ApiError, ApiResult};
use crate::query::Query;

/// What the id of an upload begins with; the build's own follows.
const UPLOAD: &str = "upload-request:";

/// Returns the build that a request brings the context of.
pub(crate) fn uploaded_to(query: &Query) -> Option<&str> {
    query.text("buildid").strip_prefix(UPLOAD)
}

/// Tells whether the body is the context.
pub(crate) fn has_context(query: &Query) -> bool {
    query.text("remote").is_empty()
}

/// Where a result goes (`types.ImageBuildOutput`).
#[derive(Debug, Deserialize)]
struct Output {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(rename = "Attrs", default)]
    options: Option<HashMap<String, String>>,
}

/// Reads the query.
///
/// # Errors
/// What is malformed, and what BuildKit does not do, in the Engine's words.
pub(crate) fn wanted(query: &Query) -> ApiResult<SessionBuild> {
    let remote = query.text("remote");
    let arguments: BTreeMap<String, Option<String>> = document(query, "buildargs")?;
    let inline = arguments.get("BUILDKIT_INLINE_CACHE").and_then(Option::as_deref);
    let (exporter, exporter_options) = exporter(query)?;
    let (network, entitlements) = network(query.text("networkmode"))?;
    let mut options = HashMap::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            options.insert(name.to_owned(), value.to_owned());
        }
    };
    put("target", query.text("target"));
    put(
        "filename",
        Some(query.text("dockerfile"))
            .filter(|name| *name != ".")
            .unwrap_or_default(),
    );
    put("platform", query.text("platform"));
    put("force-network-mode", network);
    put("cgroup-parent", query.text("cgroupparent"));
    put("cache-from", &document::<Vec<String>>(query, "cachefrom")?.join(","));
    put(
        "image-resolve-mode",
        if query.flag("pull") { "pull" } else { "default" },
    );
    if let Some(bytes) = query.integer("shmsize")?.filter(|bytes| *bytes > 0) {
        put("shm-size", &bytes.to_string());
    }
    let limits: Vec<Ulimit> = document(query, "ulimits")?;
    let limits: Vec<String> = limits.iter().map(ToString::to_string).collect();
    put("ulimit", &limits.join(","));
    if !matches!(remote, "" | "client-session" | "upload-request") {
        put("context", remote);
    }
    if query.flag("nocache") {
        options.insert("no-cache".to_owned(), String::new());
    }
    let given = arguments
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    options.extend(given.map(|(name, value)| (format!("build-arg:{name}"), value.clone())));
    let labels: BTreeMap<String, String> = document(query, "labels")?;
    options.extend(labels.into_iter().map(|(name, value)| (format!("label:{name}"), value)));
    Ok(SessionBuild {
        id: query.text("buildid").to_owned(),
        session: query.text("session").to_owned(),
        options,
        uploaded: remote == "upload-request",
        extra_hosts: extra_hosts(&query.all("extrahosts")),
        exporter,
        exporter_options,
        entitlements,
        inline_cache: matches!(inline, Some("1" | "t" | "T" | "true" | "TRUE" | "True")),
    })
}

/// Returns what becomes of the result; an image with the names of the query, unless something else is asked for.
fn exporter(query: &Query) -> ApiResult<(String, HashMap<String, String>)> {
    let outputs: Vec<Output> = document(query, "outputs")?;
    let mut outputs = outputs.into_iter();
    let (kind, mut options) = match (outputs.next(), outputs.next()) {
        (_, Some(_)) => return Err(refused("multiple outputs not supported")),
        (Some(output), None) => (output.kind, output.options.unwrap_or_default()),
        (None, None) => ("moby".to_owned(), HashMap::new()),
    };
    match kind.as_str() {
        "moby" => {
            let names: Vec<String> = query.all("t").into_iter().filter(|name| !name.is_empty()).collect();
            if !names.is_empty() {
                options.insert("name".to_owned(), names.join(","));
            }
        }
        "local" | "tar" => {}
        "cacheonly" => return Err(refused("exporter \"\" could not be found")),
        other => return Err(refused(&format!("exporter {other:?} could not be found"))),
    }
    Ok((kind, options))
}

/// Returns the network of the frontend, and what has to be allowed for it.
fn network(mode: &str) -> ApiResult<(&str, Vec<String>)> {
    match mode {
        "" | "default" => Ok(("", Vec::new())),
        "none" => Ok((mode, Vec::new())),
        "host" => Ok((mode, vec!["network.host".to_owned()])),
        other => Err(refused(&format!("network mode {other:?} not supported by buildkit"))),
    }
}

fn refused(message: &str) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message)
}

/// Turns news into a message; who asked to be told little gets the id of the image as text.
pub(crate) fn message(news: &SessionBuildNews, quiet: bool) -> Option<Value> {
    match news {
        SessionBuildNews::Status(status) => {
            Some(json!({ "id": "moby.buildkit.trace", "aux": STANDARD.encode(status) }))
        }
        SessionBuildNews::Done(image) if quiet => {
            Some(json!({ "stream": format!("{}\n", image.as_deref().unwrap_or_default()) }))
        }
        SessionBuildNews::Done(None) => None,
        SessionBuildNews::Done(Some(image)) => Some(json!({ "id": "moby.image.id", "aux": { "ID": image } })),
        SessionBuildNews::Failed(message) => Some(json!({ "errorDetail": { "message": message }, "error": message })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<SessionBuild, String> {
        wanted(&Query::parse(query)).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn queries() {
        let build = read(
            "buildid=b&session=s&remote=client-session&dockerfile=D&target=t&t=a&t=b%3A1&nocache=1&networkmode=host&shmsize=5\
             &buildargs=%7B%22A%22%3A%221%22%2C%22B%22%3Anull%2C%22BUILDKIT_INLINE_CACHE%22%3A%221%22%7D&labels=%7B%22l%22%3A%22m%22%7D\
             &ulimits=%5B%7B%22Name%22%3A%22nofile%22%2C%22Soft%22%3A1%2C%22Hard%22%3A2%7D%5D&cachefrom=%5B%22x%22%2C%22y%22%5D&extrahosts=a%3A1.2.3.4",
        )
        .expect("a build");
        let expected = [
            ("target", "t"),
            ("filename", "D"),
            ("force-network-mode", "host"),
            ("shm-size", "5"),
            ("no-cache", ""),
            ("build-arg:A", "1"),
            ("build-arg:BUILDKIT_INLINE_CACHE", "1"),
            ("label:l", "m"),
            ("ulimit", "nofile=1:2"),
            ("cache-from", "x,y"),
            ("image-resolve-mode", "default"),
        ];
        let expected: HashMap<String, String> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(build.options, expected);
        assert_eq!(
            (build.id.as_str(), build.session.as_str(), build.uploaded),
            ("b", "s", false)
        );
        assert_eq!(
            (build.exporter.as_str(), build.exporter_options["name"].as_str()),
            ("moby", "a,b:1")
        );
        assert_eq!(build.extra_hosts, [("a".to_owned(), "1.2.3.4".to_owned())]);
        assert!(build.inline_cache && build.entitlements == ["network.host"]);
    }

    #[test]
    fn contexts_and_outputs() {
        for (query, uploaded, context) in [
            ("remote=upload-request", true, None),
            ("", false, None),
            ("remote=client-session", false, None),
            ("remote=https%3A%2F%2Fh%2Fx.git", false, Some("https://h/x.git")),
        ] {
            let build = read(query).expect(query);
            assert_eq!(
                (build.uploaded, build.options.get("context").map(String::as_str)),
                (uploaded, context),
                "{query}"
            );
        }
        let local = read("outputs=%5B%7B%22Type%22%3A%22local%22%2C%22Attrs%22%3Anull%7D%5D&t=a").expect("local");
        assert_eq!((local.exporter.as_str(), local.exporter_options.len()), ("local", 0));
    }

    #[test]
    fn what_is_refused() {
        for (query, message) in [
            ("networkmode=foo", "network mode \"foo\" not supported by buildkit"),
            (
                "outputs=%5B%7B%22Type%22%3A%22docker%22%7D%5D",
                "exporter \"docker\" could not be found",
            ),
            (
                "outputs=%5B%7B%22Type%22%3A%22cacheonly%22%7D%5D",
                "exporter \"\" could not be found",
            ),
            (
                "outputs=%5B%7B%22Type%22%3A%22tar%22%7D%2C%7B%22Type%22%3A%22tar%22%7D%5D",
                "multiple outputs not supported",
            ),
        ] {
            assert_eq!(read(query).expect_err(query), message);
        }
    }

    #[test]
    fn messages() {
        let status = SessionBuildNews::Status(bytes::Bytes::from_static(b"x"));
        assert_eq!(message(&SessionBuildNews::Done(None), false), None);
        assert_eq!(
            message(&SessionBuildNews::Done(None), true),
            Some(json!({ "stream": "\n" }))
        );
        assert_eq!(
            message(&status, false),
            Some(json!({ "id": "moby.buildkit.trace", "aux": "eA==" }))
        );
        let done = SessionBuildNews::Done(Some("sha256:0".to_owned()));
        assert_eq!(message(&done, true), Some(json!({ "stream": "sha256:0\n" })));
        assert_eq!(
            message(&done, false),
            Some(json!({ "id": "moby.image.id", "aux": { "ID": "sha256:0" } }))
        );
    }
}
