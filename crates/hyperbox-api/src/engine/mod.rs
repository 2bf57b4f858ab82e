// SPDX-License-Identifier: MIT
//! The engine of a run: [`ProjectEngine`] straight over the services of `hyperbox-core`.
//!
//! One value for one run. What the services do goes on when its caller is dropped, so a run can be dropped at any moment.

mod containers;
mod files;
mod hooks;
mod observe;
mod ports;
mod pull;
mod states;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hyperbox_core::{Engine, ServiceError};
use hyperbox_docker::{KnownCredentials, in_process};
use hyperbox_project::create::{network_body, volume_body};
use hyperbox_project::execute::{ContainerStates, ContainerWish, EngineError, ImageWish, ProjectEngine, StopWish};
use hyperbox_project::model::Model;
use hyperbox_project::plan::{Observed, Plan};
use hyperbox_types::ErrorKind;
use hyperbox_types::project::ProjectEvent;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::projects::Projects;
use crate::record::ProjectRecord;

/// So often a network is tried whose subnet or bridge somebody else takes meanwhile.
const NETWORK_ATTEMPTS: usize = 4;

/// How containers are made in this run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// Host ports that somebody else has are replaced.
    pub remap: bool,
    /// Anonymous volumes are new, instead of taken over.
    pub renew_anonymous_volumes: bool,
}

/// The ports of the host that a container gets, one for each port of its service; by service and number.
type DecidedPorts = BTreeMap<(String, u32), Vec<Option<String>>>;

/// Anonymous volumes of containers that were removed in this run, names and targets; by service and number.
type LeftVolumes = BTreeMap<(String, u32), Vec<(String, String)>>;

/// The engine of one run on one project.
#[derive(Debug)]
pub(crate) struct InProcess {
    projects: Projects,
    engine: Engine,
    name: String,
    model: Arc<Model>,
    /// Absent for a project that only containers know of: then nothing is made.
    record: Option<Arc<ProjectRecord>>,
    manner: Manner,
    credentials: KnownCredentials,
    ports: Mutex<DecidedPorts>,
    left: Mutex<LeftVolumes>,
    /// The run is to end early.
    given_up: CancellationToken,
}

impl InProcess {
    /// Makes the engine of a run.
    pub(crate) fn new(
        projects: &Projects,
        name: &str,
        model: Arc<Model>,
        record: Option<Arc<ProjectRecord>>,
        manner: Manner,
        credentials: KnownCredentials,
    ) -> Self {
        Self {
            engine: projects.inner.engine.clone(),
            projects: projects.clone(),
            name: name.to_owned(),
            model,
            record,
            manner,
            credentials,
            ports: Mutex::default(),
            left: Mutex::default(),
            given_up: CancellationToken::new(),
        }
    }

    /// The record, which has to be there when something is made.
    fn opened(&self) -> Result<&Arc<ProjectRecord>, EngineError> {
        let missing = || EngineError::new(ErrorKind::NotFound, format!("project {} is not open", self.name));
        self.record.as_ref().ok_or_else(missing)
    }

    /// The body that makes a network, with the subnet and the bridge that the project has for it.
    fn network_body(&self, key: &str) -> Result<serde_json::Value, EngineError> {
        let (isolation, allotment) = (&self.projects.inner.isolation, self.allotment());
        let subnet = isolation.subnet(&allotment, key);
        let unknown = || EngineError::new(ErrorKind::InvalidArgument, format!("the project has no network {key}"));
        let mut body = network_body(&self.model, key, subnet.as_deref()).ok_or_else(unknown)?;
        if let Some(bridge) = isolation.bridge(&allotment, key) {
            body["Options"]["com.docker.network.bridge.name"] = json!(bridge);
        }
        Ok(body)
    }

    /// Gives the project other subnets and bridges in place of those that somebody else has by now.
    async fn choose_networks_again(&self) -> Result<(), EngineError> {
        let isolation = &self.projects.inner.isolation;
        let decide = async |own: &crate::isolation::Allotment, others: &[(String, crate::isolation::Allotment)]| {
            Ok((isolation.allot(&self.name, &self.model, own, others)?, ()))
        };
        self.projects.allot(&self.name, decide).await.map_err(failure)
    }

    /// What the project has been given by now.
    fn allotment(&self) -> crate::isolation::Allotment {
        let project = self.projects.inner.find(&self.name);
        project
            .map(|project| project.record.allotment.clone())
            .unwrap_or_default()
    }
}

/// Tells whether a network could not be made because somebody has what it was to have.
fn is_taken(error: &ServiceError) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::PermissionDenied)
}

/// In the words of the executor.
pub(crate) fn failure(error: ServiceError) -> EngineError {
    EngineError {
        kind: error.kind(),
        message: error.message().to_owned(),
        hint: error.hint().cloned(),
    }
}

/// In the words of the services.
pub(crate) fn service_error(error: EngineError) -> ServiceError {
    let made = ServiceError::new(error.kind, error.message);
    match error.hint {
        Some(hint) => made.with_hint(hint.0),
        None => made,
    }
}

/// What is in a state already, or gone already, is as wished.
fn as_wished(result: hyperbox_core::Result<()>) -> Result<(), EngineError> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::NotModified | ErrorKind::NotFound) => Ok(()),
        result => result.map_err(failure),
    }
}

#[async_trait]
impl ProjectEngine for InProcess {
    async fn observe(&self) -> Result<Observed, EngineError> {
        Ok(observe::observe(&self.engine, &self.name, &self.model))
    }

    async fn pull(&self, image: &ImageWish, tell: &(dyn Fn(ProjectEvent) + Send + Sync)) -> Result<(), EngineError> {
        pull::pull(&self.engine, &self.credentials, image, tell).await
    }

    async fn prepare(&self, plan: &Plan) -> Result<Vec<String>, EngineError> {
        if let Some(record) = &self.record {
            let isolation = &self.projects.inner.isolation;
            // What it warns of was told when the run began.
            let enforced = isolation.enforce(&self.name, &record.allotment, &record.limits);
            enforced.await.map_err(failure)?;
        }
        self.decide_ports(plan).await
    }

    async fn create_network(&self, key: &str) -> Result<(), EngineError> {
        let mut attempt = 1;
        loop {
            let body = self.network_body(key)?;
            match in_process::create_network(&self.engine, body).await {
                // Somebody else made it in the meantime.
                Err(error) if error.kind() == ErrorKind::Conflict && self.has_own_network(key) => return Ok(()),
                // Somebody else has its subnet or its bridge since it was chosen.
                Err(error) if attempt < NETWORK_ATTEMPTS && is_taken(&error) => self.choose_networks_again().await?,
                result => return result.map(drop).map_err(failure),
            }
            attempt += 1;
        }
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        as_wished(self.engine.networks.remove(name).await)
    }

    async fn create_volume(&self, key: &str) -> Result<(), EngineError> {
        let unknown = || EngineError::new(ErrorKind::InvalidArgument, format!("the project has no volume {key}"));
        let body = volume_body(&self.model, key).ok_or_else(unknown)?;
        let made = in_process::create_volume(&self.engine, body).await;
        made.map(drop).map_err(failure)
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        as_wished(self.engine.volumes.remove(name, false).await)
    }

    async fn create_container(&self, wish: &ContainerWish) -> Result<String, EngineError> {
        self.create(wish).await
    }

    async fn rename_container(&self, container: &str, name: &str) -> Result<(), EngineError> {
        self.rename(container, name).await
    }

    async fn start_container(&self, container: &str) -> Result<(), EngineError> {
        self.start(container).await
    }

    async fn stop_container(&self, container: &str, wish: StopWish) -> Result<(), EngineError> {
        self.stop(container, wish).await
    }

    async fn restart_container(&self, container: &str, wish: StopWish) -> Result<(), EngineError> {
        self.restart(container, wish).await
    }

    async fn kill_container(&self, container: &str, signal: Option<&str>) -> Result<(), EngineError> {
        self.kill(container, signal).await
    }

    async fn pause_container(&self, container: &str) -> Result<(), EngineError> {
        self.freeze(container, true).await
    }

    async fn unpause_container(&self, container: &str) -> Result<(), EngineError> {
        self.freeze(container, false).await
    }

    async fn remove_container(&self, container: &str, volumes: bool) -> Result<(), EngineError> {
        self.remove(container, volumes).await
    }

    async fn remove_image(&self, image: &str) -> Result<bool, EngineError> {
        let options = hyperbox_core::image::RemoveImageOptions {
            force: false,
            no_prune: false,
        };
        match self.engine.images.remove(image, options).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => Ok(false),
            Err(error) => Err(failure(error)),
        }
    }

    async fn states(&self, service: &str) -> Result<ContainerStates, EngineError> {
        states::follow(&self.engine, &self.name, service)
    }

    fn give_up(&self) {
        self.given_up.cancel();
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl InProcess {
    fn has_own_network(&self, key: &str) -> bool {
        let name = self.model.networks.get(key).map(|network| network.name.as_str());
        let found = name.and_then(|name| self.engine.networks.get(name).ok());
        found.is_some_and(|record| crate::labels::project(&record.spec.labels) == Some(&self.name))
    }
}
