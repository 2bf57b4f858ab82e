// SPDX-License-Identifier: MIT
//! Contexts of a build, wherever they are. Directories of the client are asked for what the Dockerfile can read, and nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use hyperbox_build::request::{ContextSource, DockerfileSource, PullPolicy};

use super::definition::{Definition, IGNORE, ignore_of, lines};
use super::linked::Results;
use super::options::Options;
use super::place::Place;
use super::reads::{Reads, reads};
use crate::proto::ops;
use crate::session::{DirectoryWish, Session, Sessions, Uploads};
use crate::status::Course;
use crate::transport::status::{Code, Status};

/// What loading the main context is called.
const CONTEXT: &str = "[internal] load build context";

/// What contexts are found with.
pub(super) struct Finder<'a> {
    pub(super) options: &'a Options,
    pub(super) course: &'a Course,
    pub(super) sessions: &'a dyn Sessions,
    /// The build's own session.
    pub(super) session: &'a Option<Arc<dyn Session>>,
    pub(super) builder: &'a hyperbox_build::Builder,
    pub(super) results: &'a Results,
    pub(super) inputs: &'a HashMap<String, ops::Definition>,
    pub(super) uploads: &'a Uploads,
}

/// The Dockerfile and the main context.
pub(super) struct Found {
    pub(super) dockerfile: DockerfileSource,
    pub(super) context: ContextSource,
}

impl Finder<'_> {
    /// Finds the Dockerfile and the main context.
    ///
    /// # Errors
    /// Those of the session; in BuildKit's words for what is not there.
    pub(super) async fn main(&self) -> Result<Found, Status> {
        let local = matches!(self.options.context, Place::Local(_));
        let definition = match local || self.options.dockerfile_is_local {
            true => {
                let session = self.session_of(&self.options.dockerfile).await?;
                Some(Definition::read(session.as_ref(), self.options, self.course).await?)
            }
            false => None,
        };
        let context = match (&self.options.context, &definition) {
            (Place::Local(directory), Some(definition)) => self.directory(directory, definition).await?,
            (Place::Upload(address), _) => {
                let session = self.session_of("context").await?;
                ContextSource::Archive(session.upload(address).await?)
            }
            (Place::Uploaded(build), _) => ContextSource::Archive(self.uploads.take(build).await?),
            (Place::Remote(address), _) => ContextSource::Remote(self.with_subdirectory(address)),
            _ => ContextSource::Empty,
        };
        let dockerfile = match definition {
            Some(definition) => DockerfileSource::Text {
                name: definition.name,
                text: definition.text,
            },
            None => DockerfileSource::Context(self.options.filename.clone()),
        };
        Ok(Found { dockerfile, context })
    }

    /// A subdirectory of git is part of its address.
    fn with_subdirectory(&self, address: &str) -> String {
        match &self.options.subdirectory {
            Some(directory) if !address.contains('#') => format!("{address}#:{directory}"),
            _ => address.to_owned(),
        }
    }

    async fn directory(&self, directory: &str, definition: &Definition) -> Result<ContextSource, Status> {
        let session = self.session_of(directory).await?;
        if self.options.request.is_some() {
            return self.rules(directory, session).await;
        }
        let follow = match self.reads(definition) {
            Reads::Nothing => return Ok(ContextSource::Empty),
            Reads::Paths(paths) => paths,
            Reads::Everything => Vec::new(),
        };
        let excludes = definition.excludes(&session, directory, self.course).await?;
        let wish = DirectoryWish {
            name: directory.to_owned(),
            shared_key: self.options.shared_keys.get(directory).cloned().unwrap_or_default(),
            excludes,
            follow,
        };
        let loading = self.course.begin(CONTEXT);
        Ok(ContextSource::Tree(session.tree(wish, loading).await?))
    }

    /// Finds what is left out of a directory: all that who asks about a Dockerfile needs of it.
    async fn rules(&self, directory: &str, session: Arc<dyn Session>) -> Result<ContextSource, Status> {
        let name = &self.options.filename;
        let wish = DirectoryWish {
            name: directory.to_owned(),
            follow: vec![IGNORE.to_owned(), format!("{name}{IGNORE}")],
            ..DirectoryWish::default()
        };
        let loading = self.course.begin(&format!("[internal] load {IGNORE}"));
        self.course.hide(CONTEXT);
        Ok(ContextSource::Tree(session.tree(wish, loading).await?))
    }

    fn reads(&self, definition: &Definition) -> Reads {
        // What the registry has now may bring other instructions than what is here.
        let fresh = self.options.pull == PullPolicy::Always;
        let triggers = |base: &str| match self.options.named.get(base) {
            Some(Place::Image(image)) => fresh || self.builder.brings_triggers(image).unwrap_or(true),
            Some(Place::Input(input)) => {
                let definition = self.inputs.get(input);
                let result = definition.and_then(|definition| self.results.of(definition));
                result.is_none_or(|result| result.brings_triggers())
            }
            // Files bring nothing along.
            Some(_) => false,
            None => fresh || self.builder.brings_triggers(base).unwrap_or(true),
        };
        match definition.parsed() {
            Some(file) => reads(
                &file,
                self.options.target.as_deref(),
                &self.options.build_args,
                triggers,
            ),
            // The build says what is wrong with it.
            None => Reads::Nothing,
        }
    }

    /// Finds a named context.
    ///
    /// # Errors
    /// As [`Finder::main`].
    pub(super) async fn named(&self, name: &str, place: &Place) -> Result<ContextSource, Status> {
        match place {
            Place::Local(directory) => self.named_directory(name, directory).await,
            Place::Upload(address) | Place::Remote(address) => Ok(ContextSource::Remote(address.clone())),
            Place::Image(image) => Ok(ContextSource::Image(image.clone())),
            Place::Input(input) => self.input(name, input),
            // Only a main context is uploaded.
            Place::Uploaded(_) | Place::Empty => Ok(ContextSource::Empty),
        }
    }

    async fn named_directory(&self, name: &str, directory: &str) -> Result<ContextSource, Status> {
        let session = self.session_of(directory).await?;
        let loading = self.course.begin(&format!("[context {name}] load .dockerignore"));
        let list = match ignore_of(session.as_ref(), directory, &loading).await {
            Ok(list) => list.unwrap_or_default(),
            Err(status) => {
                loading.failed(&status);
                return Err(status);
            }
        };
        loading.done();
        let wish = DirectoryWish {
            name: directory.to_owned(),
            shared_key: self.options.shared_keys.get(name).cloned().unwrap_or_default(),
            excludes: lines(&list)?,
            follow: Vec::new(),
        };
        let loading = self.course.begin(&format!("[context {name}] load from client"));
        Ok(ContextSource::Tree(session.tree(wish, loading).await?))
    }

    fn input(&self, name: &str, input: &str) -> Result<ContextSource, Status> {
        let unknown = || Status::new(Code::Unknown, format!("invalid input {input} for {name}"));
        let definition = self.inputs.get(input).ok_or_else(unknown)?;
        let result = self.results.of(definition).ok_or_else(|| {
            let message = format!("the context {name} is no result of a build that is going on here");
            Status::new(Code::Unknown, message)
        })?;
        result.context().ok_or_else(unknown)
    }

    /// Returns the session that has a directory.
    async fn session_of(&self, directory: &str) -> Result<Arc<dyn Session>, Status> {
        match (self.options.session_of(directory), self.session) {
            // The build's own session may have it too, and is there as long as the build is.
            (Some(id), own) => match self.sessions.find(id).await {
                Ok(session) => Ok(session),
                Err(status) => own.clone().ok_or(status),
            },
            (None, Some(session)) => Ok(Arc::clone(session)),
            (None, None) => Err(Status::new(
                Code::Unknown,
                "no valid session: the build came without one",
            )),
        }
    }
}
