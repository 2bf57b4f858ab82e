// SPDX-License-Identifier: MIT
//! Containers: life cycle, lists, streams.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::client::{Client, path_segment};
use crate::error::{ClientError, Result};
use crate::filters::Filters;
use crate::http::{Body, Method, Response, Upgraded};
use crate::messages::Messages;
use crate::model::{
    ChangedFile, ContainerState, ContainerSummary, CreatedContainer, Pruned, Stats, Top, UpdateWarnings, WaitResult,
};

/// What an attachment connects.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttachOptions<'a> {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Also what was written before.
    pub logs: bool,
    /// The keys that detach, as the user wrote them.
    pub detach_keys: Option<&'a str>,
}

/// Which part of a log is wanted.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Wait for more.
    pub follow: bool,
    /// Put the time before each line.
    pub timestamps: bool,
    /// Put the extra attributes before each line.
    pub details: bool,
    /// Only the last lines: a number or `all`.
    pub tail: Option<String>,
    /// Not before this time, in seconds of the epoch with a fraction.
    pub since: Option<String>,
    /// Not after this time.
    pub until: Option<String>,
}

/// How a container is stopped or restarted.
#[derive(Debug, Clone, Copy, Default)]
pub struct StopOptions<'a> {
    /// The signal; the container's own when absent.
    pub signal: Option<&'a str>,
    /// Seconds until it is killed; the container's own when absent, -1 for never.
    pub timeout: Option<i64>,
}

/// What is removed together with a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveContainer {
    /// Kill it first.
    pub force: bool,
    /// Its anonymous volumes too.
    pub volumes: bool,
    /// Not the container, only the link of that name.
    pub link: bool,
}

/// What a wait waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// Not running, perhaps already.
    NotRunning,
    /// The next exit.
    NextExit,
    /// The removal.
    Removed,
}

impl WaitCondition {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotRunning => "not-running",
            Self::NextExit => "next-exit",
            Self::Removed => "removed",
        }
    }
}

/// A wait that the daemon has begun: from now on no exit is missed.
#[derive(Debug)]
pub struct PendingWait(Response);

impl PendingWait {
    /// Blocks until the condition holds.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the daemon goes away.
    pub fn finish(self) -> Result<WaitResult> {
        self.0.json()
    }
}

fn route(id: &str, action: &str) -> String {
    format!("/containers/{}{action}", path_segment(id))
}

impl Client {
    /// Creates a container from the body of Docker's `POST /containers/create`.
    ///
    /// # Errors
    /// `NotFound` when the image is missing, `Conflict` when the name is in use.
    pub fn create_container(
        &self,
        name: Option<&str>,
        platform: Option<&str>,
        body: &RawValue,
    ) -> Result<CreatedContainer> {
        self.request(Method::Post, "/containers/create")
            .query_some("name", name)
            .query_some("platform", platform)
            .json(&body)
            .send_json()
    }

    /// Starts a container; `false` when it ran already.
    ///
    /// # Errors
    /// `NotFound`, or why it cannot start.
    pub fn start_container(&self, id: &str, detach_keys: Option<&str>) -> Result<bool> {
        let response = self
            .request(Method::Post, &route(id, "/start"))
            .query_some("detachKeys", detach_keys)
            .send()?;
        let changed = response.status() != 304;
        response.discard()?;
        Ok(changed)
    }

    /// Stops a container.
    ///
    /// # Errors
    /// `NotFound`, or why it cannot be stopped.
    pub fn stop_container(&self, id: &str, options: StopOptions<'_>) -> Result<()> {
        self.stop_request(id, "/stop", options)
    }

    /// Stops a container, if it runs, and starts it.
    ///
    /// # Errors
    /// `NotFound`, or why that fails.
    pub fn restart_container(&self, id: &str, options: StopOptions<'_>) -> Result<()> {
        self.stop_request(id, "/restart", options)
    }

    fn stop_request(&self, id: &str, action: &str, options: StopOptions<'_>) -> Result<()> {
        let timeout = options.timeout.map(|seconds| seconds.to_string());
        self.request(Method::Post, &route(id, action))
            .query_some("signal", options.signal)
            .query_some("t", timeout.as_deref())
            .send_empty()
    }

    /// Sends a signal to a container's first process.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it does not run.
    pub fn kill_container(&self, id: &str, signal: Option<&str>) -> Result<()> {
        self.request(Method::Post, &route(id, "/kill"))
            .query_some("signal", signal)
            .send_empty()
    }

    /// Freezes a container.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it does not run.
    pub fn pause_container(&self, id: &str) -> Result<()> {
        self.request(Method::Post, &route(id, "/pause")).send_empty()
    }

    /// Thaws a container.
    ///
    /// # Errors
    /// `NotFound`, or an error when it is not paused.
    pub fn unpause_container(&self, id: &str) -> Result<()> {
        self.request(Method::Post, &route(id, "/unpause")).send_empty()
    }

    /// Removes a container.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it runs and `force` is not set.
    pub fn remove_container(&self, id: &str, options: RemoveContainer) -> Result<()> {
        self.request(Method::Delete, &route(id, ""))
            .query_flag("force", options.force)
            .query_flag("v", options.volumes)
            .query_flag("link", options.link)
            .send_empty()
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when the name is in use.
    pub fn rename_container(&self, id: &str, name: &str) -> Result<()> {
        self.request(Method::Post, &route(id, "/rename"))
            .query("name", name)
            .send_empty()
    }

    /// Changes limits or the restart policy.
    ///
    /// # Errors
    /// `NotFound`, or why the change is refused.
    pub fn update_container(&self, id: &str, changes: &impl Serialize) -> Result<UpdateWarnings> {
        self.request(Method::Post, &route(id, "/update"))
            .json(changes)
            .send_json()
    }

    /// Lists containers.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown filter.
    pub fn list_containers(
        &self,
        all: bool,
        limit: Option<i64>,
        size: bool,
        filters: &Filters,
    ) -> Result<Vec<ContainerSummary>> {
        let limit = limit.map(|limit| limit.to_string());
        self.request(Method::Get, "/containers/json")
            .query_flag("all", all)
            .query_some("limit", limit.as_deref())
            .query_flag("size", size)
            .query_some("filters", filters.to_query().as_deref())
            .send_json()
    }

    /// Returns everything about a container, as the daemon wrote it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn inspect_container(&self, id: &str, size: bool) -> Result<Box<RawValue>> {
        self.request(Method::Get, &route(id, "/json"))
            .query_flag("size", size)
            .send()?
            .raw_json()
    }

    /// Returns the part of a container's description that the client acts on.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn container_state(&self, id: &str) -> Result<ContainerState> {
        self.request(Method::Get, &route(id, "/json")).send_json()
    }

    /// Opens a container's log; the body is multiplexed unless the container has a terminal.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn container_logs(&self, id: &str, options: &LogOptions) -> Result<Body> {
        let response = self
            .request(Method::Get, &route(id, "/logs"))
            .query_flag("details", options.details)
            .query_flag("follow", options.follow)
            .query_some("since", options.since.as_deref())
            .query("stderr", "1")
            .query("stdout", "1")
            .query_some("tail", options.tail.as_deref())
            .query_flag("timestamps", options.timestamps)
            .query_some("until", options.until.as_deref())
            .send()?;
        Ok(response.into_body())
    }

    /// Connects to the streams of a container.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it is paused.
    pub fn attach_container(&self, id: &str, options: AttachOptions<'_>) -> Result<Upgraded> {
        self.request(Method::Post, &route(id, "/attach"))
            .query_some("detachKeys", options.detach_keys)
            .query_flag("logs", options.logs)
            .query_flag("stderr", options.stderr)
            .query_flag("stdin", options.stdin)
            .query_flag("stdout", options.stdout)
            .query("stream", "1")
            .upgrade()
    }

    /// Begins to wait; returns as soon as the daemon has registered the wait.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn wait_container(&self, id: &str, condition: WaitCondition) -> Result<PendingWait> {
        let request = self
            .request(Method::Post, &route(id, "/wait"))
            .query("condition", condition.as_str());
        request.send().map(PendingWait)
    }

    /// Tells the size of the client's terminal.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it does not run.
    pub fn resize_container(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        self.request(Method::Post, &route(id, "/resize"))
            .query("h", &rows.to_string())
            .query("w", &columns.to_string())
            .send_empty()
    }

    /// Lists the processes of a container, with the given `ps` arguments.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it does not run.
    pub fn top_container(&self, id: &str, arguments: &str) -> Result<Top> {
        let arguments = (!arguments.is_empty()).then_some(arguments);
        self.request(Method::Get, &route(id, "/top"))
            .query_some("ps_args", arguments)
            .send_json()
    }

    /// Streams samples of a container's use of resources; with `once`, a single complete one.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn container_stats(&self, id: &str, once: bool) -> Result<Messages<Stats>> {
        let request = self
            .request(Method::Get, &route(id, "/stats"))
            .query("stream", if once { "0" } else { "1" });
        request.send().map(Messages::new)
    }

    /// Lists what changed in a container's filesystem.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn container_changes(&self, id: &str) -> Result<Vec<ChangedFile>> {
        let changes: Option<Vec<ChangedFile>> = self.request(Method::Get, &route(id, "/changes")).send_json()?;
        Ok(changes.unwrap_or_default())
    }

    /// Streams a container's filesystem as a tar archive.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn export_container(&self, id: &str) -> Result<Body, ClientError> {
        Ok(self.request(Method::Get, &route(id, "/export")).send()?.into_body())
    }

    /// Removes stopped containers.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown filter.
    pub fn prune_containers(&self, filters: &Filters) -> Result<Pruned> {
        self.request(Method::Post, "/containers/prune")
            .query_some("filters", filters.to_query().as_deref())
            .send_json()
    }
}
