// SPDX-License-Identifier: MIT
//! Containers of services: made in Docker's words, and what is done to them.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use hyperbox_core::container::{ContainerRecord, RemoveOptions, ResolvedMount, StopOptions};
use hyperbox_docker::in_process;
use hyperbox_project::create::{Origin, Surroundings, container_body, image};
use hyperbox_project::execute::{ContainerWish, EngineError, StopWish};
use hyperbox_project::model::Service;
use hyperbox_project::plan::service_hash;
use hyperbox_types::{ContainerName, ErrorKind, Signal};
use serde_json::{Value, json};

use super::{InProcess, as_wished, failure, files};
use crate::labels;

const HASH: &str = "com.docker.compose.config-hash";

impl InProcess {
    /// Makes a container. Files that cannot be written when it starts are refused before anything is made.
    pub(super) async fn create(&self, wish: &ContainerWish) -> Result<String, EngineError> {
        let unknown = || {
            let message = format!("the project has no service {:?}", wish.service);
            EngineError::new(ErrorKind::InvalidArgument, message)
        };
        let service = self.model.services.get(&wish.service).ok_or_else(unknown)?;
        self.check_files(&wish.service, service)?;
        let body = self.body(wish, service)?;
        let platform = service.platform.as_deref().unwrap_or_default();
        let created = in_process::create_container(&self.engine, &wish.name, platform, body);
        Ok(created.await.map_err(failure)?.id.to_string())
    }

    fn body(&self, wish: &ContainerWish, service: &Service) -> Result<Value, EngineError> {
        let record = self.opened()?;
        let origin = Origin {
            directory: record.directory.clone(),
            files: record.files.clone(),
            image: self.image_id(&wish.service, service),
            one_off: false,
        };
        let surroundings = Surroundings {
            containers: self.others(service),
            files: files::mounted(&self.model, service, &record.contents),
            cgroup_parent: self.projects.inner.isolation.cgroup(&self.allotment()),
        };
        let with_ports = Service {
            ports: self.decided(&wish.service, wish.number, &service.ports),
            ..service.clone()
        };
        let body = container_body(
            &self.model,
            &wish.service,
            &with_ports,
            wish.number,
            &origin,
            &surroundings,
        );
        let mut body = body.map_err(|error| EngineError::new(error.kind(), error.to_string()))?;
        // Ports that were decided are no change of what the files say.
        body["Labels"][HASH] = json!(service_hash(service));
        if !self.manner.renew_anonymous_volumes {
            let volumes = self.earlier_volumes(wish);
            take_over_volumes(&volumes, service, &mut body);
        }
        Ok(body)
    }

    /// The image's id, which the container's labels tell.
    fn image_id(&self, name: &str, service: &Service) -> String {
        let image = self.engine.images.get(&image(&self.name, name, service));
        image.map(|record| record.id.to_string()).unwrap_or_default()
    }

    /// The containers of services whose namespaces, volumes or names this service uses.
    fn others(&self, service: &Service) -> BTreeMap<String, Vec<String>> {
        let modes = [
            &service.network_mode,
            &service.ipc,
            &service.pid,
            &service.uts,
            &service.cgroup,
        ];
        let shares =
            modes.iter().any(|mode| mode.is_some()) || !service.volumes_from.is_empty() || !service.links.is_empty();
        let mut found: BTreeMap<String, Vec<(u32, String)>> = BTreeMap::new();
        if !shares {
            return BTreeMap::new();
        }
        for record in self.engine.containers.list() {
            let labels = &record.spec.labels;
            if labels::project(labels) == Some(&self.name)
                && !labels::is_one_off(labels)
                && let Some(other) = labels::service(labels)
            {
                let entry = found.entry(other.to_owned()).or_default();
                entry.push((labels::number(labels), record.id.to_string()));
            }
        }
        found
            .into_iter()
            .map(|(service, mut containers)| {
                containers.sort();
                (service, containers.into_iter().map(|(_, id)| id).collect())
            })
            .collect()
    }

    /// The anonymous volumes of the container that is replaced, or of the one of that number that had to go before, with its network.
    fn earlier_volumes(&self, wish: &ContainerWish) -> Vec<(String, String)> {
        match &wish.replaces {
            Some(replaced) => {
                let record = self.engine.containers.get(replaced);
                record.map(|record| self.anonymous_volumes(&record)).unwrap_or_default()
            }
            None => {
                let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
                left.remove(&(wish.service.clone(), wish.number)).unwrap_or_default()
            }
        }
    }

    /// The anonymous volumes of a container, also those that it took over: names and targets.
    fn anonymous_volumes(&self, record: &ContainerRecord) -> Vec<(String, String)> {
        let mounts = record.mounts.iter();
        mounts
            .filter_map(|mount| match mount {
                ResolvedMount::Volume { name, target, .. } => {
                    let volume = self.engine.volumes.get(name.as_str()).ok()?;
                    volume
                        .anonymous
                        .then(|| (name.to_string(), target.display().to_string()))
                }
                _ => None,
            })
            .collect()
    }

    /// Gives a container another name.
    pub(super) async fn rename(&self, container: &str, name: &str) -> Result<(), EngineError> {
        let name = ContainerName::parse(name)
            .map_err(|error| EngineError::new(ErrorKind::InvalidArgument, error.to_string()))?;
        self.engine.containers.rename(container, name).await.map_err(failure)
    }

    /// Writes a container's files, starts it, and runs what runs after its start.
    pub(super) async fn start(&self, container: &str) -> Result<(), EngineError> {
        let idle = self
            .engine
            .containers
            .get(container)
            .is_ok_and(|record| !record.state.phase.is_alive());
        if idle
            && let Some((name, service)) = self.service_of(container)
            && let Some(archive) = self.packed_files(name, service)?
        {
            self.write_files(container, archive).await?;
        }
        match self.engine.containers.start(container).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotModified => return Ok(()),
            Err(error) => return Err(failure(error)),
        }
        match self.service_of(container) {
            Some((name, service)) => self.run_hooks(name, container, &service.post_start).await,
            None => Ok(()),
        }
    }

    /// Runs what runs before a container's end, and stops it.
    pub(super) async fn stop(&self, container: &str, wish: StopWish) -> Result<(), EngineError> {
        self.before_stop(container).await?;
        as_wished(self.engine.containers.stop(container, options(wish)).await)
    }

    /// Stops a container if it runs, and starts it.
    pub(super) async fn restart(&self, container: &str, wish: StopWish) -> Result<(), EngineError> {
        self.before_stop(container).await?;
        let restarted = self.engine.containers.restart(container, options(wish)).await;
        restarted.map_err(failure)?;
        match self.service_of(container) {
            Some((name, service)) => self.run_hooks(name, container, &service.post_start).await,
            None => Ok(()),
        }
    }

    async fn before_stop(&self, container: &str) -> Result<(), EngineError> {
        let Some((name, service)) = self.service_of(container) else {
            return Ok(());
        };
        let runs = self
            .engine
            .containers
            .get(container)
            .map(|record| record.state.phase.is_alive());
        if service.pre_stop.is_empty() || !runs.unwrap_or_default() {
            return Ok(());
        }
        self.run_hooks(name, container, &service.pre_stop).await
    }

    /// Sends a signal; a container that does not run needs none.
    pub(super) async fn kill(&self, container: &str, signal: Option<&str>) -> Result<(), EngineError> {
        let signal = signal.map(Signal::parse).transpose();
        let signal = signal.map_err(|error| EngineError::new(ErrorKind::InvalidArgument, error.to_string()))?;
        match self.engine.containers.kill(container, signal).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            result => as_wished(result),
        }
    }

    /// Freezes a container or lets it go on; one that is so already stays so.
    pub(super) async fn freeze(&self, container: &str, freeze: bool) -> Result<(), EngineError> {
        let containers = &self.engine.containers;
        let record = containers.get(container).map_err(failure)?;
        let frozen = record.state.phase == hyperbox_core::container::Phase::Paused;
        match (freeze, frozen) {
            (true, false) => containers.pause(container).await.map_err(failure),
            (false, true) => containers.unpause(container).await.map_err(failure),
            _ => Ok(()),
        }
    }

    /// Removes a container; with `volumes` its anonymous volumes go, those that it took over as well.
    pub(super) async fn remove(&self, container: &str, volumes: bool) -> Result<(), EngineError> {
        let Ok(record) = self.engine.containers.get(container) else {
            return Ok(());
        };
        let anonymous = self.anonymous_volumes(&record);
        let options = RemoveOptions { force: false, volumes };
        as_wished(self.engine.containers.remove(container, options).await)?;
        if !volumes {
            self.leave_volumes(&record, anonymous);
            return Ok(());
        }
        for (name, _) in anonymous {
            // Gone already, or somebody else uses it.
            drop(self.engine.volumes.remove(&name, false).await);
        }
        Ok(())
    }

    /// Remembers the anonymous volumes of a container that is gone, for the one that comes in its place.
    fn leave_volumes(&self, record: &ContainerRecord, volumes: Vec<(String, String)>) {
        let labels = &record.spec.labels;
        if let Some(service) = labels::service(labels)
            && !labels::is_one_off(labels)
            && !volumes.is_empty()
        {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            left.insert((service.to_owned(), labels::number(labels)), volumes);
        }
    }

    fn service_of(&self, container: &str) -> Option<(&str, &Service)> {
        let record = self.engine.containers.get(container).ok()?;
        let name = labels::service(&record.spec.labels)?;
        let (name, service) = self.model.services.get_key_value(name)?;
        Some((name, service))
    }
}

/// Mounts anonymous volumes where a container would have new ones.
fn take_over_volumes(volumes: &[(String, String)], service: &Service, body: &mut Value) {
    for (name, target) in volumes {
        let said = service.volumes.iter().find(|mount| mount.target == *target);
        if said.is_some_and(|mount| mount.source.is_some() || mount.kind != "volume") {
            continue;
        }
        let mount = json!({ "Type": "volume", "Source": name, "Target": target });
        if let Some(mounts) = body["HostConfig"]["Mounts"].as_array_mut() {
            mounts.retain(|known| known["Target"] != target.as_str());
            mounts.push(mount);
        }
    }
}

fn options(wish: StopWish) -> StopOptions {
    let patience =
        |seconds: i64| u64::try_from(seconds).map_or(std::time::Duration::MAX, std::time::Duration::from_secs);
    StopOptions {
        signal: None,
        timeout: wish.timeout.map(patience),
    }
}
