// SPDX-License-Identifier: MIT
//! Builds of the classic API: `POST /build`, what they keep, and their end before their time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyperbox_build::{BuildError, Builder, EventSender, KeptFilter, PruneOptions};
use hyperbox_core::time::Timestamp;
use hyperbox_types::ByteSize;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::answer::{self, Answer, json, no_body};
use crate::build::classic::{self, Teller};
use crate::build::{KnownCredentials, running::Running};
use crate::call::Call;
use crate::error::{ApiError, ApiResult, status_of};
use crate::filters::Filters;
use crate::query::parse_moment;
use crate::registry_auth::from_config_header;
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[
    route!(Post "/build" => build),
    route!(Post "/build/prune" => prune),
    route!(Post "/build/cancel" => cancel),
];

/// The header with the credentials of several registries.
const CONFIG: &str = "x-registry-config";
/// How many messages wait for the client.
const QUEUE: usize = 64;

/// Returns the builder.
///
/// # Errors
/// 501 where there is none.
pub(super) fn builder(call: &Call) -> ApiResult<Builder> {
    let none = || ApiError::not_implemented("building images is not supported by this version of HyperBox");
    call.door.builder.clone().ok_or_else(none)
}

async fn build(mut call: Call) -> ApiResult<Answer> {
    call.body.is_upload();
    if call.query.text("version") == "2" {
        return super::session_build::build(call).await;
    }
    let builder = builder(&call)?;
    let credentials = KnownCredentials(from_config_header(call.header(CONFIG)));
    let (door, query) = (Arc::clone(&call.door), call.query);
    let context = call.body.into_data_stream().map_err(std::io::Error::other);
    let mut request = classic::request(&query, Box::pin(context))?;
    request.registries = Arc::new(credentials);
    let running = door.builds.begin(query.text("buildid"));
    let teller = Teller::new(query.flag("q"), &request);
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    door.spawn(async move { run(builder, request, running, teller, sender).await });
    // What is wrong before anything was said is an answer of its own.
    let first = match receiver.recv().await {
        Some(Told::Refused(error)) => return Err(error),
        Some(Told::Line(line)) => line,
        None => Bytes::new(),
    };
    let rest = stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await? {
            Told::Line(line) => Some((line, receiver)),
            Told::Refused(_) => None,
        }
    });
    let lines = stream::once(std::future::ready(first)).chain(rest);
    Ok(answer::stream("application/json", lines.map(Ok::<_, Infallible>)))
}

/// What the client is told.
enum Told {
    Line(Bytes),
    /// Nothing was told before.
    Refused(ApiError),
}

/// Builds until the end, until the client is gone, or until somebody cancels it.
async fn run(
    builder: Builder,
    request: hyperbox_build::BuildRequest,
    running: Running,
    mut teller: Teller,
    sender: mpsc::Sender<Told>,
) {
    let (events, mut happening) = EventSender::channel();
    // A step that another build waits for goes on telling.
    let ended = CancellationToken::new();
    let mut told = false;
    let telling = async {
        while let Some(event) = happening.next_until(&ended).await {
            for message in teller.tell(&event) {
                told = true;
                // The build ends when the receiver does.
                drop(sender.send(line(&message)).await);
            }
        }
    };
    let building = async {
        let built = tokio::select! {
            biased;
            () = running.cancelled.cancelled() => Err(BuildError::Cancelled),
            () = sender.closed() => Err(BuildError::Cancelled),
            built = builder.build(request, events) => built,
        };
        ended.cancel();
        built
    };
    let (built, ()) = tokio::join!(building, telling);
    if !told
        && let Err(error) = &built
        && !is_step(error)
    {
        let error = ApiError::new(status_of(error.kind()), hyperbox_build::sentence(error));
        drop(sender.send(Told::Refused(error)).await);
        return;
    }
    for message in teller.end(&built) {
        drop(sender.send(line(&message)).await);
    }
}

fn is_step(error: &BuildError) -> bool {
    matches!(error, BuildError::Step { .. } | BuildError::Cancelled)
}

fn line(message: &serde_json::Value) -> Told {
    let mut text = message.to_string();
    text.push_str("\r\n");
    Told::Line(Bytes::from(text))
}

/// What pruning the cache removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Pruned {
    caches_deleted: Option<Vec<String>>,
    space_reclaimed: u64,
}

/// What entries of a cache can be chosen by.
const FIELDS: [&str; 7] = ["id", "parent", "type", "description", "inuse", "shared", "private"];

/// What is accepted besides: labels choose nothing with Docker either.
const ACCEPTED: [&str; 5] = ["label", "label!", "until", "unused-for", "all"];

async fn prune(call: Call) -> ApiResult<Answer> {
    let mut keep = None;
    for name in ["keep-storage", "reserved-space", "max-used-space", "min-free-space"] {
        let text = call.query.text(name);
        let parsed = text.parse::<i64>();
        if !text.is_empty() && parsed.is_err() {
            return Err(ApiError::bad_request(format!(
                "{name} is in bytes and expects an integer, got {text}: strconv.Atoi: parsing {text:?}: invalid syntax"
            )));
        }
        // How much is free says nothing of how much may be kept.
        let limit = parsed.ok().and_then(|bytes| u64::try_from(bytes).ok());
        if name != "min-free-space" {
            keep = keep.max(limit.filter(|bytes| *bytes > 0));
        }
    }
    let filters = Filters::parse(call.query.text("filters"))?;
    let accepted = |name: &str| ACCEPTED.contains(&name) || FIELDS.contains(&name);
    if let Some(unknown) = filters.names().find(|name| !accepted(name)) {
        return Err(ApiError::bad_request(format!(
            "failed to prune build cache: invalid filter '{unknown}'"
        )));
    }
    let unused_for = unused_for(&filters)?;
    let filter = chosen(&filters)?;
    let nothing = Pruned {
        caches_deleted: None,
        space_reclaimed: 0,
    };
    let Some(builder) = call.door.builder.clone() else {
        return Ok(json(&nothing));
    };
    let mut ids = Vec::new();
    if !filter.is_empty() {
        let kept = builder.disk_usage().await?;
        let meant = kept.into_iter().filter(|kept| filter.accepts(&kept.into()));
        ids.extend(meant.map(|kept| kept.id));
        // No ids would mean everything.
        if ids.is_empty() {
            return Ok(json(&nothing));
        }
    }
    let options = PruneOptions {
        all: call.query.flag("all"),
        keep: keep.map(ByteSize),
        unused_for,
        ids,
    };
    let pruned = builder.prune(options).await?;
    Ok(json(&Pruned {
        caches_deleted: Some(pruned.ids).filter(|ids| !ids.is_empty()),
        space_reclaimed: pruned.reclaimed.0,
    }))
}

/// Reads which entries are meant, as the Engine tells BuildKit (`builder/builder-next/builder.go`, `toBuildkitPruneInfo`).
///
/// # Errors
/// 400 for several values of one field, and for what is no expression.
fn chosen(filters: &Filters) -> ApiResult<KeptFilter> {
    let mut all = Vec::new();
    for name in filters.names().filter(|name| FIELDS.contains(name)) {
        all.push(match filters.values(name) {
            [] => name.to_owned(),
            [value] if name == "id" => format!("id~={value}"),
            [value] => format!("{name}=={value}"),
            _ => return Err(ApiError::bad_request("filters expect only one value")),
        });
    }
    KeptFilter::parse(&[all.join(",")]).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// Reads `until`: how long something must not have been used to go.
fn unused_for(filters: &Filters) -> ApiResult<Option<Duration>> {
    let now = Timestamp::now();
    match (filters.values("until"), filters.values("unused-for")) {
        ([], []) => Ok(None),
        ([text], []) | ([], [text]) => Ok(Some(now.since(parse_moment(text, now)?))),
        ([], _) | (_, []) => Err(ApiError::bad_request("more than one until filter specified")),
        _ => Err(ApiError::bad_request(
            "conflicting filters: \"until\" and \"unused-for\"",
        )),
    }
}

async fn cancel(call: Call) -> ApiResult<Answer> {
    let id = call.query.text("id");
    if id.is_empty() {
        return Err(ApiError::bad_request("build ID not provided"));
    }
    call.door.builds.cancel(id);
    let mut response = Response::new(no_body());
    *response.status_mut() = StatusCode::OK;
    let media_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use hyperbox_build::KeptFields;

    use super::*;

    #[test]
    fn entries_are_chosen_as_buildkit_chooses_them() {
        let layer = KeptFields {
            id: "abc1",
            kind: "regular",
            description: "RUN x",
            ..KeptFields::default()
        };
        let mount = KeptFields {
            id: "def2",
            kind: "exec.cachemount",
            in_use: true,
            mutable: true,
            ..KeptFields::default()
        };
        for (filters, of_layer, of_mount) in [
            ("", true, true),
            (r#"{"type":["exec.cachemount"]}"#, false, true),
            (r#"{"type":{"regular":true}}"#, true, false),
            (r#"{"id":["bc"]}"#, true, false),
            (r#"{"inuse":[]}"#, false, true),
            (r#"{"inuse":["true"]}"#, false, false),
            (r#"{"private":[],"type":["regular"]}"#, true, false),
            (r#"{"parent":["x"]}"#, false, false),
            (r#"{"description":["RUN x"]}"#, true, false),
            (r#"{"label":["x"]}"#, true, true),
        ] {
            let filter = chosen(&Filters::parse(filters).unwrap()).unwrap();
            assert_eq!(
                (filter.accepts(&layer), filter.accepts(&mount)),
                (of_layer, of_mount),
                "{filters}"
            );
        }
        let several = Filters::parse(r#"{"type":["a","b"]}"#).unwrap();
        assert_eq!(chosen(&several).unwrap_err().message(), "filters expect only one value");
        assert!(chosen(&Filters::parse(r#"{"id":["("]}"#).unwrap()).is_err());
    }
}
