// SPDX-License-Identifier: MIT
//! Build checks: as warnings of a build, and alone.
//!
//! In a build they wait for nothing but the base images, whose variables count, and end it only where the file says `check=error=true`.
//! They are done on a thread that may block: a Dockerfile may be long, and a build that is cancelled does not wait for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyperbox_core::image::ImageRecord;
use hyperbox_dockerfile::Ignore;
use hyperbox_dockerfile::check::{BaseImage, Checked, CheckedStages, Surroundings, check};
use hyperbox_types::{ErrorKind, ImageReference, Platform};

use super::work::{self, Read};
use super::{Builder, Shared};
use crate::plan::{Base, predefined};
use crate::solve::{Solver, Vertices, text_of};
use crate::{BuildError, BuildRequest, EventSender};

/// A Dockerfile and what a check of it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFile {
    /// What the file is called.
    pub name: String,
    /// Its text, for excerpts.
    pub text: String,
    /// What was found.
    pub checked: Checked,
}

/// What of a request counts for checks.
#[derive(Debug, Clone)]
pub(super) struct Checking {
    arguments: BTreeMap<String, String>,
    target: Option<String>,
    platform: Platform,
    ignore: Option<Ignore>,
}

impl Checking {
    pub(super) fn of(request: &BuildRequest) -> Self {
        Self {
            arguments: request.build_args.clone(),
            target: request.target.clone(),
            platform: request.platform.clone().unwrap_or_else(Platform::host),
            ignore: None,
        }
    }

    /// Finds what the context leaves out: it tells itself, or has the rules beside the Dockerfile, else those in its root. Without files
    /// nothing is known.
    pub(super) async fn find_rules(&mut self, read: &Read) {
        self.ignore = read.context.as_ref().and_then(|context| context.left_out().cloned());
        let Some(context) = read.beside.clone().filter(|_| self.ignore.is_none()) else {
            return;
        };
        let names = [format!("{}.dockerignore", read.name), ".dockerignore".to_owned()];
        let reading = tokio::task::spawn_blocking(move || {
            let text = names.iter().find_map(|name| text_of(context.as_ref(), name).ok())?;
            Ignore::parse(&text).ok()
        });
        self.ignore = reading.await.ok().flatten();
    }

    fn run(&self, text: &str, stages: CheckedStages, image: &dyn Fn(&str) -> Option<BaseImage>) -> Checked {
        self.around(image, |around| check(text, &Surroundings { stages, ..*around }))
    }

    /// Gives what counts besides the text to a function.
    pub(super) fn around<T>(
        &self,
        image: &dyn Fn(&str) -> Option<BaseImage>,
        tell: impl FnOnce(&Surroundings<'_>) -> T,
    ) -> T {
        let target = self.target.as_deref();
        let predefined = predefined(&self.arguments, &self.platform, target);
        tell(&Surroundings {
            arguments: &self.arguments,
            predefined: &predefined,
            target,
            stages: CheckedStages::Needed,
            ignore: self.ignore.as_ref(),
            image,
        })
    }
}

/// Tells what a build's Dockerfile should not say.
///
/// # Errors
/// Base images that cannot be had; findings, where the file says that they are errors.
pub(super) async fn warn(
    solver: &Solver,
    text: &str,
    checking: &Checking,
    told: &AtomicBool,
) -> Result<(), BuildError> {
    let mut images = BTreeMap::new();
    for index in &solver.plan.needed {
        let stage = &solver.plan.stages[*index];
        if let Base::Image { name, platform } = &stage.base
            && !stage.replaced
        {
            let image = solver.image(Some(*index), name, platform.as_deref()).await?;
            let config = &image.image.config;
            images.insert(name.clone(), brings(&config.env, &config.shell));
        }
    }
    let (text, checking) = (text.to_owned(), checking.clone());
    let checked =
        blocking(move || checking.run(&text, CheckedStages::Needed, &|name| images.get(name).cloned())).await?;
    told.store(true, Ordering::Relaxed);
    for finding in &checked.findings {
        solver.vertices.warn(finding);
    }
    match checked.mistake {
        None => Ok(()),
        Some(mistake) => Err(BuildError::Dockerfile {
            message: mistake.message,
            lines: mistake.lines.first().copied(),
        }),
    }
}

/// Tells what was found in a Dockerfile whose build has failed before it was checked: up to the mistake, of images that are here.
pub(super) async fn warn_of_failed(shared: &Arc<Shared>, vertices: &Vertices, text: &str, checking: Checking) {
    let (text, shared) = (text.to_owned(), Arc::clone(shared));
    let image = move |name: &str| brought(&shared, name);
    let Ok(checked) = blocking(move || checking.run(&text, CheckedStages::Needed, &image)).await else {
        return;
    };
    for finding in &checked.findings {
        vertices.warn(finding);
    }
}

/// Works on a text as long as that takes.
///
/// # Errors
/// `Internal` when the work panicked.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BuildError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| BuildError::Refused {
        kind: ErrorKind::Internal,
        message: "reading the Dockerfile was interrupted".to_owned(),
    })
}

fn brings(environment: &[String], shell: &[String]) -> BaseImage {
    BaseImage {
        environment: environment.to_vec(),
        has_shell: !shell.is_empty(),
    }
}

impl Builder {
    /// Checks the Dockerfile of a build, and builds nothing. Images that are not here are not fetched: what they bring along is not
    /// known then, and nothing is said of variables that they may have.
    ///
    /// # Errors
    /// Contexts and Dockerfiles that cannot be read. What is wrong in the Dockerfile is no error here.
    pub async fn check(&self, request: BuildRequest, events: EventSender) -> Result<CheckedFile, BuildError> {
        let mut checking = Checking::of(&request);
        let read = work::read(&self.shared, request, events).await?;
        checking.find_rules(&read).await;
        let Read { name, text, .. } = read;
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let checked = checking.run(&text, CheckedStages::All, &|name| brought(&shared, name));
            CheckedFile { name, text, checked }
        };
        blocking(work).await
    }
}

/// Tells what an image that is here brings along.
pub(super) fn brought(shared: &Shared, name: &str) -> Option<BaseImage> {
    let reference = ImageReference::parse(name).ok()?;
    let record: Arc<ImageRecord> = shared.images.get(&reference.to_string()).ok()?;
    Some(brings(&record.config.env, &record.config.shell))
}
