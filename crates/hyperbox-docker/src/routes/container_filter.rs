// SPDX-License-Identifier: MIT
//! The filters of `GET /containers/json` and of `POST /containers/prune`. Pure, but for looking names up.

use std::sync::Arc;

use hyperbox_core::Engine;
use hyperbox_core::container::{ContainerRecord, HealthStatus, Phase, ResolvedMount};
use hyperbox_core::time::Timestamp;
use hyperbox_types::ImageId;

use crate::error::{ApiError, ApiResult};
use crate::filters::Filters;
use crate::query::{parse_integer, parse_moment};
use crate::translate::network::KnownNetworks;
use crate::translate::ports::{self, PortFilter};

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
    publish: Vec<PortFilter>,
    expose: Vec<PortFilter>,
    networks: KnownNetworks,
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
            let reference = filters.values(name).last();
            let found = reference.map(|reference| match reference.as_str() {
                "" => Err(ApiError::not_found("No such container: ")),
                reference => engine.containers.get(reference).map_err(ApiError::from),
            });
            found.transpose()
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
            publish: port_filters(&filters, "publish")?,
            expose: port_filters(&filters, "expose")?,
            networks: KnownNetworks(engine.networks.list()),
            filters,
        })
    }

    /// Tells whether containers that do not run are wanted although the client did not ask for all.
    pub(super) fn implies_all(&self) -> bool {
        ["status", "exited"].iter().any(|name| self.filters.has(name))
    }

    /// Tells whether a container is wanted.
    pub(super) fn accepts(&self, record: &ContainerRecord) -> bool {
        let filters = &self.filters;
        let name = record.name.as_str();
        filters.any("id", |value| !value.is_empty() && record.id.as_str().starts_with(value))
            && (filters.pattern("name", &format!("/{name}")) || filters.pattern("name", name))
            && filters.exact("status", record.state.phase.as_str())
            && filters.exact("health", health_word(record))
            && filters.labels(&record.spec.labels)
            && filters.any("is-task", |value| matches!(value, "0" | "false"))
            && self.accepts_ports(record)
            && filters.any("network", |network| in_network(record, network))
            && filters.any("volume", |volume| has_mount(record, volume))
            && (!filters.has("ancestor") || self.ancestors.contains(&record.image_id))
            && self.accepts_end(record)
            && self
                .before
                .as_ref()
                .is_none_or(|other| record.created_at < other.created_at)
            && self
                .since
                .as_ref()
                .is_none_or(|other| record.created_at > other.created_at)
    }

    /// Unlike other filters, these two are alternatives to each other.
    fn accepts_ports(&self, record: &ContainerRecord) -> bool {
        if self.publish.is_empty() && self.expose.is_empty() {
            return true;
        }
        let ports = ports::shown(record, &self.networks);
        self.publish.iter().any(|filter| ports.publishes(filter))
            || self.expose.iter().any(|filter| ports.exposes(filter))
    }

    fn accepts_end(&self, record: &ContainerRecord) -> bool {
        self.exit_codes.is_empty()
            || (record.state.phase == Phase::Exited && self.exit_codes.contains(&record.state.exit_code))
    }
}

fn exit_codes(filters: &Filters) -> ApiResult<Vec<i32>> {
    let parse = |value: &String| {
        parse_integer("Atoi", value)
            .map_err(|why| ApiError::bad_request(format!("invalid filter 'exited={value}': {why}")))
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

/// A network is named by its name or by the beginning of its id.
fn in_network(record: &ContainerRecord, wanted: &str) -> bool {
    let mut endpoints = record.state.endpoints.iter();
    record.spec.networks.contains_key(wanted) || endpoints.any(|endpoint| endpoint.network.as_str().starts_with(wanted))
}

fn port_filters(filters: &Filters, name: &str) -> ApiResult<Vec<PortFilter>> {
    let values = filters.values(name).iter();
    values.map(|value| PortFilter::parse(name, value)).collect()
}

fn has_mount(record: &ContainerRecord, wanted: &str) -> bool {
    record.mounts.iter().any(|mount| {
        let source = match mount {
            ResolvedMount::Volume { name, .. } => name.as_str() == wanted,
            ResolvedMount::Bind { source, .. } => source.as_os_str() == wanted,
            ResolvedMount::Image { reference, .. } => reference == wanted,
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
