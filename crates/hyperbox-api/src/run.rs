// SPDX-License-Identifier: MIT
//! Runs: what is done to a project, told line by line.
//!
//! A run is a task of its own. Its lines go through a channel without bound, whose length is that of the plan: a slow client holds nothing
//! up. A client that goes away closes the channel, which cancels the run at its next safe point; so does a daemon that shuts down. Runs of
//! one project go one after another.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, stream};
use hyperbox_core::Result;
use hyperbox_core::time::Timestamp;
use hyperbox_docker::{KnownCredentials, Lines};
use hyperbox_project::execute::{self, EngineError, Run, Summary};
use hyperbox_project::model::Model;
use hyperbox_project::plan::with_dependencies;
use hyperbox_types::project::{ProjectChange, ProjectEvent, ProjectPlan, ProjectUp};
use tokio::sync::mpsc;

use crate::engine::{InProcess, Manner, failure, service_error};
use crate::inferred;
use crate::projects::{NameClaim, Project, Projects, no_such_project};
use crate::wish::{self, Asked};

impl Projects {
    /// Tells what `up` would do. Changes nothing.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument` for services that there are not, `Conflict` for what others have.
    pub(crate) async fn plan(&self, name: &str, up: ProjectUp, credentials: KnownCredentials) -> Result<ProjectPlan> {
        let project = self.inner.get(name)?;
        let (request, manner) = wish::up(up);
        let engine = self.engine_of(name, &project, manner, credentials);
        let prepared = execute::prepare_up(&engine, &project.model(), &request)
            .await
            .map_err(service_error)?;
        let missing = prepared.needs.missing.iter().map(|(_, image)| image.clone());
        let pulls = prepared.needs.pulls.iter().map(|pull| pull.image.clone());
        Ok(ProjectPlan {
            text: prepared.plan.to_string(),
            operations: execute::planned(&prepared.plan, &prepared.observed),
            notes: prepared.plan.notes().to_vec(),
            missing_images: pulls.chain(missing).collect(),
            builds: prepared.needs.builds,
        })
    }

    /// Begins a run and returns its lines. What is wrong with the wish itself is an error; everything later is a line.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument` for services that there are not.
    pub(crate) fn run(&self, name: &str, asked: Asked, credentials: KnownCredentials) -> Result<Lines> {
        let project = self.inner.find(name);
        let model = match (&project, &asked) {
            (Some(project), _) => project.model(),
            (None, Asked::Up { .. }) => return Err(no_such_project(name)),
            (None, _) => Arc::new(inferred::model(&self.inner.engine, name).ok_or_else(|| no_such_project(name))?),
        };
        with_dependencies(&model, asked.services()).map_err(|error| service_error(EngineError::from(error)))?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let run = ProjectRun {
            projects: self.clone(),
            name: name.to_owned(),
            project,
            model,
            asked,
            credentials,
            sender,
        };
        tokio::spawn(run.carry_out());
        let lines = stream::unfold(receiver, |mut receiver| async move {
            let event: ProjectEvent = receiver.recv().await?;
            // Plain data always encodes.
            Some((serde_json::to_vec(&event).unwrap_or_default(), receiver))
        });
        Ok(lines.boxed())
    }

    fn engine_of(&self, name: &str, project: &Project, manner: Manner, credentials: KnownCredentials) -> InProcess {
        let record = Some(Arc::clone(&project.record));
        InProcess::new(self, name, project.model(), record, manner, credentials)
    }
}

/// A run that has begun.
struct ProjectRun {
    projects: Projects,
    name: String,
    project: Option<Project>,
    model: Arc<Model>,
    asked: Asked,
    credentials: KnownCredentials,
    sender: mpsc::UnboundedSender<ProjectEvent>,
}

impl ProjectRun {
    async fn carry_out(self) {
        let begun = Timestamp::now();
        let Some(_turn) = self.turn().await else { return };
        let changes = self.projects.inner.changes.clone();
        changes.tell(&self.name, ProjectChange::RunBegan);
        let mut summary = Summary::default();
        let result = self.work(&mut summary).await;
        self.projects.inner.isolation.run_ended(&self.name);
        let elapsed = Timestamp::now().since(begun).as_millis();
        summary.milliseconds = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let (what, event) = match result {
            Ok(()) => (ProjectChange::RunEnded, ProjectEvent::Done { summary }),
            Err(error) => {
                tracing::info!(project = self.name, reason = error.message, "a run on a project failed");
                (
                    ProjectChange::RunFailed,
                    ProjectEvent::Failed {
                        kind: error.kind,
                        message: error.message,
                        hint: error.hint,
                    },
                )
            }
        };
        changes.tell(&self.name, what);
        // A client that is gone needs no last word.
        drop(self.sender.send(event));
    }

    /// Waits for other runs on the project; `None` when the client is gone before.
    async fn turn(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        let runs = self.projects.inner.runs.of(&self.name);
        if let Ok(guard) = Arc::clone(&runs).try_lock_owned() {
            return Some(guard);
        }
        let text = format!("waiting for what is being done to project {}", self.name);
        drop(self.sender.send(ProjectEvent::Note { text }));
        tokio::select! {
            guard = runs.lock_owned() => Some(guard),
            () = self.sender.closed() => None,
        }
    }

    /// Returns the project as it is now; opens it once more when it was removed before this run's turn, and what it is came with it.
    async fn reopened(&self) -> Result<Project> {
        if let Asked::Up {
            opening: Some(specification),
            ..
        } = &self.asked
            && self.projects.inner.find(&self.name).is_none()
        {
            let specification = specification.as_ref().clone();
            self.projects.put(&self.name, NameClaim::Own, specification).await?;
        }
        self.projects.inner.get(&self.name)
    }

    async fn work(&self, summary: &mut Summary) -> Result<(), EngineError> {
        let manner = match &self.asked {
            Asked::Up { manner, .. } => *manner,
            _ => Manner::default(),
        };
        // Another run may have been given something meanwhile, and the project may be gone or another: what it is belongs to its record.
        let (record, model) = match &self.project {
            Some(_) => {
                let project = self.reopened().await.map_err(failure)?;
                let model = project.model();
                (Some(project.record), model)
            }
            None => (None, Arc::clone(&self.model)),
        };
        let engine = InProcess::new(
            &self.projects,
            &self.name,
            Arc::clone(&model),
            record.clone(),
            manner,
            self.credentials.clone(),
        );
        let sender = self.sender.clone();
        let gone = self.sender.clone();
        // A client that is gone hears nothing.
        let tell = move |event| drop(sender.send(event));
        let run = Run {
            engine: &engine,
            tell: &tell,
            cancelled: async move { gone.closed().await }.boxed().shared(),
        };
        match &self.asked {
            Asked::Up { request, .. } => {
                if let Some(record) = &record {
                    let inner = &self.projects.inner;
                    for text in inner.kept_limits(record).await.map_err(failure)? {
                        tell(ProjectEvent::Note { text });
                    }
                }
                execute::up(&run, &model, request, summary).await
            }
            Asked::Down(request) => execute::down(&run, &model, request, summary).await,
            Asked::Remove(request) => {
                execute::down(&run, &model, request, summary).await?;
                match &self.project {
                    Some(_) => self.projects.forget(&self.name).await.map_err(failure),
                    None => Ok(()),
                }
            }
            Asked::Services { verb, services, stop } => {
                execute::services(&run, &model, verb, services, *stop, summary).await
            }
        }
    }
}
