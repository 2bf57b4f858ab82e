// SPDX-License-Identifier: MIT
//! One solve: options are read, contexts found, the request made, the image built.
//!
//! Everything happens in one future: dropping it, or the end of the client's session, stops the build.

use std::collections::HashMap;
use std::sync::Arc;

use hyperbox_build::request::{Nothing, Output};
use hyperbox_build::{BuildRequest, Builder, Built};

use super::context::{Finder, Found};
use super::later::{Later, LaterTree};
use super::linked::{Finished, Results};
use super::options::Options;
use super::outputs::{self, OutputWish, Outputs};
use super::place::Place;
use super::subrequest::{self, Subrequest};
use crate::proto::control::SolveRequest;
use crate::proto::ops;
use crate::session::{Session, Sessions, Uploads};
use crate::status::{Course, failure};
use crate::transport::status::{Code, Status};

/// The frontends that are built in.
const DOCKERFILE: &str = "dockerfile.v0";
const GATEWAY: &str = "gateway.v0";

/// A solve.
pub(crate) struct Solving<'a> {
    pub(crate) builder: &'a Builder,
    pub(crate) sessions: &'a dyn Sessions,
    pub(crate) results: &'a Results,
    pub(crate) course: &'a Course,
    /// What `Control.Solve` was asked for.
    pub(crate) request: &'a SolveRequest,
    /// Who reads the Dockerfile.
    pub(crate) frontend: &'a str,
    /// What it is asked for.
    pub(crate) options: &'a HashMap<String, String>,
    /// Results of other builds.
    pub(crate) inputs: &'a HashMap<String, ops::Definition>,
    /// Contexts that come in requests of their own.
    pub(crate) uploads: &'a Uploads,
}

/// Solves.
///
/// # Errors
/// What is malformed, and how the build failed.
pub(crate) async fn solve(solving: Solving<'_>) -> Result<Finished, Status> {
    check_frontend(solving.frontend, solving.options)?;
    let options = Options::read(solving.options)?;
    let outputs = outputs::read(solving.request)?;
    let session = match solving.request.session.as_str() {
        "" => None,
        id => Some(solving.sessions.find(id).await?),
    };
    let finder = Finder {
        options: &options,
        course: solving.course,
        sessions: solving.sessions,
        session: &session,
        builder: solving.builder,
        results: solving.results,
        inputs: solving.inputs,
        uploads: solving.uploads,
    };
    let gone = async {
        match &session {
            Some(session) => session.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        finished = build(&solving, &finder, &outputs) => finished,
        () = gone => Err(Status::new(Code::Cancelled, "the client's session has ended")),
    }
}

/// Syntax images that are the Dockerfile's own are built in; others would need a solver of LLB.
fn check_frontend(frontend: &str, options: &HashMap<String, String>) -> Result<(), Status> {
    let source = options.get("source").map(String::as_str).unwrap_or_default();
    let unsupported = |name: &str| {
        let message = format!("frontend {name:?} is not supported: only docker/dockerfile is built in");
        Err(Status::new(Code::Unknown, message))
    };
    match frontend {
        DOCKERFILE => Ok(()),
        GATEWAY => {
            let name = source.strip_prefix("docker.io/").unwrap_or(source);
            let name = name.split(['@', ':']).next().unwrap_or_default();
            match name {
                "docker/dockerfile" | "docker/dockerfile-upstream" => Ok(()),
                _ => unsupported(source),
            }
        }
        "" => Err(Status::new(
            Code::Unknown,
            "LLB definitions are not supported: only Dockerfiles are built here",
        )),
        other => unsupported(other),
    }
}

async fn build(solving: &Solving<'_>, finder: &Finder<'_>, outputs: &Outputs) -> Result<Finished, Status> {
    let wanted = finder.options.request.as_deref().map(Subrequest::read).transpose()?;
    if wanted == Some(Subrequest::Describe) {
        // It is about what is known here, not about a file.
        return Ok(subrequest::describe());
    }
    // Which targets there are says the file alone.
    let named = match wanted {
        Some(Subrequest::Targets) => None,
        _ => Some(&finder.options.named),
    };
    let mut request = request(solving, finder, outputs, named.into_iter().flatten()).await?;
    if let Some(other) = wanted {
        request.outputs = Vec::new();
        return other.answer(solving.builder, request, solving.course).await;
    }
    let wants_image = outputs
        .wishes
        .iter()
        .any(|(wish, _)| matches!(wish, OutputWish::Image { .. }));
    let built = solving.builder.build_base(request, solving.course.events()).await;
    let (built, base) = built.map_err(|error| failure(&error, solving.course.definition()))?;
    Ok(Finished {
        response: response(&built, wants_image),
        base: Some(base),
        ..Finished::default()
    })
}

async fn request(
    solving: &Solving<'_>,
    finder: &Finder<'_>,
    outputs: &Outputs,
    named: impl Iterator<Item = (&String, &Place)>,
) -> Result<BuildRequest, Status> {
    let options = finder.options;
    let Found { dockerfile, context } = finder.main().await?;
    let mut request = BuildRequest::new(dockerfile, context);
    for (name, place) in named {
        let context = finder.named(name, place).await?;
        request.named_contexts.insert(name.clone(), context);
    }
    request.target.clone_from(&options.target);
    request.build_args.clone_from(&options.build_args);
    request.labels.clone_from(&options.labels);
    request.no_cache = options.no_cache.clone();
    request.pull = options.pull;
    request.platform.clone_from(&options.platform);
    request.network = options.network.clone();
    request.extra_hosts.clone_from(&options.extra_hosts);
    request.shm_size = options.shm_size;
    request.ulimits.clone_from(&options.ulimits);
    request.cgroup_parent.clone_from(&options.cgroup_parent);
    request.cache_from.clone_from(&options.cache_from);
    request.cache_to = match &solving.request.cache {
        Some(cache) => outputs::cache_to(&cache.exports)?,
        None => Vec::new(),
    };
    request.source_date_epoch = options.epoch();
    let allowed = |name: &str| solving.request.entitlements.iter().any(|given| given == name);
    request.allow_insecure = allowed("security.insecure");
    request.allow_host_network = allowed("network.host");
    request.outputs = open(outputs, finder.session.as_ref())?;
    match finder.session {
        Some(session) => {
            request.secrets = session.secrets();
            request.ssh = session.ssh();
            request.registries = session.registries();
        }
        None => request.secrets = Arc::new(Nothing),
    }
    Ok(request)
}

/// Says where outputs go; what is for the client goes through its session, opened when there is something to send.
fn open(outputs: &Outputs, session: Option<&Arc<dyn Session>>) -> Result<Vec<Output>, Status> {
    let client = || {
        let nobody = || Status::new(Code::Unknown, "no valid session: there is nobody to send files to");
        session.cloned().ok_or_else(nobody)
    };
    let opened = outputs.wishes.iter().enumerate().map(|(exporter, (wish, names))| {
        let output = match wish {
            OutputWish::Image { push } => Output::Image { push: *push },
            OutputWish::Directory => Output::Tree(Box::new(LaterTree {
                session: client()?,
                exporter,
            })),
            OutputWish::Archive => Output::Files(Later::file(client()?, exporter)),
            OutputWish::Oci => Output::Oci(Later::file(client()?, exporter)),
            OutputWish::Docker => Output::Docker(Later::file(client()?, exporter)),
        };
        // Each has names of its own: what is pushed as one is not pushed as another's.
        Ok(Output::Named(names.clone(), Box::new(output)))
    });
    opened.collect()
}

/// Returns what exporters answer (`exporter/containerimage/exptypes`); images are named by their configurations, as in Docker's store.
fn response(built: &Built, wants_image: bool) -> HashMap<String, String> {
    let mut response = HashMap::new();
    if let (true, Some(image)) = (wants_image, &built.image) {
        response.insert("containerimage.digest".to_owned(), image.to_string());
        response.insert("containerimage.config.digest".to_owned(), image.to_string());
        let names: Vec<String> = built.names.iter().map(ToString::to_string).collect();
        if !names.is_empty() {
            response.insert("image.name".to_owned(), names.join(","));
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frontends() {
        let check = |frontend: &str, source: &str| {
            let options = HashMap::from([("source".to_owned(), source.to_owned())]);
            check_frontend(frontend, &options).map_err(|error| error.message)
        };
        for (frontend, source, fine) in [
            ("dockerfile.v0", "", true),
            ("gateway.v0", "docker/dockerfile:1.7", true),
            ("gateway.v0", "docker.io/docker/dockerfile-upstream:master", true),
            ("gateway.v0", "docker/dockerfile@sha256:00", true),
            ("gateway.v0", "evil/frontend", false),
            ("", "", false),
            ("x", "", false),
        ] {
            assert_eq!(check(frontend, source).is_ok(), fine, "{frontend} {source}");
        }
    }
}
