// SPDX-License-Identifier: MIT
//! The filters of `GET /containers/json` and of `POST /containers/prune`. Pure, but for looking names up.

use std::sync::Arc;

use hyperbox_core::Engine;
use hyperbox_core::container::{ContainerRecord, HealthStatus, NetworkMode, Phase, ResolvedMount};
use hyperbox_core::time::Timestamp;
use hyperbox_types::ImageId;

use crate::error::{ApiError, ApiResult};
use crate::filters::Filters;
use crate::query::parse_moment;

const ACCEPTED: [&str; 15] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];
const PHASES: [&str; 7] = [
    "created",
    "running",
    "paused",
    "restarting",
    "removing",
    "exited",
    "dead",
];
const HEALTH: [&str; 4] = ["none", "starting", "healthy", "unhealthy"];

/// Which containers a client wants to see.
#[derive(Debug)]
pub(super) struct ContainerFilter {
    filters: Filters,
    exit_codes: Vec<i32>,
    ancestors: Vec<ImageId>,
    before: Option<Arc<ContainerRecord>>,
    since: Option<Arc<ContainerRecord>>,
}

impl ContainerFilter {
    /// Parses the filters of a list.
    ///
    /// # Errors
    /// 400 for what Docker refuses, 404 for containers named by `before` and `since` that do not exist.
    pub(super) fn parse(text: &str, engine: &Engine) -> ApiResult<Self> {
        let filters = Filters::parse_accepting(text, &ACCEPTED)?;
        filters.require_one_of("status", "state", &PHASES)?;
        filters.require_one_of("health", "health", &HEALTH)?;
        filters.boolean("is-task")?;
        let find = |name: &str| {
            filters
                .values(name)
                .last()
                .map(|reference| engine.containers.get(reference))
                .transpose()
        };
        let ancestors = filters
            .values("ancestor")
            .iter()
            .filter_map(|reference| engine.images.get(reference).ok());
        Ok(Self {
            exit_codes: exit_codes(&filters)?,
            ancestors: ancestors.map(|image| image.id.clone()).collect(),
            before: find("before")?,
            since: find("since")?,
            filters,
        })
    }

    /// Tells whether containers that do not run are wanted although the client did not ask for all.
    pub(super) fn implies_all(&self) -> bool {
        ["status", "exited", "before", "since"]
            .iter()
            .any(|name| self.filters.has(name))
    }

    /// Tells whether a container is wanted.
    pub(super) fn accepts(&self, record: &ContainerRecord) -> bool {
        let filters = &self.filters;
        let name = record.name.as_str();
        filters.prefix("id", record.id.as_str())
            && (filters.pattern("name", &format!("/{name}")) || filters.pattern("name", name))
            && filters.exact("status", record.state.phase.as_str())
            && filters.exact("health", health_word(record))
            && filters.labels(&record.spec.labels)
            && filters.any("is-task", |value| matches!(value, "0" | "false"))
            // Nothing is published in this version, so nobody publishes what is asked for.
            && !filters.has("publish")
            && filters.any("expose", |port| exposes(record, port))
            && filters.any("network", |network| in_network(record, network))
            && filters.any("volume", |volume| has_mount(record, volume))
            && (!filters.has("ancestor") || self.ancestors.contains(&record.image_id))
            && self.accepts_end(record)
            && self.before.as_ref().is_none_or(|other| record.created_at < other.created_at)
            && self.since.as_ref().is_none_or(|other| record.created_at > other.created_at)
    }

    fn accepts_end(&self, record: &ContainerRecord) -> bool {
        self.exit_codes.is_empty()
            || (record.state.phase == Phase::Exited && self.exit_codes.contains(&record.state.exit_code))
    }
}

fn exit_codes(filters: &Filters) -> ApiResult<Vec<i32>> {
    let parse = |value: &String| {
        value.parse().map_err(|_| {
            ApiError::bad_request(format!(
                "invalid filter 'exited={value}': strconv.Atoi: parsing {value:?}: invalid syntax"
            ))
        })
    };
    filters.values("exited").iter().map(parse).collect()
}

fn health_word(record: &ContainerRecord) -> &'static str {
    record
        .state
        .health
        .as_ref()
        .map_or("none", |health| match health.status {
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        })
}

fn exposes(record: &ContainerRecord, port: &str) -> bool {
    let wanted = if port.contains('/') {
        port.to_owned()
    } else {
        format!("{port}/tcp")
    };
    record.spec.exposed_ports.contains(&wanted)
}

fn in_network(record: &ContainerRecord, wanted: &str) -> bool {
    let name = match &record.spec.network {
        NetworkMode::Default => "bridge",
        NetworkMode::Host => "host",
        NetworkMode::None => "none",
        NetworkMode::Named(name) => name,
        NetworkMode::Container(_) => return false,
    };
    name == wanted
        || record
            .state
            .endpoints
            .iter()
            .any(|endpoint| endpoint.network.as_str() == wanted)
}

fn has_mount(record: &ContainerRecord, wanted: &str) -> bool {
    record.mounts.iter().any(|mount| {
        let source = match mount {
            ResolvedMount::Volume { name, .. } => name.as_str() == wanted,
            ResolvedMount::Bind { source, .. } => source.as_os_str() == wanted,
            ResolvedMount::Tmpfs { .. } => false,
        };
        source || mount.target().as_os_str() == wanted
    })
}

/// Parses the `until` filter of a clean-up.
///
/// # Errors
/// 400 for what is no moment.
pub(super) fn until(filters: &Filters) -> ApiResult<Option<Timestamp>> {
    match filters.values("until") {
        [] => Ok(None),
        [text] => parse_moment(text, Timestamp::now()).map(Some),
        _ => Err(ApiError::bad_request("more than one until filter specified")),
    }
}
