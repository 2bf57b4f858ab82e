// SPDX-License-Identifier: MIT
//! An engine in memory that does what a script says: it keeps containers, networks and volumes, notes every operation, and fails, waits or
//! dies where it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt, Shared};
use futures_util::stream;
use hyperbox_project::execute::{
    ContainerStates, ContainerWish, EngineError, ImageWish, ProjectEngine, Run, ServiceContainer, StopWish,
};
use hyperbox_project::model::Model;
use hyperbox_project::plan::{
    ContainerState, Observed, ObservedContainer, ObservedNetwork, ObservedVolume, Plan, network_hash, service_hash,
};
use hyperbox_types::ErrorKind;
use hyperbox_types::project::{OperationPhase, ProjectEvent};
use tokio::sync::Notify;

/// What an engine does on request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    failing: BTreeSet<String>,
    hanging: BTreeSet<String>,
    health: BTreeMap<String, Option<bool>>,
    without_images: bool,
}

impl Script {
    /// An operation that fails.
    pub(crate) fn failing(mut self, operation: &str) -> Self {
        self.failing.insert(operation.to_owned());
        self
    }

    /// An operation that only ends when it is given up.
    pub(crate) fn hanging(mut self, operation: &str) -> Self {
        self.hanging.insert(operation.to_owned());
        self
    }

    /// A container whose check says yes.
    pub(crate) fn healthy(self, container: &str) -> Self {
        self.checked(container, Some(true))
    }

    /// A container whose check says no.
    pub(crate) fn unhealthy(self, container: &str) -> Self {
        self.checked(container, Some(false))
    }

    /// A container whose check never says anything.
    pub(crate) fn starting(self, container: &str) -> Self {
        self.checked(container, None)
    }

    /// No image is there before it is pulled.
    pub(crate) fn without_images(mut self) -> Self {
        self.without_images = true;
        self
    }

    fn checked(mut self, container: &str, verdict: Option<bool>) -> Self {
        self.health.insert(container.to_owned(), verdict);
        self
    }
}

#[derive(Debug, Default)]
struct State {
    script: Script,
    model: Model,
    containers: Vec<ObservedContainer>,
    networks: BTreeSet<String>,
    volumes: BTreeSet<String>,
    pulled: BTreeSet<String>,
    log: Vec<String>,
    made: usize,
    going: usize,
    most: usize,
    /// How many operations are still done.
    life: Option<usize>,
    cancel_after: Option<usize>,
}

/// The engine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scripted {
    state: Arc<Mutex<State>>,
    cancel: Arc<Notify>,
    given_up: Arc<Notify>,
}

impl Scripted {
    fn state_now(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn script(&self, script: Script) {
        let mut state = self.state_now();
        state.script = script;
        state.life = None;
    }

    pub(crate) fn set_model(&self, model: &Model) {
        self.state_now().model = model.clone();
    }

    /// Does so many operations more, and then nothing at all.
    pub(crate) fn die_after(&self, count: usize) {
        self.state_now().life = Some(count);
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.state_now().log.clone()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.state_now().most
    }

    /// Operations that were begun and have not ended.
    pub(crate) fn unfinished(&self) -> usize {
        self.state_now().going
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let state = self.state_now();
        let mut names: Vec<_> = state
            .containers
            .iter()
            .map(|container| container.name.clone())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn running(&self) -> Vec<String> {
        let state = self.state_now();
        let running = state
            .containers
            .iter()
            .filter(|container| container.state == ContainerState::Running);
        let mut names: Vec<_> = running.map(|container| container.name.clone()).collect();
        names.sort();
        names
    }

    pub(crate) fn state(&self, name: &str) -> Option<String> {
        let state = self.state_now();
        let found = state.containers.iter().find(|container| container.name == name)?;
        Some(
            match found.state {
                ContainerState::Created => "created",
                ContainerState::Running => "running",
                _ => "ended",
            }
            .to_owned(),
        )
    }

    /// Notes an operation and lets others go on in its middle; then does it, unless the script says otherwise.
    async fn operate<T>(&self, text: String, effect: impl FnOnce(&mut State) -> T) -> Result<T, EngineError> {
        {
            let mut state = self.state_now();
            if let Some(life) = &mut state.life {
                let Some(left) = life.checked_sub(1) else {
                    return Err(EngineError::new(ErrorKind::Unavailable, "the engine is dead"));
                };
                *life = left;
            }
            state.log.push(text.clone());
            state.going += 1;
            state.most = state.most.max(state.going);
            if let Some(count) = &mut state.cancel_after {
                match count.checked_sub(1) {
                    Some(left) => *count = left,
                    None => self.cancel.notify_one(),
                }
            }
        }
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let hangs = self.state_now().script.hanging.contains(&text);
        if hangs {
            self.given_up.notified().await;
        }
        let mut state = self.state_now();
        state.going -= 1;
        if hangs {
            return Err(EngineError::new(ErrorKind::Cancelled, format!("{text} was given up")));
        }
        if state.script.failing.contains(&text) {
            return Err(EngineError::new(ErrorKind::Internal, format!("{text} was refused")));
        }
        Ok(effect(&mut state))
    }

    fn name_of(&self, container: &str) -> String {
        let state = self.state_now();
        let found = state
            .containers
            .iter()
            .find(|known| known.id == container || known.name == container);
        found.map_or_else(|| container.to_owned(), |known| known.name.clone())
    }

    async fn change(&self, verb: &str, container: &str, to: Option<ContainerState>) -> Result<(), EngineError> {
        let name = self.name_of(container);
        let subject = name.clone();
        self.operate(format!("{verb} {name}"), move |state| {
            if let (Some(to), Some(found)) = (to, state.containers.iter_mut().find(|known| known.name == subject)) {
                found.state = to;
            }
        })
        .await
    }
}

#[async_trait]
impl ProjectEngine for Scripted {
    async fn observe(&self) -> Result<Observed, EngineError> {
        let state = self.state_now();
        let project = Some(state.model.name.clone());
        let here = |image: &String| !state.script.without_images || state.pulled.contains(image);
        let images = state.model.services.iter().filter_map(|(name, service)| {
            let image = service.image.as_ref()?;
            here(image).then(|| (name.clone(), "sha".to_owned()))
        });
        let networks = state.networks.iter().map(|name| {
            let network = state.model.networks.values().find(|network| network.name == *name);
            let observed = ObservedNetwork {
                project: project.clone(),
                config_hash: network.map(network_hash),
            };
            (name.clone(), observed)
        });
        let volumes = state.volumes.iter().map(|name| {
            let observed = ObservedVolume {
                project: project.clone(),
                config_hash: None,
            };
            (name.clone(), observed)
        });
        Ok(Observed {
            containers: state.containers.clone(),
            networks: networks.collect(),
            volumes: volumes.collect(),
            images: images.collect(),
            ..Observed::default()
        })
    }

    async fn pull(&self, image: &ImageWish, tell: &(dyn Fn(ProjectEvent) + Send + Sync)) -> Result<(), EngineError> {
        tell(ProjectEvent::Pull {
            image: image.image.clone(),
            layer: None,
            status: "Pulling".to_owned(),
            current: None,
            total: None,
        });
        let name = image.image.clone();
        self.operate(format!("pull {name}"), move |state| {
            state.pulled.insert(name);
        })
        .await
    }

    async fn prepare(&self, _plan: &Plan) -> Result<Vec<String>, EngineError> {
        Ok(Vec::new())
    }

    async fn create_network(&self, key: &str) -> Result<(), EngineError> {
        let key = key.to_owned();
        self.operate(format!("create network {key}"), move |state| {
            let name = state.model.networks[&key].name.clone();
            state.networks.insert(name);
        })
        .await
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let subject = name.to_owned();
        self.operate(format!("remove network {name}"), move |state| {
            state.networks.remove(&subject);
        })
        .await
    }

    async fn create_volume(&self, key: &str) -> Result<(), EngineError> {
        let key = key.to_owned();
        self.operate(format!("create volume {key}"), move |state| {
            let name = state.model.volumes[&key].name.clone();
            state.volumes.insert(name);
        })
        .await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let subject = name.to_owned();
        self.operate(format!("remove volume {name}"), move |state| {
            state.volumes.remove(&subject);
        })
        .await
    }

    async fn create_container(&self, wish: &ContainerWish) -> Result<String, EngineError> {
        let wish = wish.clone();
        self.operate(format!("create {}", wish.name), move |state| {
            state.made += 1;
            let id = format!("{:064x}", state.made);
            state.containers.push(ObservedContainer {
                id: id.clone(),
                config_hash: service_hash(&state.model.services[&wish.service]),
                name: wish.name,
                service: wish.service,
                number: wish.number,
                one_off: false,
                state: ContainerState::Created,
                image: "sha".to_owned(),
            });
            id
        })
        .await
    }

    async fn rename_container(&self, container: &str, name: &str) -> Result<(), EngineError> {
        let (before, after) = (self.name_of(container), name.to_owned());
        self.operate(format!("rename {before} {after}"), move |state| {
            if let Some(found) = state.containers.iter_mut().find(|known| known.name == before) {
                found.name = after;
            }
        })
        .await
    }

    async fn start_container(&self, container: &str) -> Result<(), EngineError> {
        self.change("start", container, Some(ContainerState::Running)).await
    }

    async fn stop_container(&self, container: &str, _wish: StopWish) -> Result<(), EngineError> {
        self.change("stop", container, Some(ContainerState::Exited(0))).await
    }

    async fn restart_container(&self, container: &str, _wish: StopWish) -> Result<(), EngineError> {
        self.change("restart", container, Some(ContainerState::Running)).await
    }

    async fn kill_container(&self, container: &str, signal: Option<&str>) -> Result<(), EngineError> {
        match signal {
            None => self.change("kill", container, Some(ContainerState::Exited(137))).await,
            Some(signal) => {
                let name = self.name_of(container);
                self.operate(format!("kill {name} {signal}"), |_| ()).await
            }
        }
    }

    async fn pause_container(&self, container: &str) -> Result<(), EngineError> {
        self.change("pause", container, None).await
    }

    async fn unpause_container(&self, container: &str) -> Result<(), EngineError> {
        self.change("unpause", container, None).await
    }

    async fn remove_container(&self, container: &str, _volumes: bool) -> Result<(), EngineError> {
        let name = self.name_of(container);
        let subject = name.clone();
        self.operate(format!("remove {name}"), move |state| {
            state.containers.retain(|known| known.name != subject);
        })
        .await
    }

    async fn remove_image(&self, _image: &str) -> Result<bool, EngineError> {
        Ok(true)
    }

    async fn states(&self, service: &str) -> Result<ContainerStates, EngineError> {
        let state = self.state_now();
        let own = state.containers.iter().filter(|container| container.service == service);
        let seen: Vec<ServiceContainer> = own
            .map(|container| ServiceContainer {
                name: container.name.clone(),
                running: container.state == ContainerState::Running,
                exited: match container.state {
                    ContainerState::Exited(code) => Some(code),
                    _ => None,
                },
                healthy: state.script.health.get(&container.name).copied(),
            })
            .collect();
        // Each check begins without a verdict.
        let first = seen.iter().map(|container| ServiceContainer {
            healthy: container.healthy.map(|_| None),
            ..container.clone()
        });
        let states = [first.collect(), seen];
        Ok(Box::pin(stream::StreamExt::chain(
            stream::iter(states),
            stream::pending(),
        )))
    }

    fn give_up(&self) {
        self.given_up.notify_one();
    }

    async fn sleep(&self, _time: Duration) {
        // Long enough for everything else to happen.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

/// An engine, and what was told.
pub(crate) struct Trial {
    pub(crate) engine: Scripted,
    events: Arc<Mutex<Vec<ProjectEvent>>>,
    tell: Box<dyn Fn(ProjectEvent) + Send + Sync>,
    cancelled: Shared<BoxFuture<'static, ()>>,
}

impl Trial {
    pub(crate) fn new(script: Script) -> Self {
        let engine = Scripted::default();
        engine.script(script);
        Self::of(engine)
    }

    fn of(engine: Scripted) -> Self {
        let events: Arc<Mutex<Vec<ProjectEvent>>> = Arc::default();
        let told = Arc::clone(&events);
        let cancel = Arc::clone(&engine.cancel);
        Self {
            engine,
            events,
            tell: Box::new(move |event| told.lock().unwrap().push(event)),
            cancelled: async move { cancel.notified().await }.boxed().shared(),
        }
    }

    /// Another run on the same engine, which nobody cancels.
    pub(crate) fn again(self) -> Self {
        let engine = Scripted {
            state: self.engine.state,
            cancel: Arc::default(),
            given_up: Arc::default(),
        };
        engine.state_now().cancel_after = None;
        Self::of(engine)
    }

    /// Cancels the run when so many operations were begun and one more begins.
    pub(crate) fn cancel_after(&self, count: usize) {
        self.engine.state_now().cancel_after = Some(count);
    }

    pub(crate) fn run(&self) -> Run<'_> {
        Run {
            engine: &self.engine,
            tell: &*self.tell,
            cancelled: self.cancelled.clone(),
        }
    }

    pub(crate) fn events(&self) -> Vec<ProjectEvent> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let events = self.events();
        events
            .into_iter()
            .filter_map(|event| match event {
                ProjectEvent::Note { text } => Some(text),
                _ => None,
            })
            .collect()
    }

    /// The phases of an operation that were told.
    pub(crate) fn phases(&self, operation: &str) -> Vec<OperationPhase> {
        let events = self.events();
        events
            .iter()
            .filter_map(|event| match event {
                ProjectEvent::Operation { text, phase, .. } if text == operation => Some(*phase),
                _ => None,
            })
            .collect()
    }
}
