// SPDX-License-Identifier: MIT
//! Projects: `/hyperbox/v1/projects` ([`hyperbox_types::project`]).
//!
//! Calls that do something answer with a stream; dropping it before its end cancels what it tells of, after the step that is being done.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hyperbox_types::project::{
    PROJECTS_PATH, ProjectChanged, ProjectDown, ProjectEvent, ProjectPlan, ProjectServices, ProjectSpecification,
    ProjectStatus, ProjectSummary, ProjectUp,
};
use serde::Serialize;

use crate::client::{Client, Request, path_segment};
use crate::credentials::Credentials;
use crate::error::Result;
use crate::http::Method;
use crate::messages::Messages;

/// The header that carries the credentials of several registries.
const CONFIG: &str = "X-Registry-Config";

/// What is done to the containers of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceVerb {
    /// They end.
    Stop,
    /// Those that exist start.
    Start,
    /// They end and start again.
    Restart,
    /// They get a signal.
    Kill,
    /// They are frozen.
    Pause,
    /// They go on.
    Unpause,
}

impl ServiceVerb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
        }
    }
}

impl Client {
    /// Opens a project, or opens it again with another content. `moved` says that the folder that has the name is gone: the name is
    /// taken over from it.
    ///
    /// # Errors
    /// `Conflict` when another folder has the name, `InvalidArgument` for a model that is none, `NotFound` from a daemon that has no
    /// projects.
    pub fn open_project(&self, specification: &ProjectSpecification, moved: bool) -> Result<ProjectSummary> {
        self.project(Method::Put, &specification.name, "")
            .query_flag("moved", moved)
            .json(specification)
            .send_json()
    }

    /// Lists projects, also those of which only containers are known.
    ///
    /// # Errors
    /// `NotFound` from a daemon that has no projects.
    pub fn list_projects(&self) -> Result<Vec<ProjectSummary>> {
        self.request_path(Method::Get, PROJECTS_PATH).send_json()
    }

    /// Tells all that is known of a project.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn project_status(&self, name: &str) -> Result<ProjectStatus> {
        self.project(Method::Get, name, "").send_json()
    }

    /// Tells what `up` would do. `credentials` are those of registries, by host.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument` for services that the project does not have, `Conflict` for ports that others have.
    pub fn plan_project(
        &self,
        name: &str,
        up: &ProjectUp,
        credentials: &BTreeMap<String, Credentials>,
    ) -> Result<ProjectPlan> {
        with_credentials(self.project(Method::Post, name, "/plan"), credentials)
            .json(up)
            .send_json()
    }

    /// Makes and starts what a project wants. `credentials` are those of registries, by host.
    ///
    /// # Errors
    /// As [`Client::plan_project`], and as [`Client::open_project`] when the wish says what the project is; what happens later is in the
    /// messages.
    pub fn up_project(
        &self,
        name: &str,
        up: &ProjectUp,
        credentials: &BTreeMap<String, Credentials>,
    ) -> Result<Messages<ProjectEvent>> {
        let request = with_credentials(self.project(Method::Post, name, "/up"), credentials);
        request.json(up).send().map(Messages::new)
    }

    /// Removes a project's containers and networks; the project stays open.
    ///
    /// # Errors
    /// `NotFound`; what happens later is in the messages.
    pub fn down_project(&self, name: &str, down: &ProjectDown) -> Result<Messages<ProjectEvent>> {
        self.run_project(name, "/down", down)
    }

    /// Does something to the containers of a project's services.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument` for services that the project does not have; what happens later is in the messages.
    pub fn project_services(
        &self,
        name: &str,
        verb: ServiceVerb,
        services: &ProjectServices,
    ) -> Result<Messages<ProjectEvent>> {
        self.run_project(name, &format!("/{}", verb.as_str()), services)
    }

    /// Removes a project with all that it has; `volumes` go only when asked.
    ///
    /// # Errors
    /// `NotFound`; what happens later is in the messages.
    pub fn remove_project(&self, name: &str, volumes: bool) -> Result<Messages<ProjectEvent>> {
        let request = self.project(Method::Delete, name, "").query_flag("volumes", volumes);
        request.send().map(Messages::new)
    }

    /// Tells what happens to projects, as it happens.
    ///
    /// # Errors
    /// `NotFound` from a daemon that has no projects.
    pub fn project_events(&self) -> Result<Messages<ProjectChanged>> {
        let path = format!("{PROJECTS_PATH}/events");
        self.request_path(Method::Get, &path).send().map(Messages::new)
    }

    fn project(&self, method: Method, name: &str, action: &str) -> Request<'_> {
        let path = format!("{PROJECTS_PATH}/{}{action}", path_segment(name));
        self.request_path(method, &path)
    }

    fn run_project(&self, name: &str, action: &str, body: &impl Serialize) -> Result<Messages<ProjectEvent>> {
        let request = self.project(Method::Post, name, action).json(body);
        request.send().map(Messages::new)
    }
}

fn with_credentials<'a>(request: Request<'a>, credentials: &BTreeMap<String, Credentials>) -> Request<'a> {
    if credentials.is_empty() {
        return request;
    }
    // A map of strings always encodes.
    let json = serde_json::to_vec(credentials).unwrap_or_default();
    request.header(CONFIG, URL_SAFE.encode(json))
}
