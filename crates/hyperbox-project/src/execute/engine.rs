// SPDX-License-Identifier: MIT
//! What the executor needs of an engine.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::Stream;
use hyperbox_types::project::ProjectEvent;
use hyperbox_types::{ErrorKind, Hint};

use super::condition::ServiceContainer;
use super::images::ImageWish;
use crate::plan::{Observed, Plan};

/// The containers of a service: as they are now, then after each change. Never ends while the service has containers.
pub type ContainerStates = Pin<Box<dyn Stream<Item = Vec<ServiceContainer>> + Send>>;

/// A container that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerWish {
    /// The service.
    pub service: String,
    /// Its number in the service.
    pub number: u32,
    /// Its name; for one that replaces another it is a preliminary one.
    pub name: String,
    /// The id of the one that it replaces, whose anonymous volumes it takes over.
    pub replaces: Option<String>,
}

/// How a container is stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StopWish {
    /// Seconds that it gets before it is killed, instead of its own; negative means for ever.
    pub timeout: Option<i64>,
}

/// An engine, for one run on one project.
///
/// Containers are named by id or name. Stopping, starting and removing what is stopped, running or gone already succeeds: somebody else may
/// have done it. Every operation is finished or undone when its future is dropped.
#[async_trait]
pub trait ProjectEngine: Send + Sync {
    /// Looks at what there is of the project.
    async fn observe(&self) -> Result<Observed, EngineError>;

    /// Pulls an image; `tell` gets the progress.
    async fn pull(&self, image: &ImageWish, tell: &(dyn Fn(ProjectEvent) + Send + Sync)) -> Result<(), EngineError>;

    /// Gets ready for a plan, before anything of it is done: decides on ports, makes what all containers share. Returns what the user
    /// should know.
    async fn prepare(&self, plan: &Plan) -> Result<Vec<String>, EngineError>;

    /// Makes the network that the model calls so.
    async fn create_network(&self, key: &str) -> Result<(), EngineError>;

    /// Removes a network.
    async fn remove_network(&self, name: &str) -> Result<(), EngineError>;

    /// Makes the volume that the model calls so.
    async fn create_volume(&self, key: &str) -> Result<(), EngineError>;

    /// Removes a volume.
    async fn remove_volume(&self, name: &str) -> Result<(), EngineError>;

    /// Makes a container, with its files; returns its id.
    async fn create_container(&self, wish: &ContainerWish) -> Result<String, EngineError>;

    /// Gives a container another name.
    async fn rename_container(&self, container: &str, name: &str) -> Result<(), EngineError>;

    /// Starts a container, and what runs in it after that.
    async fn start_container(&self, container: &str) -> Result<(), EngineError>;

    /// Stops a container, after what runs in it before that.
    async fn stop_container(&self, container: &str, wish: StopWish) -> Result<(), EngineError>;

    /// Stops a container and starts it again.
    async fn restart_container(&self, container: &str, wish: StopWish) -> Result<(), EngineError>;

    /// Sends a signal; `SIGKILL` when none is said.
    async fn kill_container(&self, container: &str, signal: Option<&str>) -> Result<(), EngineError>;

    /// Freezes a container.
    async fn pause_container(&self, container: &str) -> Result<(), EngineError>;

    /// Lets a frozen container go on.
    async fn unpause_container(&self, container: &str) -> Result<(), EngineError>;

    /// Removes a container that does not run, with its anonymous volumes if asked.
    async fn remove_container(&self, container: &str, volumes: bool) -> Result<(), EngineError>;

    /// Removes an image; one that others use stays, which is no failure. Tells whether it is gone.
    async fn remove_image(&self, image: &str) -> Result<bool, EngineError>;

    /// Follows the containers of a service.
    async fn states(&self, service: &str) -> Result<ContainerStates, EngineError>;

    /// The run is to end early: what may have no end of its own, such as a command that runs in a container after its start, is ended, and
    /// the operation fails. Does not wait.
    fn give_up(&self);

    /// Comes back after a time.
    async fn sleep(&self, time: Duration);
}

/// Why an engine could not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// The class.
    pub kind: ErrorKind,
    /// One sentence, which names the object.
    pub message: String,
    /// What to do next.
    pub hint: Option<Hint>,
}

impl EngineError {
    /// Makes an error.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what the user can do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(Hint::new(hint));
        self
    }

    /// The run was cancelled.
    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "the run was cancelled").with_hint("ask again to go on where it ended")
    }
}
