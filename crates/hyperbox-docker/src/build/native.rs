// SPDX-License-Identifier: MIT
//! A [`BuildCall`] becomes a request, events become [`BuildMessage`]s.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use hyperbox_build::event::{LogStream, Progress, Vertex};
use hyperbox_build::request::{
    CacheMode, CacheSource, CacheTarget, ContextSource, DockerfileSource, IgnoreRules, NoCache, PullPolicy,
};
use hyperbox_build::{BuildError, BuildEvent, BuildRequest, CheckedFile};
use hyperbox_core::seam::FileStream;
use hyperbox_core::time::Timestamp;
use hyperbox_types::build::{
    BuildCall, BuildMessage, CachePlace, CheckFinding, CheckMistake, ContextPlace, DockerfilePlace, PartState,
    VertexState,
};
use hyperbox_types::{ImageReference, Platform};

use super::classic::network;
use super::told::{self, Known};
use crate::error::{ApiError, ApiResult};

/// Reads a call but for what comes out and who is asked. `upload` is the context where it is sent.
pub(super) fn request(call: &BuildCall, upload: FileStream) -> ApiResult<BuildRequest> {
    let dockerfile = match &call.dockerfile {
        DockerfilePlace::Text { name, text, .. } => DockerfileSource::Text {
            name: name.clone(),
            text: text.clone(),
        },
        DockerfilePlace::Context { path } => DockerfileSource::Context(path.clone()),
    };
    let context = match &call.context {
        ContextPlace::Upload => ContextSource::Archive(upload),
        ContextPlace::Directory { path, .. } => ContextSource::Directory {
            path: path.clone(),
            rules: ignored(&call.dockerfile),
        },
        place => source(place)?,
    };
    let mut request = BuildRequest::new(dockerfile, context);
    for (name, place) in &call.named_contexts {
        request.named_contexts.insert(name.clone(), source(place)?);
    }
    request.target.clone_from(&call.target);
    request.build_args.clone_from(&call.build_args);
    request.labels.clone_from(&call.labels);
    request.tags = call.tags.iter().map(|name| reference(name)).collect::<ApiResult<_>>()?;
    request.no_cache = match call.no_cache {
        true => NoCache::Everything,
        false if call.no_cache_stages.is_empty() => NoCache::Nothing,
        false => NoCache::Stages(call.no_cache_stages.clone()),
    };
    if call.pull {
        request.pull = PullPolicy::Always;
    }
    if let Some(platform) = &call.platform {
        let parsed = Platform::parse(platform).map_err(|error| ApiError::bad_request(error.to_string()))?;
        request.platform = Some(parsed);
    }
    request.network = network(&call.network);
    request.extra_hosts.clone_from(&call.extra_hosts);
    request.shm_size = call.shm_size;
    request.ulimits.clone_from(&call.ulimits);
    request.cgroup_parent.clone_from(&call.cgroup_parent);
    request.cache_from = call.cache_from.iter().map(cache_source).collect::<ApiResult<_>>()?;
    request.cache_to = call.cache_to.iter().map(cache_target).collect::<ApiResult<_>>()?;
    let epoch = call
        .source_date_epoch
        .and_then(|seconds| seconds.checked_mul(1_000_000_000));
    request.source_date_epoch = epoch.map(Timestamp);
    let allows = |what: &str| call.allow.iter().any(|allowed| allowed == what);
    request.allow_insecure = allows("security.insecure");
    request.allow_host_network = allows("network.host");
    Ok(request)
}

/// Tells whether a call speaks of directories of this machine.
pub(crate) fn wants_directories(call: &BuildCall) -> bool {
    let mut places = std::iter::once(&call.context).chain(call.named_contexts.values());
    let mut caches = call.cache_from.iter().chain(&call.cache_to);
    places.any(|place| matches!(place, ContextPlace::Directory { .. }))
        || caches.any(|place| matches!(place, CachePlace::Local { .. }))
}

/// Refuses directories that are not what the client sees at their paths.
pub(crate) fn check_directories(call: &BuildCall) -> ApiResult<()> {
    let contexts = std::iter::once(&call.context).chain(call.named_contexts.values());
    let contexts = contexts.filter_map(|place| match place {
        ContextPlace::Directory { path, device, inode } => Some((path, *device, *inode)),
        _ => None,
    });
    let caches = call
        .cache_from
        .iter()
        .chain(&call.cache_to)
        .filter_map(|place| match place {
            CachePlace::Local {
                directory,
                device,
                inode,
                ..
            } => Some((directory, *device, *inode)),
            _ => None,
        });
    for (path, device, inode) in contexts.chain(caches) {
        if !is_same(path, device, inode) {
            return Err(ApiError::new(
                StatusCode::PRECONDITION_FAILED,
                format!("the daemon does not see the client's directory {}", path.display()),
            ));
        }
    }
    Ok(())
}

fn is_same(path: &Path, device: u64, inode: u64) -> bool {
    let found = std::fs::symlink_metadata(path);
    path.is_absolute() && found.is_ok_and(|found| found.is_dir() && (found.dev(), found.ino()) == (device, inode))
}

/// Tells where it is said what is left out of the context.
fn ignored(dockerfile: &DockerfilePlace) -> IgnoreRules {
    match dockerfile {
        DockerfilePlace::Context { path } => IgnoreRules::OfDockerfile(path.clone()),
        DockerfilePlace::Text { ignore: Some(text), .. } => IgnoreRules::Text(text.clone()),
        DockerfilePlace::Text { ignore: None, .. } => IgnoreRules::Own,
    }
}

fn source(place: &ContextPlace) -> ApiResult<ContextSource> {
    Ok(match place {
        ContextPlace::Empty => ContextSource::Empty,
        ContextPlace::Upload => return Err(ApiError::bad_request("only the main context can be sent")),
        ContextPlace::Remote { address } => ContextSource::Remote(address.clone()),
        ContextPlace::Directory { path, .. } => ContextSource::Directory {
            path: path.clone(),
            rules: IgnoreRules::Own,
        },
        ContextPlace::Image { name } => ContextSource::Image(name.clone()),
    })
}

fn reference(name: &str) -> ApiResult<ImageReference> {
    ImageReference::parse(name).map_err(|_| ApiError::bad_request(format!("invalid reference format: {name:?}")))
}

fn cache_source(place: &CachePlace) -> ApiResult<CacheSource> {
    match place {
        CachePlace::Registry { reference: name, .. } => reference(name).map(CacheSource::Registry),
        CachePlace::Local { directory, .. } => Ok(CacheSource::Local(directory.clone())),
        CachePlace::Inline => Err(ApiError::bad_request(
            "nothing can be imported from an inline cache but by its image",
        )),
    }
}

fn cache_target(place: &CachePlace) -> ApiResult<CacheTarget> {
    let mode = |all: bool| if all { CacheMode::Max } else { CacheMode::Min };
    Ok(match place {
        CachePlace::Inline => CacheTarget::Inline,
        CachePlace::Registry { reference: name, all } => CacheTarget::Registry {
            reference: reference(name)?,
            mode: mode(*all),
        },
        CachePlace::Local { directory, all, .. } => CacheTarget::Local {
            directory: directory.clone(),
            mode: mode(*all),
        },
    })
}

/// Turns an event into a message.
pub(super) fn message(event: BuildEvent, file: &Known) -> BuildMessage {
    match event {
        BuildEvent::Vertex(vertex) => BuildMessage::Vertex(vertex_state(vertex)),
        BuildEvent::Progress(progress) => BuildMessage::Progress(part_state(progress)),
        BuildEvent::Log(log) => BuildMessage::Log {
            vertex: log.vertex.to_string(),
            stderr: log.stream == LogStream::Error,
            data: STANDARD.encode(&log.bytes),
            at: log.at.0,
        },
        BuildEvent::Warning(warning) => BuildMessage::Warning {
            vertex: warning.vertex.to_string(),
            excerpt: file.excerpt(warning.lines.first().copied()),
            short: warning.short,
            detail: warning.detail,
            url: warning.url,
        },
    }
}

/// Turns what a check found into a message.
pub(super) fn checked(file: CheckedFile) -> BuildMessage {
    let known = Known {
        name: file.name,
        text: Arc::new(OnceLock::from(file.text)),
    };
    let findings = file.checked.findings.into_iter().map(|finding| CheckFinding {
        rule: finding.rule.name().to_owned(),
        description: finding.rule.description().to_owned(),
        url: finding.rule.url(),
        excerpt: known.excerpt(Some(finding.lines)),
        first_line: finding.lines.first,
        last_line: finding.lines.last,
        message: finding.message,
    });
    BuildMessage::Checked {
        findings: findings.collect(),
        mistake: file.checked.mistake.map(|mistake| CheckMistake {
            excerpt: known.excerpt(mistake.lines.first().copied()),
            message: mistake.message,
        }),
    }
}

fn vertex_state(vertex: Vertex) -> VertexState {
    VertexState {
        digest: vertex.digest.to_string(),
        name: vertex.name,
        stage: vertex.stage,
        inputs: vertex.inputs.iter().map(ToString::to_string).collect(),
        started: vertex.started.map(|moment| moment.0),
        completed: vertex.completed.map(|moment| moment.0),
        cached: vertex.cached,
        error: vertex.error,
    }
}

fn part_state(progress: Progress) -> PartState {
    PartState {
        vertex: progress.vertex.to_string(),
        id: progress.id,
        name: progress.name,
        current: progress.current,
        total: progress.total,
        started: progress.started.map(|moment| moment.0),
        completed: progress.completed.map(|moment| moment.0),
        at: progress.at.0,
    }
}

/// Turns the end into a message.
pub(super) fn end(result: &Result<hyperbox_build::Built, BuildError>, file: &Known) -> BuildMessage {
    match result {
        Ok(built) => BuildMessage::Finished {
            image: built.image.as_ref().map(ToString::to_string),
            digest: None,
        },
        Err(error) => BuildMessage::Failed {
            kind: error.kind(),
            message: hyperbox_build::sentence(error),
            excerpt: file.excerpt(error.lines()),
            tail: STANDARD.encode(told::tail(error)),
            hint: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_types::build::BuildOutput;
    use serde_json::json;

    use super::*;

    fn call(change: serde_json::Value) -> BuildCall {
        let mut document = json!({
            "dockerfile": { "in": "context", "path": "Dockerfile" },
            "context": { "in": "empty" },
            "output": BuildOutput::Nothing,
        });
        let fields = change.as_object().cloned().unwrap_or_default();
        document.as_object_mut().unwrap().extend(fields);
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn what_is_allowed_besides() {
        for (allow, insecure, host_network) in [
            (json!([]), false, false),
            (json!(["network.host"]), false, true),
            (json!(["security.insecure"]), true, false),
            (json!(["network.host", "security.insecure", "moon"]), true, true),
        ] {
            let call = call(json!({ "allow": allow }));
            let request = request(&call, Box::pin(futures_util::stream::empty())).unwrap();
            assert_eq!(
                (request.allow_insecure, request.allow_host_network),
                (insecure, host_network),
                "{allow}"
            );
        }
    }

    #[test]
    fn directories_are_those_that_the_client_sees() {
        let place = tempfile::tempdir().unwrap();
        let metadata = std::fs::metadata(place.path()).unwrap();
        let local = |inode: u64| json!([{ "in": "local", "directory": place.path(), "device": metadata.dev(), "inode": inode }]);
        for caches in ["cache_from", "cache_to"] {
            let same = call(json!({ caches: local(metadata.ino()) }));
            check_directories(&same).unwrap();
            let other = call(json!({ caches: local(metadata.ino() + 1) }));
            let error = check_directories(&other).unwrap_err();
            assert_eq!(error.status(), StatusCode::PRECONDITION_FAILED);
        }
    }
}
