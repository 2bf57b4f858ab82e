// SPDX-License-Identifier: MIT
//! Images made here: of a container, of a root filesystem.

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use hyperbox_core::container::CommitOptions;
use hyperbox_core::image::{ImageConfig, NewImage, change};
use hyperbox_types::ImageReference;
use serde::Serialize;
use serde_json::json;

use super::create::parse_platform;
use super::image_transfer::join_reference;
use crate::answer::{Answer, json_stream, json_with};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::progress::lines;
use crate::router::{Route, route};
use crate::translate::{health, inspect};
use crate::wire::config::CreateBody;

pub(super) const ROUTES: &[Route] = &[route!(Post "/commit" => commit)];

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    id: String,
}

async fn commit(mut call: Call) -> ApiResult<Answer> {
    let body: Option<CreateBody> = call.json_or_default().await?;
    let config = body.map(|body| configuration(&body)).transpose()?;
    let query = &call.query;
    let options = CommitOptions {
        name: name(&call)?,
        comment: query.text("comment").to_owned(),
        author: query.text("author").to_owned(),
        pause: query.flag_or("pause", true),
        changes: query.all("changes"),
        config,
        container_config: inspect::configuration(call.engine().containers.get(query.text("container"))?.as_ref()),
    };
    let id = call
        .engine()
        .containers
        .commit(query.text("container"), options)
        .await?
        .to_string();
    Ok(json_with(StatusCode::CREATED, &Made { id }))
}

/// Returns the wished name; without a repository there is none.
fn name(call: &Call) -> ApiResult<Option<ImageReference>> {
    match call.query.text("repo") {
        "" => Ok(None),
        repository => join_reference(repository, call.query.text("tag")).map(Some),
    }
}

/// Takes what an image can have of a container's configuration.
fn configuration(body: &CreateBody) -> ApiResult<ImageConfig> {
    let words =
        |words: &Option<crate::wire::Words>| words.clone().map(crate::wire::Words::into_vec).unwrap_or_default();
    Ok(ImageConfig {
        env: body.env.clone(),
        entrypoint: words(&body.entrypoint),
        command: words(&body.cmd),
        working_dir: body.working_dir.clone(),
        user: body.user.clone(),
        labels: body.labels.clone(),
        exposed_ports: body.exposed_ports.keys().cloned().collect(),
        volumes: body.volumes.keys().cloned().collect(),
        stop_signal: Some(body.stop_signal.clone()).filter(|signal| !signal.is_empty()),
        health: body.healthcheck.as_ref().map(health::from_wire).transpose()?,
        shell: words(&body.shell),
        on_build: Vec::new(),
    })
}

/// `POST /images/create` with a root filesystem as its body, or behind a URL.
pub(super) async fn import(mut call: Call) -> ApiResult<Answer> {
    call.body.is_upload();
    let source = call.query.text("fromSrc").to_owned();
    let mut config = ImageConfig::default();
    change::apply(&mut config, &call.query.all("changes"))?;
    let comment = match call.query.text("message") {
        "" if source == "-" || source.contains("://") => format!("Imported from {source}"),
        "" => format!("Imported from http://{source}"),
        message => message.to_owned(),
    };
    let platform = parse_platform(call.query.text("platform"))?;
    if platform.as_ref().is_some_and(|platform| platform.os != "linux") {
        return Err(ApiError::bad_request("operating system is not supported"));
    }
    let image = NewImage {
        config,
        comment,
        platform,
        name: name(&call)?,
        ..NewImage::default()
    };
    let images = call.engine().images.clone();
    if source != "-" {
        return Ok(json_stream(lines(images.import_from(&source, image).await?, false)));
    }
    let body = (&mut call.body).into_data_stream().map_err(std::io::Error::other);
    let id = images.import(body, image).await?;
    let line = format!("{}\n", json!({ "status": id.to_string() }));
    Ok(json_stream(stream::iter([Bytes::from(line)])))
}
