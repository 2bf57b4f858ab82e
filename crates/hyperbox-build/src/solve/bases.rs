// SPDX-License-Identifier: MIT
//! What stages build on: images, fetched when they are not here, and contexts that take their place.

use std::sync::{Arc, PoisonError};

use hyperbox_core::image::{ImageLayer, ImageRecord};
use hyperbox_types::{ErrorKind, ImageReference, InvalidReference, Platform};
use tokio::sync::OnceCell;

use super::{NamedContext, Solver, Stage};
use crate::config::ImageState;
use crate::event::{LogStream, follow};
use crate::plan::{Action, PlannedCopy, PlannedSource, PlannedStep, Reference, Scope, from_name};
use crate::request::PullPolicy;
use crate::{BuildError, BuiltBase, StepReporter};

/// Says what is wrong with the name of an image.
fn in_dockers_words(name: &str, error: &InvalidReference) -> String {
    if error.reason != "repository name must be lowercase" {
        return "invalid reference format".to_owned();
    }
    let (place, last) = name.rsplit_once('/').unwrap_or(("", name));
    let repository = last.split([':', '@']).next().unwrap_or_default();
    let repository = match place {
        "" => format!("library/{repository}"),
        place => format!("{place}/{repository}"),
    };
    format!("invalid reference format: repository name ({repository}) must be lowercase")
}

impl Solver {
    /// Returns an image, as a stage without steps; each is found once in a build.
    pub(crate) async fn image(
        &self,
        stage: Option<usize>,
        name: &str,
        platform: Option<&str>,
    ) -> Result<Arc<Stage>, BuildError> {
        let cell = {
            let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (name.to_owned(), platform.map(str::to_owned));
            Arc::clone(images.entry(key).or_default())
        };
        let found = cell.get_or_init(|| async { self.find_image(stage, name, platform).await.map(Arc::new) });
        found.await.clone()
    }

    async fn find_image(&self, stage: Option<usize>, name: &str, platform: Option<&str>) -> Result<Stage, BuildError> {
        let lines = stage.map(|index| self.plan.file.stages[index].lines);
        let in_file = |message: String| BuildError::Dockerfile { message, lines };
        let reference = ImageReference::parse(name).map_err(|error| {
            in_file(format!(
                "failed to parse stage name {name:?}: {}",
                in_dockers_words(name, &error)
            ))
        })?;
        let platform = match platform {
            Some(text) => {
                let parsed = Platform::parse(text);
                let reason = if text.split('/').count() > 3 {
                    "cannot parse platform specifier"
                } else {
                    "unknown operating system or architecture"
                };
                parsed.map_err(|_| {
                    in_file(format!(
                        "failed to parse platform {text}: {text:?}: {reason}: invalid argument"
                    ))
                })?
            }
            None => self.wishes.platform.clone(),
        };
        let load = self
            .vertices
            .begin_internal(&format!("[internal] load metadata for {reference}"), None, None);
        let record = match self.obtain(&reference, &platform, &load.reporter()).await {
            Ok(record) => record,
            Err(error) => {
                load.failed(&error);
                return Err(match error {
                    BuildError::Service(error) => BuildError::Base {
                        kind: error.kind(),
                        message: format!("{name}: failed to resolve source metadata for {reference}: {error}"),
                        lines,
                    },
                    error => error,
                });
            }
        };
        load.done();
        let title = match stage {
            Some(index) => from_name(&self.plan, index, &reference.to_string()),
            None => format!("FROM {reference}"),
        };
        let from = self.vertices.begin_internal(&title, stage, lines);
        let vertex = from.digest().clone();
        from.cached();
        let image = ImageState {
            config: record.config.clone(),
            author: record.author.clone(),
            ..ImageState::default()
        };
        Ok(Stage {
            layers: record.layers.clone(),
            scope: Scope::new(&image.config.env),
            image,
            history: record.history.clone(),
            platform: record.platform.clone(),
            vertex: Some(vertex),
            tree: OnceCell::new(),
        })
    }

    /// Finds an image here or fetches it, and protects it.
    async fn obtain(
        &self,
        reference: &ImageReference,
        platform: &Platform,
        reporter: &StepReporter,
    ) -> Result<Arc<ImageRecord>, BuildError> {
        if self.wishes.pull == PullPolicy::Missing
            && let Some(record) = self.local(reference, Some(platform)).await?
        {
            return Ok(record);
        }
        self.fetch(reference, platform, reporter).await?;
        // A name that means one image means that for every platform, as with BuildKit.
        let found = self.local(reference, None).await?.ok_or_else(|| BuildError::Refused {
            kind: ErrorKind::NotFound,
            message: format!("{reference}: not found"),
        })?;
        if platform.rank(&found.platform).is_none() {
            let name = reference.familiar();
            let there = &found.platform;
            let warning = format!(
                "Base image {name} was pulled with platform \"{there}\", expected \"{platform}\" for current build\n"
            );
            reporter.log(LogStream::Error, warning.as_bytes());
        }
        Ok(found)
    }

    /// Fetches an image under its name.
    ///
    /// # Errors
    /// Those of the registry, and of asking the client for credentials.
    pub(crate) async fn fetch(
        &self,
        reference: &ImageReference,
        platform: &Platform,
        reporter: &StepReporter,
    ) -> Result<(), BuildError> {
        let asked = self.wishes.registries.credentials(reference).await;
        let credentials = asked.map_err(|error| BuildError::Refused {
            kind: error.kind(),
            message: error.to_string(),
        })?;
        let images = &self.shared.images;
        let course = images
            .pull(reference.clone(), Some(platform.clone()), credentials)
            .await?;
        follow(course, reporter).await?;
        Ok(())
    }

    /// Finds an image that is here, under exactly this name and for a platform, and protects it until the build is over.
    async fn local(
        &self,
        reference: &ImageReference,
        platform: Option<&Platform>,
    ) -> Result<Option<Arc<ImageRecord>>, BuildError> {
        let Ok((record, lease)) = self.shared.images.get_leased(&reference.to_string()).await else {
            return Ok(None);
        };
        // The beginning of an id is no name of a base.
        let named = record.references.contains(reference) || reference.digest().is_some();
        if !named || platform.is_some_and(|platform| platform.rank(&record.platform).is_none()) {
            return Ok(None);
        }
        let layers: Vec<ImageLayer> = record.layers.clone();
        self.shared.images.protect_layers(&layers, &self.lease).await?;
        drop(lease);
        Ok(Some(record))
    }

    /// Returns a context as a base: an image as it is, a tree as a layer on nothing.
    pub(super) async fn named_base(&self, index: usize, name: &str) -> Result<Arc<Stage>, BuildError> {
        match self.named.get(name) {
            Some(NamedContext::Image(image)) => self.image(Some(index), image, None).await,
            Some(NamedContext::Built(base)) => Ok(Arc::new(self.built_base(index, name, base))),
            Some(NamedContext::Tree(_)) => self.tree_base(index, name).await.map(Arc::new),
            None => Err(BuildError::Refused {
                kind: ErrorKind::Internal,
                message: format!("the context {name:?} is gone"),
            }),
        }
    }

    /// Returns what another build has made as a base; its layers are held as long as this build goes on.
    fn built_base(&self, index: usize, name: &str, base: &BuiltBase) -> Stage {
        let mut stage = base.stage().again();
        let lines = self.plan.file.stages[index].lines;
        let title = from_name(&self.plan, index, name);
        let from = self.vertices.begin_internal(&title, Some(index), Some(lines));
        stage.vertex = Some(from.digest().clone());
        from.cached();
        stage
    }

    async fn tree_base(&self, index: usize, name: &str) -> Result<Stage, BuildError> {
        let mut stage = Stage::scratch(self.wishes.platform.clone());
        let step = PlannedStep {
            name: format!("[context {name}] load from client"),
            lines: self.plan.file.stages[index].lines,
            action: Action::Copy(PlannedCopy {
                from: Reference::Named(name.to_owned()),
                sources: vec![PlannedSource::Path("/".to_owned())],
                destination: "/".to_owned(),
                owner: None,
                mode: None,
                link: true,
                parents: false,
                excludes: Vec::new(),
                add: None,
            }),
        };
        // Behind all steps that the stage may have, so that its vertex is its own.
        let done = self.step(index, usize::MAX, &step, &[], None).await?;
        stage.layers.push(done.record.layer);
        stage.vertex = Some(done.vertex);
        stage.history.push(hyperbox_core::image::HistoryEntry {
            created_at: Some(done.record.created_at),
            created_by: format!("COPY / / # {name}"),
            comment: super::history::COMMENT.to_owned(),
            ..Default::default()
        });
        Ok(stage)
    }
}
