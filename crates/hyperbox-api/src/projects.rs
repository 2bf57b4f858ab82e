// SPDX-License-Identifier: MIT
//! The service of projects: what is open, and what each was given.
//!
//! Records are kept in memory and written through. Whatever changes a record does so in turn ([`Inner::turn`]), with the whole table in
//! view: so no two projects are given the same. What is done to one project's containers is done one run after another, which has nothing
//! to do with the turn: long runs hold nobody else up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hyperbox_core::seam::{Change, Records, Table};
use hyperbox_core::time::Timestamp;
use hyperbox_core::{Engine, Result, ServiceError};
use hyperbox_project::model::Model;
use hyperbox_types::ErrorKind;
use hyperbox_types::project::{ProjectChange, ProjectSpecification, ProjectSummary};

use crate::changes::Changes;
use crate::isolation::{Allotment, Isolation, IsolationConfig, check_limits};
use crate::record::{ProjectRecord, checked_model, read_model};
use crate::turns::Turns;

/// What the service stands on.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the seam or service of its name")]
pub struct Dependencies {
    pub engine: Engine,
    pub records: Arc<dyn Records>,
    pub isolation: IsolationConfig,
}

/// Keeps projects and carries out what is asked of them. Cheap to clone.
#[derive(Clone)]
pub struct Projects {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) isolation: Isolation,
    pub(crate) changes: Changes,
    records: Arc<dyn Records>,
    table: Mutex<BTreeMap<String, Project>>,
    /// Of what is done to the containers of projects.
    pub(crate) runs: Turns,
    turn: tokio::sync::Mutex<()>,
}

/// A project that is open. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Project {
    /// What is recorded.
    pub record: Arc<ProjectRecord>,
    /// The model, once somebody needed it with its hashes: at start there are all projects, and most are not asked for anything.
    model: Arc<OnceLock<Arc<Model>>>,
}

impl std::fmt::Debug for Projects {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Projects").finish_non_exhaustive()
    }
}

/// Who may have a name that another folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameClaim {
    /// Nobody else.
    Own,
    /// The client says that the folder was moved.
    Moved,
}

impl Projects {
    /// Opens the service with the projects of an earlier daemon. A record that cannot be read is left alone, and told in the log.
    ///
    /// # Errors
    /// Those of the record store.
    pub fn open(with: Dependencies) -> Result<Self> {
        let rows = with
            .records
            .load(Table::Projects)
            .map_err(|error| ServiceError::from_mechanism("cannot read the projects", error.kind, error))?;
        let mut table = BTreeMap::new();
        for (name, json) in rows {
            match ProjectRecord::parse(&json).and_then(Project::known) {
                Ok(project) => drop(table.insert(name, project)),
                Err(error) => tracing::error!(project = name, %error, "the record of a project is unreadable"),
            }
        }
        let changes = Changes::new(&with.engine.events);
        let isolation = Isolation::new(with.isolation, with.engine.clone());
        let records = table
            .iter()
            .map(|(name, project): (&String, &Project)| (name, &project.record));
        isolation.restore(records.map(|(name, record)| (name.as_str(), &record.allotment, &record.limits)));
        Ok(Self {
            inner: Arc::new(Inner {
                isolation,
                engine: with.engine,
                changes,
                records: with.records,
                table: Mutex::new(table),
                runs: Turns::default(),
                turn: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// Opens a project, or opens it again with another content.
    ///
    /// The commit point is the record. A caller that goes away in the middle leaves nothing half-made.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no project, `Conflict` when another folder has the name.
    pub(crate) async fn put(
        &self,
        name: &str,
        claim: NameClaim,
        specification: ProjectSpecification,
    ) -> Result<ProjectSummary> {
        let _turn = self.inner.turn.lock().await;
        let earlier = self.inner.find(name);
        if let Some(earlier) = &earlier
            && earlier.record.says(&specification)
        {
            let model = &earlier.model();
            let others = self.inner.others(name);
            let allotment = self
                .inner
                .isolation
                .allot(name, model, &earlier.record.allotment, &others)?;
            if allotment == earlier.record.allotment {
                self.inner.kept_limits(&earlier.record).await?;
                return self.inner.summary(name);
            }
        }
        self.write(name, claim, specification, earlier).await
    }

    /// Records what was sent. Called in turn.
    async fn write(
        &self,
        name: &str,
        claim: NameClaim,
        specification: ProjectSpecification,
        earlier: Option<Project>,
    ) -> Result<ProjectSummary> {
        let model = checked_model(name, &specification)?;
        check_limits(&specification.limits)?;
        let mut record = ProjectRecord::new(specification, Timestamp::now());
        if let Some(earlier) = &earlier {
            refuse_other_folder(&earlier.record, &record, claim)?;
            if record.succeed(&earlier.record) {
                record.changed_at = Timestamp::now();
            }
        }
        let isolation = &self.inner.isolation;
        record.allotment = isolation.allot(name, &model, &record.allotment, &self.inner.others(name))?;
        self.inner.apply(&[record.change()?])?;
        let project = Project::new(record.clone(), model);
        self.inner.table().insert(name.to_owned(), project);
        self.inner.changes.tell(name, ProjectChange::Opened);
        isolation.enforce(name, &record.allotment, &record.limits).await?;
        self.inner.summary(name)
    }

    /// Gives a project what `decide` finds out, in turn and recorded. `decide` sees what it has and what all others have.
    ///
    /// # Errors
    /// Those of `decide`, `NotFound`, those of the record store.
    pub(crate) async fn allot<T, F>(&self, name: &str, decide: F) -> Result<T>
    where
        F: AsyncFnOnce(&Allotment, &[(String, Allotment)]) -> Result<(Allotment, T)>,
    {
        let _turn = self.inner.turn.lock().await;
        let project = self.inner.get(name)?;
        let (allotment, result) = decide(&project.record.allotment, &self.inner.others(name)).await?;
        if allotment != project.record.allotment {
            let record = ProjectRecord {
                allotment,
                ..(*project.record).clone()
            };
            self.inner.apply(&[record.change()?])?;
            if let Some(entry) = self.inner.table().get_mut(name) {
                entry.record = Arc::new(record);
            }
        }
        Ok(result)
    }

    /// Forgets a project whose containers are gone, and gives back what it was given.
    ///
    /// # Errors
    /// `NotFound`, those of the record store.
    pub(crate) async fn forget(&self, name: &str) -> Result<()> {
        let _turn = self.inner.turn.lock().await;
        let project = self.inner.get(name)?;
        self.inner.isolation.release(name, &project.record.allotment).await;
        self.inner.apply(&[project.record.removal()])?;
        self.inner.table().remove(name);
        self.inner.changes.tell(name, ProjectChange::Removed);
        Ok(())
    }
}

impl Project {
    fn new(record: ProjectRecord, model: Model) -> Self {
        Self {
            record: Arc::new(record),
            model: Arc::new(OnceLock::from(Arc::new(model))),
        }
    }

    /// Takes up what an earlier daemon recorded.
    ///
    /// # Errors
    /// What is wrong with its model.
    fn known(record: ProjectRecord) -> std::result::Result<Self, serde_json::Error> {
        Model::from_document(&record.model)?;
        Ok(Self {
            record: Arc::new(record),
            model: Arc::default(),
        })
    }

    /// Returns the model, with the hashes that tell what is made of it already.
    pub(crate) fn model(&self) -> Arc<Model> {
        let read = || read_model(&self.record.model).expect("it was read when the project was taken up");
        Arc::clone(self.model.get_or_init(|| Arc::new(read())))
    }
}

impl Inner {
    pub(crate) fn table(&self) -> MutexGuard<'_, BTreeMap<String, Project>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find(&self, name: &str) -> Option<Project> {
        self.table().get(name).cloned()
    }

    /// Returns an open project.
    pub(crate) fn get(&self, name: &str) -> Result<Project> {
        self.find(name).ok_or_else(|| no_such_project(name))
    }

    /// Makes sure that a project's limits are set. Returns what the machine cannot keep of them.
    pub(crate) async fn kept_limits(&self, record: &ProjectRecord) -> Result<Vec<String>> {
        match self.isolation.kept(&record.allotment, &record.limits) {
            Some(warnings) => Ok(warnings),
            None => {
                let (name, own) = (&record.name, &record.allotment);
                self.isolation.enforce(name, own, &record.limits).await
            }
        }
    }

    fn others(&self, name: &str) -> Vec<(String, Allotment)> {
        let table = self.table();
        let others = table.iter().filter(|(other, _)| *other != name);
        others
            .map(|(other, project)| (other.clone(), project.record.allotment.clone()))
            .collect()
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        self.records
            .apply(changes)
            .map_err(|error| ServiceError::from_mechanism("cannot record the project", error.kind, error))
    }
}

/// There is no such project, neither opened nor by its containers.
pub(crate) fn no_such_project(name: &str) -> ServiceError {
    ServiceError::not_found(format!("no such project: {name}"))
        .with_hint("`hb project list` shows those that there are")
}

fn refuse_other_folder(earlier: &ProjectRecord, now: &ProjectRecord, claim: NameClaim) -> Result<()> {
    let same = earlier.directory == now.directory && earlier.machine == now.machine;
    if same || claim == NameClaim::Moved {
        return Ok(());
    }
    let place = match &earlier.machine {
        Some(machine) => format!("{} on {machine}", earlier.directory),
        None => earlier.directory.clone(),
    };
    let message = format!("the name {:?} belongs to the project in {place}", earlier.name);
    Err(ServiceError::new(ErrorKind::Conflict, message).with_hint(format!(
        "choose another name with -p NAME, or remove that project with `hb project remove {}`",
        earlier.name
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_earlier_daemon_knew_is_hashed_when_it_is_needed() {
        let specification = json!({
            "name": "shop", "directory": "/shop", "files": [], "machine": null, "limits": {}, "contents": {},
            "model": { "name": "shop", "services": { "web": { "image": "web" } } },
        });
        let specification: ProjectSpecification = serde_json::from_value(specification).expect("a specification");
        let record = ProjectRecord::new(specification, Timestamp::now());
        let project = Project::known(record.clone()).expect("a project");
        assert!(project.model.get().is_none());
        let copy = project.clone();
        assert!(copy.model().services["web"].compose_hash.is_some());
        assert!(Arc::ptr_eq(&project.model(), &copy.model()), "it is found out once");
        let broken = ProjectRecord {
            model: json!({ "name": "shop", "services": 3 }),
            ..record
        };
        assert!(Project::known(broken).is_err());
    }
}
