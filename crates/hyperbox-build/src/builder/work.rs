// SPDX-License-Identifier: MIT
//! The course of a build: what is read first, the plan, the steps, what comes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyperbox_types::{ErrorKind, Platform};
use tokio_util::sync::CancellationToken;

use hyperbox_core::image::LayerLease;

use super::bases::BuiltBase;
use super::check::{self, Checking};
use super::export::{Wanted, export};
use super::sharing;
use super::{Built, Shared};
use crate::context::Tree;
use crate::context::remote::Address;
use crate::key::Surroundings;
use crate::layers::StoredLayers;
use crate::plan::Plan;
use crate::request::{ContextSource, DockerfileSource, IgnoreRules};
use crate::solve::{Contexts, Solver, Vertices, Wishes, text_of};
use crate::step::{LayerSink, StepContext};
use crate::{BuildError, BuildRequest, EventSender, StepError, StepReporter};

/// The argument of a build that keeps `.git` in contexts from repositories.
const KEEPS_GIT_DIRECTORY: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

/// What is read before anything is planned.
pub(super) struct Read {
    /// What the Dockerfile is called.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
    /// The files, if there are any.
    pub(super) context: Option<Arc<dyn Tree>>,
    /// What is beside the Dockerfile, what is left out of the context included, where that can be seen.
    pub(super) beside: Option<Arc<dyn Tree>>,
}

/// Reads the context and the Dockerfile of a request alone.
///
/// # Errors
/// Those of the context; a Dockerfile that is not there.
pub(super) async fn read(shared: &Arc<Shared>, request: BuildRequest, events: EventSender) -> Result<Read, BuildError> {
    let (vertices, _lease, layers) = begin(shared, request.dockerfile.name().to_owned(), events).await;
    let wishes = wishes(&request);
    let opening = Opening {
        shared,
        vertices: &vertices,
        layers: &layers,
        wishes: &wishes,
    };
    let read = opening.read(request.dockerfile, request.context).await?;
    // A request is read once.
    drop(request.dockerfile_text.set(read.text.clone()));
    Ok(read)
}

async fn begin(
    shared: &Arc<Shared>,
    dockerfile: String,
    events: EventSender,
) -> (Vertices, LayerLease, Arc<dyn LayerSink>) {
    let number = shared.next_build.fetch_add(1, Ordering::Relaxed);
    let vertices = Vertices::new(events, number, &dockerfile);
    let lease = shared.images.open_lease().await;
    let layers: Arc<dyn LayerSink> = Arc::new(StoredLayers::new(shared.images.clone(), lease.clone()));
    (vertices, lease, layers)
}

pub(super) async fn build(
    shared: &Arc<Shared>,
    request: BuildRequest,
    events: EventSender,
) -> Result<(Built, BuiltBase), BuildError> {
    let (mut vertices, lease, layers) = begin(shared, request.dockerfile.name().to_owned(), events).await;
    let wishes = wishes(&request);
    let mut checking = Checking::of(&request);
    let opening = Opening {
        shared,
        vertices: &vertices,
        layers: &layers,
        wishes: &wishes,
    };
    let wanted = Wanted {
        labels: request.labels,
        tags: request.tags,
        outputs: request.outputs,
        cache_to: request.cache_to,
    };
    let read = opening.read(request.dockerfile, request.context).await?;
    checking.find_rules(&read).await;
    let Read { text, context, .. } = read;
    // A request is read once.
    drop(request.dockerfile_text.set(text.clone()));
    let mut contexts = Contexts::with(context);
    let named = request.named_contexts.keys().map(|name| name.to_lowercase()).collect();
    for (name, source) in request.named_contexts {
        let title = format!("[context {name}] load from client");
        let open = async |source| opening.open(&title, source).await;
        contexts.add(name.to_lowercase(), source, open).await?;
    }
    let target = request.target.as_deref();
    let plan = match Plan::new(&text, target, &request.build_args, &wishes.platform, named) {
        Ok(plan) => plan,
        Err(error) => {
            check::warn_of_failed(shared, &vertices, &text, checking).await;
            return Err(error);
        }
    };
    vertices.set_labels(plan.stages.iter().map(|stage| stage.label.clone()).collect());
    let solver = Solver::new(Arc::clone(shared), plan, wishes, contexts, vertices, (lease, layers));
    sharing::take_over(&solver, &request.cache_from).await;
    let warned = AtomicBool::new(false);
    let (stage, ()) = match tokio::try_join!(solver.target(), check::warn(&solver, &text, &checking, &warned)) {
        Ok(done) => done,
        Err(error) => {
            if !warned.load(Ordering::Relaxed) {
                check::warn_of_failed(shared, &solver.vertices, &text, checking).await;
            }
            return Err(error);
        }
    };
    let base = BuiltBase::new(stage.labelled(&wanted.labels), solver.lease.clone());
    let built = export(&solver, &stage, wanted).await?;
    Ok((built, base))
}

fn wishes(request: &BuildRequest) -> Wishes {
    Wishes {
        platform: request.platform.clone().unwrap_or_else(Platform::host),
        no_cache: request.no_cache.clone(),
        pull: request.pull,
        around: Surroundings::of(request),
        allow_insecure: request.allow_insecure,
        allow_host_network: request.allow_host_network,
        secrets: Arc::clone(&request.secrets),
        ssh: Arc::clone(&request.ssh),
        registries: Arc::clone(&request.registries),
        keeps_git_directory: request
            .build_args
            .get(KEEPS_GIT_DIRECTORY)
            .is_some_and(|text| is_true(text)),
    }
}

/// Reads a switch as Go's `strconv.ParseBool` does; what is none is off.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

fn unopened(title: &str, error: StepError) -> BuildError {
    BuildError::Step {
        name: title.to_owned(),
        lines: None,
        source: Arc::new(error),
    }
}

/// Opens contexts.
/// Returns what finding a context is called, as BuildKit calls it.
fn title_of(context: &ContextSource) -> String {
    match context {
        ContextSource::Remote(address) => match Address::parse(address) {
            Some(Address::Git(_)) => format!("[internal] load git source {address}"),
            _ => "[internal] load remote build context".to_owned(),
        },
        _ => "[internal] load build context".to_owned(),
    }
}

struct Opening<'a> {
    shared: &'a Shared,
    vertices: &'a Vertices,
    layers: &'a Arc<dyn LayerSink>,
    wishes: &'a Wishes,
}

impl Opening<'_> {
    async fn read(&self, dockerfile: DockerfileSource, context: ContextSource) -> Result<Read, BuildError> {
        let name = dockerfile.name().to_owned();
        let beside = match &context {
            // A Dockerfile that is left out of the context is read all the same.
            ContextSource::Directory { path, .. } => Some(ContextSource::Directory {
                path: path.clone(),
                rules: IgnoreRules::Nothing,
            }),
            _ => None,
        };
        let title = title_of(&context);
        let context = match context {
            ContextSource::Empty => None,
            source => Some(self.open(&title, source).await?),
        };
        let beside = match beside {
            Some(source) => {
                let with = self.step_context(StepReporter::default());
                let opened = self.shared.files.open_context(source, &with).await;
                Some(opened.map_err(|error| unopened(&title, error))?)
            }
            None => context.clone(),
        };
        let text = self.dockerfile(dockerfile, beside.as_ref()).await?;
        Ok(Read {
            name,
            text,
            context,
            beside,
        })
    }

    fn step_context(&self, reporter: StepReporter) -> StepContext {
        StepContext {
            reporter,
            cancel: CancellationToken::new(),
            layers: Arc::clone(self.layers),
            source_date_epoch: self.wishes.around.source_date_epoch,
            secrets: Arc::clone(&self.wishes.secrets),
            ssh: Arc::clone(&self.wishes.ssh),
            registries: Arc::clone(&self.wishes.registries),
            keeps_git_directory: self.wishes.keeps_git_directory,
        }
    }

    async fn open(&self, title: &str, source: ContextSource) -> Result<Arc<dyn Tree>, BuildError> {
        let vertex = self.vertices.begin_internal(title, None, None);
        let with = self.step_context(vertex.reporter());
        match self.shared.files.open_context(source, &with).await {
            Ok(tree) => {
                vertex.done();
                Ok(tree)
            }
            Err(error) => {
                vertex.failed(&error);
                Err(unopened(title, error))
            }
        }
    }

    async fn dockerfile(
        &self,
        source: DockerfileSource,
        context: Option<&Arc<dyn Tree>>,
    ) -> Result<String, BuildError> {
        let (name, context) = match (source, context) {
            (DockerfileSource::Text { text, .. }, _) => {
                let title = self.vertices.definition();
                self.vertices.begin_internal(&title, None, None).done();
                return Ok(text);
            }
            (DockerfileSource::Context(name), Some(context)) => (name, Arc::clone(context)),
            (DockerfileSource::Context(name), None) => {
                return Err(BuildError::Refused {
                    kind: ErrorKind::InvalidArgument,
                    message: format!("failed to read dockerfile: open {name}: there is no build context"),
                });
            }
        };
        let title = self.vertices.definition();
        let vertex = self.vertices.begin_internal(&title, None, None);
        let reading = tokio::task::spawn_blocking(move || text_of(context.as_ref(), &name)).await;
        let text = reading.unwrap_or_else(|_| {
            Err(BuildError::Refused {
                kind: ErrorKind::Internal,
                message: "reading the Dockerfile was interrupted".to_owned(),
            })
        });
        match text {
            Ok(text) => {
                vertex.done();
                Ok(text)
            }
            Err(error) => {
                vertex.failed(&error);
                Err(error)
            }
        }
    }
}
