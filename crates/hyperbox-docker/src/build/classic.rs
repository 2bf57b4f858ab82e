// SPDX-License-Identifier: MIT
//! `POST /build` of the Engine API (`version=1`): its query becomes a request, the build's events become lines of JSON.
//!
//! Clients look for what the classic builder says: `Step 1/3 : …`, ` ---> Using cache`, `Successfully built ID`, `aux` with the id, and
//! in `errorDetail` the code of a command that failed.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use hyperbox_build::event::Vertex;
use hyperbox_build::request::{
    BuildNetwork, CacheSource, ContextSource, DockerfileSource, NoCache, Output, PullPolicy, source_date_epoch,
};
use hyperbox_build::{BuildError, BuildEvent, BuildRequest, StepError};
use hyperbox_core::seam::FileStream;
use hyperbox_types::{ByteSize, ImageReference, Platform, Ulimit};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::steps::{Asked, Steps};
use crate::error::{ApiError, ApiResult};
use crate::query::Query;
use crate::translate::image::parse_reference;

/// Reads the query; `context` is the body, where it is an archive.
pub(crate) fn request(query: &Query, context: FileStream) -> ApiResult<BuildRequest> {
    let remote = query.text("remote");
    if remote == "client-session" {
        return Err(ApiError::not_implemented(
            "sessions are not supported by the classic builder",
        ));
    }
    let name = match query.text("dockerfile") {
        "" => "Dockerfile",
        name => name,
    };
    let source = match remote {
        "" => ContextSource::Archive(context),
        address => ContextSource::Remote(address.to_owned()),
    };
    let mut request = BuildRequest::new(DockerfileSource::Context(name.to_owned()), source);
    request.target = some(query.text("target"));
    let arguments: BTreeMap<String, Option<String>> = document(query, "buildargs")?;
    request.build_args = arguments
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    request.labels = document(query, "labels")?;
    request.tags = query
        .all("t")
        .iter()
        .filter(|name| !name.is_empty())
        .map(|name| tag(name))
        .collect::<ApiResult<_>>()?;
    if query.flag("nocache") {
        request.no_cache = NoCache::Everything;
    }
    if query.flag("pull") {
        request.pull = PullPolicy::Always;
    }
    request.platform = match query.text("platform") {
        "" => None,
        text => Some(Platform::parse(text).map_err(|error| ApiError::bad_request(error.to_string()))?),
    };
    request.network = network(query.text("networkmode"));
    request.extra_hosts = extra_hosts(&query.all("extrahosts"));
    request.shm_size = positive(query, "shmsize")?;
    let limits: Vec<Ulimit> = document(query, "ulimits")?;
    request.ulimits = limits;
    request.cgroup_parent = some(query.text("cgroupparent"));
    let sources: Vec<String> = document(query, "cachefrom")?;
    request.cache_from = sources
        .iter()
        .map(|name| parse_reference(name).map(CacheSource::Registry))
        .collect::<ApiResult<_>>()?;
    request.outputs = vec![Output::Image { push: false }];
    request.source_date_epoch = source_date_epoch(&request.build_args);
    Ok(request)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn tag(name: &str) -> ApiResult<ImageReference> {
    let reference = parse_reference(name)?;
    if reference.digest().is_some() {
        return Err(ApiError::bad_request("build tag cannot contain a digest"));
    }
    ImageReference::parse(name).map_err(|_| ApiError::bad_request("invalid reference format"))
}

/// Reads a parameter that is a JSON document.
pub(super) fn document<T: DeserializeOwned + Default>(query: &Query, name: &str) -> ApiResult<T> {
    match query.text(name) {
        "" | "null" => Ok(T::default()),
        text => {
            serde_json::from_str(text).map_err(|error| ApiError::bad_request(format!("error reading {name}: {error}")))
        }
    }
}

fn positive(query: &Query, name: &str) -> ApiResult<Option<ByteSize>> {
    let number = query.integer(name)?;
    Ok(number
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| *number > 0)
        .map(ByteSize))
}

pub(super) fn network(mode: &str) -> BuildNetwork {
    match mode {
        "" | "default" | "bridge" => BuildNetwork::Default,
        "none" => BuildNetwork::None,
        "host" => BuildNetwork::Host,
        other => match other.strip_prefix("container:") {
            Some(name) => BuildNetwork::Container(name.to_owned()),
            None => BuildNetwork::Named(other.to_owned()),
        },
    }
}

/// Splits `name:address`; several may come in one value, separated by commas.
pub(super) fn extra_hosts(values: &[String]) -> Vec<(String, String)> {
    let values = values.iter().flat_map(|value| value.split(','));
    let pairs = values.filter_map(|value| value.split_once(':').or_else(|| value.split_once('=')));
    pairs
        .map(|(name, address)| (name.to_owned(), address.to_owned()))
        .collect()
}

/// Turns events into messages.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    cached: std::collections::HashSet<String>,
    /// Whether only the end is told.
    quiet: bool,
    /// What the steps are counted by.
    dockerfile: Arc<OnceLock<String>>,
    asked: Asked,
    /// Known when the Dockerfile was read.
    steps: Option<Steps>,
}

impl Teller {
    pub(crate) fn new(quiet: bool, request: &BuildRequest) -> Self {
        Self {
            quiet,
            dockerfile: Arc::clone(&request.dockerfile_text),
            asked: Asked {
                target: request.target.clone(),
                arguments: request.build_args.clone(),
                predefined: request.predefined(),
                labels: request.labels.clone(),
            },
            ..Self::default()
        }
    }

    /// Returns the messages of an event.
    pub(crate) fn tell(&mut self, event: &BuildEvent) -> Vec<Value> {
        if self.quiet {
            return Vec::new();
        }
        match event {
            BuildEvent::Vertex(vertex) => self.vertex(vertex),
            BuildEvent::Log(log) => vec![json!({ "stream": String::from_utf8_lossy(&log.bytes) })],
            BuildEvent::Warning(warning) => vec![json!({ "stream": format!("[Warning] {}\n", warning.short) })],
            BuildEvent::Progress(_) => Vec::new(),
        }
    }

    fn count(&self) -> Option<Steps> {
        Some(Steps::of(self.dockerfile.get()?, &self.asked))
    }

    fn vertex(&mut self, vertex: &Vertex) -> Vec<Value> {
        let Some(lines) = vertex.lines.filter(|_| is_step(&vertex.name)) else {
            return Vec::new();
        };
        if vertex.started.is_none() && vertex.completed.is_none() {
            return Vec::new();
        }
        if self.steps.is_none() {
            self.steps = self.count();
        }
        let begun = self.steps.as_mut().map(|steps| steps.begin(lines));
        let mut told: Vec<Value> = begun.iter().flatten().map(|step| numbered(step)).collect();
        // A base is no step that could be done.
        let is_base = vertex.name.contains("] FROM ");
        if vertex.cached && !is_base && self.cached.insert(vertex.digest.to_string()) {
            told.push(json!({ "stream": " ---> Using cache\n" }));
        }
        told
    }

    /// Returns the messages of the end.
    pub(crate) fn end(&mut self, result: &Result<hyperbox_build::Built, BuildError>) -> Vec<Value> {
        match result {
            Ok(built) => {
                let Some(image) = &built.image else {
                    return Vec::new();
                };
                if self.quiet {
                    return vec![json!({ "stream": format!("{image}\n") })];
                }
                let steps = self.steps.take().or_else(|| self.count());
                let rest = steps.map(|mut steps| steps.rest()).unwrap_or_default();
                let mut told: Vec<Value> = rest.iter().map(|step| numbered(step)).collect();
                told.push(json!({ "aux": { "ID": image.to_string() } }));
                told.push(json!({ "stream": format!("Successfully built {}\n", image.short()) }));
                let names = built.names.iter().map(ImageReference::familiar);
                told.extend(names.map(|name| json!({ "stream": format!("Successfully tagged {name}\n") })));
                told
            }
            Err(error) => vec![failure(error)],
        }
    }
}

/// Tells a step, such as `[stage 1/3] RUN make`, from what the builder does for itself.
fn is_step(name: &str) -> bool {
    let place = name.strip_prefix('[').and_then(|name| name.split_once("] "));
    let number = place.and_then(|(place, _)| place.rsplit(' ').next());
    number.is_some_and(|number| number.contains('/'))
}

fn numbered(step: &str) -> Value {
    json!({ "stream": format!("Step {step}\n") })
}

/// Returns the message of a failure.
pub(crate) fn failure(error: &BuildError) -> Value {
    let message = match error {
        BuildError::Step { source, .. } => match source.as_ref() {
            StepError::Exit { command, code, .. } => {
                let message = format!("The command '{command}' returned a non-zero code: {code}");
                return json!({ "errorDetail": { "code": code, "message": message }, "error": message });
            }
            other => hyperbox_build::sentence(other),
        },
        other => hyperbox_build::sentence(other),
    };
    json!({ "errorDetail": { "message": message }, "error": message })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn read(query: &str) -> ApiResult<BuildRequest> {
        request(&Query::parse(query), Box::pin(stream::empty()))
    }

    #[test]
    fn queries_become_requests() {
        let request = read(
            "t=a&t=b:1&dockerfile=x/D&nocache=1&pull=1&target=t&buildargs=%7B%22A%22%3A%221%22%2C%22B%22%3Anull%7D\
             &labels=%7B%22l%22%3A%22v%22%7D&networkmode=container:c&extrahosts=h%3A1.2.3.4&shmsize=64&platform=linux%2Famd64\
             &ulimits=%5B%7B%22Name%22%3A%22nofile%22%2C%22Soft%22%3A10%2C%22Hard%22%3A20%7D%5D&cachefrom=%5B%22c%3A1%22%5D",
        )
        .expect("request");
        let tags: Vec<String> = request.tags.iter().map(ImageReference::familiar).collect();
        assert_eq!(tags, ["a:latest", "b:1"]);
        assert_eq!(request.dockerfile, DockerfileSource::Context("x/D".to_owned()));
        assert_eq!(request.build_args, BTreeMap::from([("A".to_owned(), "1".to_owned())]));
        assert_eq!(request.labels["l"], "v");
        assert_eq!(request.network, BuildNetwork::Container("c".to_owned()));
        assert_eq!(request.extra_hosts, [("h".to_owned(), "1.2.3.4".to_owned())]);
        assert_eq!((request.shm_size, request.ulimits[0].soft()), (Some(ByteSize(64)), 10));
        assert_eq!(
            (request.no_cache, request.pull),
            (NoCache::Everything, PullPolicy::Always)
        );
        assert_eq!(request.cache_from.len(), 1);
        for wrong in [
            "t=A",
            "labels=x",
            "remote=client-session",
            "platform=a/b/c/d",
            "shmsize=x",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn failures_have_codes() {
        let error = BuildError::Step {
            name: "[2/2] RUN false".to_owned(),
            lines: None,
            source: Arc::new(StepError::Exit {
                command: "/bin/sh -c false".to_owned(),
                code: 1,
                tail: Vec::new(),
            }),
        };
        let message = "The command '/bin/sh -c false' returned a non-zero code: 1";
        assert_eq!(
            failure(&error),
            json!({ "errorDetail": { "code": 1, "message": message }, "error": message })
        );
        assert!(is_step("[build 2/3] RUN a") && !is_step("[internal] load") && !is_step("exporting"));
    }
}
