// SPDX-License-Identifier: MIT
//! What is kept of a project: one record in the table of projects, by name.
//!
//! The record is written when the project is opened, and when it is given something; it goes when the project is removed, after its
//! containers and networks. Containers, networks and volumes are not in it: they carry labels.

use std::collections::BTreeMap;
use std::fmt;

use hyperbox_core::seam::{Change, Table};
use hyperbox_core::time::Timestamp;
use hyperbox_core::{Result, ServiceError};
use hyperbox_project::model::Model;
use hyperbox_project::plan::note_hashes;
use hyperbox_types::project::{ProjectLimits, ProjectSpecification, is_project_name};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::isolation::Allotment;

/// The form of records that this build writes; it reads all before.
const VERSION: u32 = 1;

/// A project.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProjectRecord {
    /// The form of this record.
    pub version: u32,
    /// The name.
    pub name: String,
    /// The folder on the client's machine.
    pub directory: String,
    /// The files it was read from.
    pub files: Vec<String>,
    /// The client's machine, when it is not this one.
    pub machine: Option<String>,
    /// The resolved model as it was sent.
    pub model: Value,
    /// What its containers together may use.
    pub limits: ProjectLimits,
    /// Contents of secrets and configs that were variables of the client.
    pub contents: BTreeMap<String, String>,
    /// What it was given.
    #[serde(default)]
    pub allotment: Allotment,
    /// When it was opened first.
    pub created_at: Timestamp,
    /// When it was opened last with another content.
    pub changed_at: Timestamp,
}

impl fmt::Debug for ProjectRecord {
    /// Without what may be secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProjectRecord")
            .field("name", &self.name)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl ProjectRecord {
    /// Makes the record of what was sent now.
    pub(crate) fn new(specification: ProjectSpecification, now: Timestamp) -> Self {
        Self {
            version: VERSION,
            name: specification.name,
            directory: specification.directory,
            files: specification.files,
            machine: specification.machine,
            model: specification.model,
            limits: specification.limits,
            contents: specification.contents,
            allotment: Allotment::default(),
            created_at: now,
            changed_at: now,
        }
    }

    /// Takes over what an earlier opening was given; tells whether the content is another one.
    pub(crate) fn succeed(&mut self, earlier: &Self) -> bool {
        self.allotment = earlier.allotment.clone();
        self.created_at = earlier.created_at;
        self.changed_at = earlier.changed_at;
        *self != *earlier
    }

    /// Tells whether a client says what the record says already.
    pub(crate) fn says(&self, specification: &ProjectSpecification) -> bool {
        let ProjectSpecification {
            name,
            directory,
            files,
            machine,
            model,
            limits,
            contents,
        } = specification;
        self.name == *name
            && self.directory == *directory
            && self.files == *files
            && self.machine == *machine
            && self.limits == *limits
            && self.contents == *contents
            && self.model == *model
    }

    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// The change that writes the record.
    ///
    /// # Errors
    /// `Internal` when it cannot be encoded.
    pub(crate) fn change(&self) -> Result<Change> {
        let value = serde_json::to_string(self)
            .map_err(|error| ServiceError::internal("cannot encode the project").with_source(error))?;
        Ok(Change::Put {
            table: Table::Projects,
            key: self.name.clone(),
            value,
        })
    }

    /// The change that removes the record.
    pub(crate) fn removal(&self) -> Change {
        Change::Remove {
            table: Table::Projects,
            key: self.name.clone(),
        }
    }
}

/// Reads a model with the hashes that tell what is made of it already.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read_model(document: &Value) -> Result<Model, serde_json::Error> {
    let mut model = Model::from_document(document)?;
    note_hashes(&mut model, document);
    Ok(model)
}

/// Reads the model of what a client sent, and makes sure that it is the one of the name.
///
/// # Errors
/// `InvalidArgument`.
pub(crate) fn checked_model(name: &str, specification: &ProjectSpecification) -> Result<Model> {
    if !is_project_name(name) {
        return Err(ServiceError::invalid(format!(
            "invalid project name {name:?}: it must consist of lower case letters, digits, hyphens and underscores, and begin with a \
             letter or a digit"
        )));
    }
    if specification.name != name {
        let message = format!("the body names project {:?}, the path {name:?}", specification.name);
        return Err(ServiceError::invalid(message));
    }
    if specification.directory.is_empty() {
        return Err(ServiceError::invalid("the project's directory is missing"));
    }
    let model =
        read_model(&specification.model).map_err(|error| ServiceError::invalid(format!("invalid model: {error}")))?;
    if model.name != name {
        let message = format!("the model is that of project {:?}, the path names {name:?}", model.name);
        return Err(ServiceError::invalid(message));
    }
    Ok(model)
}
