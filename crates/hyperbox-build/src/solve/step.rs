// SPDX-License-Identifier: MIT
//! One step: its key, the cache, and who carries it out.

use std::sync::{Arc, PoisonError};

use hyperbox_core::image::ImageLayer;
use hyperbox_core::time::Timestamp;
use hyperbox_dockerfile::{RunNetwork, RunSecurity};
use hyperbox_types::{DiffId, Digest, ErrorKind};
use tokio_util::sync::CancellationToken;

use super::sources::SourceError;
use super::{Solver, UsedStep, Watched};
use crate::cache::Record;
use crate::key::{self, KeyWriter};
use crate::plan::{Action, PlannedRun, PlannedStep};
use crate::request::{BuildNetwork, NoCache};
use crate::step::{FileStep, RunStep, StepContext};
use crate::{BuildError, StepError, StepReporter};

/// How often a step is done again because its layer went before it could be held.
const ATTEMPTS: usize = 3;

/// A step that is done.
#[derive(Debug)]
pub(super) struct Done {
    /// What came of it.
    pub(super) record: Record,
    /// Its vertex.
    pub(super) vertex: Digest,
}

/// What is carried out.
#[derive(Debug, Clone)]
enum Work {
    Files(FileStep),
    Run(Box<RunStep>),
}

impl Solver {
    /// Does a step, or finds that it was done. `parents` are the layers below.
    pub(super) async fn step(
        &self,
        stage: usize,
        position: usize,
        step: &PlannedStep,
        parents: &[ImageLayer],
        input: Option<&Digest>,
    ) -> Result<Done, BuildError> {
        // What it takes files from is waited for before it is said to have begun.
        let watched = self.wait_for_sources(step, stage, position, input).await?;
        let vertex = watched.digest().clone();
        let failed = |watched: Watched, error: Arc<StepError>| {
            watched.failed(&error);
            BuildError::Step {
                name: step.name.clone(),
                lines: Some(step.lines),
                source: error,
            }
        };
        if let Action::Run(run) = &step.action
            && let Err(error) = self.is_allowed(run)
        {
            return Err(failed(watched, Arc::new(error)));
        }
        let layers: Vec<DiffId> = parents.iter().map(|layer| layer.diff_id.clone()).collect();
        let with = self.step_context(watched.reporter(), CancellationToken::new());
        let key = match self.key(step, &layers, &with).await {
            Ok(key) => key,
            Err(SourceError::Build(error)) => return Err(error),
            Err(SourceError::Step(error)) => return Err(failed(watched, Arc::new(error))),
        };
        let fresh = self.is_fresh(stage);
        if !fresh && let Some(record) = self.cached(&key).await? {
            watched.cached();
            self.note(stage, key, &record);
            return Ok(Done { record, vertex });
        }
        let work = match self.work(step).await {
            Ok(work) => work,
            Err(SourceError::Build(error)) => return Err(error),
            Err(SourceError::Step(error)) => return Err(failed(watched, Arc::new(error))),
        };
        match self.carry_out(&key, fresh, work, layers, step, &watched).await {
            Ok(record) => {
                watched.done();
                self.note(stage, key, &record);
                Ok(Done { record, vertex })
            }
            Err(error) => Err(failed(watched, error)),
        }
    }

    /// Remembers a step for those who get to know what was used.
    fn note(&self, stage: usize, key: Digest, record: &Record) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.push(UsedStep {
            stage,
            key,
            record: record.clone(),
        });
    }

    async fn wait_for_sources(
        &self,
        step: &PlannedStep,
        stage: usize,
        position: usize,
        input: Option<&Digest>,
    ) -> Result<Watched, BuildError> {
        for reference in step.references() {
            if let crate::plan::Reference::Stage(index) = reference {
                self.stage(*index).await?;
            }
        }
        Ok(self.vertices.begin_step((stage, position), step, input))
    }

    /// Looks for a layer that the cache has, protects it, and makes sure that it is there.
    async fn cached(&self, key: &Digest) -> Result<Option<Record>, BuildError> {
        let Some(record) = self.shared.cache.use_record(key) else {
            return Ok(None);
        };
        let layers = [record.layer.clone()];
        let there = self.shared.images.protect_layers(&layers, &self.lease).await?;
        Ok(there.then_some(record))
    }

    /// Tells whether the steps of a stage are done although the cache has them.
    fn is_fresh(&self, stage: usize) -> bool {
        match &self.wishes.no_cache {
            NoCache::Nothing => false,
            NoCache::Everything => true,
            NoCache::Stages(names) => {
                let label = self.plan.stages[stage].label.as_deref();
                names.iter().any(|name| Some(name.to_lowercase().as_str()) == label)
            }
        }
    }

    fn is_allowed(&self, run: &PlannedRun) -> Result<(), StepError> {
        let missing = |entitlement: &str| StepError::Refused {
            kind: ErrorKind::PermissionDenied,
            message: format!("{entitlement} is not allowed"),
        };
        let host = run.network == RunNetwork::Host && self.wishes.around.network != BuildNetwork::Host;
        if host && !self.wishes.allow_host_network {
            return Err(missing("network.host"));
        }
        if run.security == RunSecurity::Insecure && !self.wishes.allow_insecure {
            return Err(missing("security.insecure"));
        }
        Ok(())
    }

    fn step_context(&self, reporter: StepReporter, cancel: CancellationToken) -> StepContext {
        StepContext {
            reporter,
            cancel,
            layers: Arc::clone(&self.layers),
            source_date_epoch: self.wishes.around.source_date_epoch,
            secrets: Arc::clone(&self.wishes.secrets),
            ssh: Arc::clone(&self.wishes.ssh),
            registries: Arc::clone(&self.wishes.registries),
            keeps_git_directory: self.wishes.keeps_git_directory,
        }
    }

    async fn key(&self, step: &PlannedStep, parents: &[DiffId], with: &StepContext) -> Result<Digest, SourceError> {
        let epoch = self.wishes.around.source_date_epoch;
        Ok(match &step.action {
            Action::Copy(copy) => key::copy(parents, copy, &self.copy_digest(copy, with).await?, epoch),
            Action::Directory(directory) => key::directory(parents, directory, epoch),
            Action::Run(run) => {
                let read = self.mount_digests(run, with).await?;
                key::run(parents, run, &read, &self.wishes.around)
            }
        })
    }

    async fn work(&self, step: &PlannedStep) -> Result<Work, SourceError> {
        Ok(match &step.action {
            Action::Copy(copy) => Work::Files(FileStep::Copy(self.copy_step(copy).await?)),
            Action::Directory(directory) => Work::Files(FileStep::MakeDirectory(directory.clone())),
            Action::Run(run) => Work::Run(Box::new(self.run_step(run).await?)),
        })
    }

    /// Carries a step out, together with all builds that want it now. One that has to be done anew shares with nobody.
    async fn carry_out(
        &self,
        key: &Digest,
        fresh: bool,
        work: Work,
        parents: Vec<DiffId>,
        step: &PlannedStep,
        watched: &Watched,
    ) -> Result<Record, Arc<StepError>> {
        let flight = if fresh {
            self.own_flight(key, watched)
        } else {
            key.clone()
        };
        let watcher = (self.vertices.events().clone(), watched.digest().clone());
        for _attempt in 0..ATTEMPTS {
            let begin = |reporter: StepReporter, cancel: CancellationToken| {
                let with = self.step_context(reporter, cancel);
                let (shared, work, parents) = (Arc::clone(&self.shared), work.clone(), parents.clone());
                let (key, description) = (key.clone(), step.name.clone());
                async move {
                    let layer = match &work {
                        Work::Files(step) => shared.files.run(step, &parents, &with).await?,
                        Work::Run(step) => shared.runs.run(step, &parents, &with).await?,
                    };
                    let now = Timestamp::now();
                    let record = Record {
                        layer,
                        created_at: now,
                        used_at: now,
                        uses: 0,
                        description,
                    };
                    shared.cache.put(&key, &record).map_err(|error| {
                        let kind = error.kind;
                        hyperbox_core::ServiceError::from_mechanism("cannot record a step", kind, error)
                    })?;
                    Ok(record)
                }
            };
            let record = self.shared.flights.join(&flight, watcher.clone(), begin).await?;
            let layers = [record.layer.clone()];
            let there = self.shared.images.protect_layers(&layers, &self.lease).await;
            // Another build's layer may have gone before this one could hold it.
            if there.map_err(|error| Arc::new(StepError::Service(error)))? {
                return Ok(record);
            }
        }
        let error = hyperbox_core::ServiceError::internal("the layer of a step goes as often as it is made");
        Err(Arc::new(StepError::Service(error)))
    }

    fn own_flight(&self, key: &Digest, watched: &Watched) -> Digest {
        let mut own = KeyWriter::new("fresh");
        own.text(&key.to_string());
        own.text(&watched.digest().to_string());
        own.text(watched.name());
        own.finish()
    }
}
