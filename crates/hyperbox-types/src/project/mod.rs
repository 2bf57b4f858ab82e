// SPDX-License-Identifier: MIT
//! Messages of `/hyperbox/v1/projects`: what a client opens, asks for, and is told.
//!
//! The client finds the files and resolves them; the daemon keeps a record of each project, plans and acts. All bodies are JSON; errors
//! are Docker's `{"message": …}` with one more field, `hint`.
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | `PUT /{name}?moved=1` | [`ProjectSpecification`] | [`ProjectSummary`] |
//! | `GET /` | | [`ProjectSummary`] list |
//! | `GET /{name}` | | [`ProjectStatus`] |
//! | `DELETE /{name}?volumes=1` | | lines of [`ProjectEvent`] |
//! | `POST /{name}/plan` | [`ProjectUp`] | [`ProjectPlan`] |
//! | `POST /{name}/up` | [`ProjectUp`] | lines of [`ProjectEvent`] |
//! | `POST /{name}/down` | [`ProjectDown`] | lines of [`ProjectEvent`] |
//! | `POST /{name}/{stop,start,restart,kill,pause,unpause}` | [`ProjectServices`] | lines of [`ProjectEvent`] |
//! | `GET /events` | | lines of [`ProjectChanged`]; messages of a WebSocket when the client asks for one |
//!
//! Lines are `application/x-ndjson`: one JSON document each, as it happens. A client that goes away cancels what it asked for: what is
//! being done is finished, nothing more is begun. Asking again goes on from there.
//!
//! `moved=1` takes a name over from a folder that has it: the client says that the folder is gone.
//!
//! The header `X-Registry-Config` of `plan` and `up` may carry credentials of registries, as in [`crate::check`].

mod event;
mod request;
mod specification;
mod status;

pub use event::{OperationPhase, PlannedOperation, ProjectChange, ProjectChanged, ProjectEvent, RunSummary};
pub use request::{ProjectDown, ProjectPlan, ProjectServices, ProjectUp, PullPolicy, RecreatePolicy, RemovedImages};
pub use specification::{IoLimits, ProjectLimits, ProjectSpecification};
pub use status::{
    ContainerStatus, NetworkStatus, PortRange, ProjectState, ProjectStatus, ProjectSummary, ProjectUsage,
    PublishedPortStatus, Quantity, ServiceStatus,
};

/// Below this path are all routes of projects.
pub const PROJECTS_PATH: &str = "/hyperbox/v1/projects";

/// Where the OpenAPI document of these routes is.
pub const OPENAPI_PATH: &str = "/hyperbox/v1/openapi.json";

/// The longest name of a project, in bytes: names of containers and networks are made of it.
pub const NAME_LIMIT: usize = 100;

/// Tells whether a name is one of a project: lower case letters, digits, `-` and `_`, beginning with a letter or a digit.
///
/// Source: the Compose specification, `name`.
pub fn is_project_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    name.len() <= NAME_LIMIT
        && name.bytes().all(good)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, good) in [
            ("shop", true),
            ("0-shop_2", true),
            ("", false),
            ("-shop", false),
            ("_shop", false),
            ("Shop", false),
            ("a/b", false),
            ("a.b", false),
        ] {
            assert_eq!(is_project_name(name), good, "{name}");
        }
        assert!(!is_project_name(&"a".repeat(NAME_LIMIT + 1)));
    }
}
