// SPDX-License-Identifier: MIT
//! Volumes.

use serde_json::value::RawValue;

use crate::client::{Client, path_segment};
use crate::error::Result;
use crate::filters::Filters;
use crate::http::Method;
use crate::model::{CreateVolume, Pruned, Volume, VolumeList};

impl Client {
    /// Creates a volume, or returns the existing one of that name.
    ///
    /// # Errors
    /// `Conflict` when it exists with another driver.
    pub fn create_volume(&self, volume: &CreateVolume) -> Result<Volume> {
        self.request(Method::Post, "/volumes/create").json(volume).send_json()
    }

    /// Lists volumes.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown filter.
    pub fn list_volumes(&self, filters: &Filters) -> Result<VolumeList> {
        self.request(Method::Get, "/volumes")
            .query_some("filters", filters.to_query().as_deref())
            .send_json()
    }

    /// Returns everything about a volume, as the daemon wrote it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn inspect_volume(&self, name: &str) -> Result<Box<RawValue>> {
        self.request(Method::Get, &format!("/volumes/{}", path_segment(name)))
            .send()?
            .raw_json()
    }

    /// Removes a volume.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when a container uses it.
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<()> {
        self.request(Method::Delete, &format!("/volumes/{}", path_segment(name)))
            .query_flag("force", force)
            .send_empty()
    }

    /// Removes unused volumes.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown filter.
    pub fn prune_volumes(&self, filters: &Filters) -> Result<Pruned> {
        self.request(Method::Post, "/volumes/prune")
            .query_some("filters", filters.to_query().as_deref())
            .send_json()
    }
}
