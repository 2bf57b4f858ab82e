// SPDX-License-Identifier: MIT
//! Networks.

use serde_json::value::RawValue;

use crate::client::{Client, path_segment};
use crate::error::Result;
use crate::filters::Filters;
use crate::http::Method;
use crate::model::{ConnectNetwork, CreateNetwork, CreatedNetwork, DisconnectNetwork, NetworkSummary, Pruned};

impl Client {
    /// Creates a network.
    ///
    /// # Errors
    /// `Conflict` when the name is taken, `InvalidArgument` for options that do not fit together, `PermissionDenied` for a
    /// predefined name.
    pub fn create_network(&self, network: &CreateNetwork) -> Result<CreatedNetwork> {
        self.request(Method::Post, "/networks/create").json(network).send_json()
    }

    /// Lists networks.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown filter.
    pub fn list_networks(&self, filters: &Filters) -> Result<Vec<NetworkSummary>> {
        self.request(Method::Get, "/networks")
            .query_some("filters", filters.to_query().as_deref())
            .send_json()
    }

    /// Returns everything about a network, as the daemon wrote it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn inspect_network(&self, name: &str, verbose: bool) -> Result<Box<RawValue>> {
        self.request(Method::Get, &format!("/networks/{}", path_segment(name)))
            .query_flag("verbose", verbose)
            .send()?
            .raw_json()
    }

    /// Removes a network.
    ///
    /// # Errors
    /// `NotFound`, or `PermissionDenied` when it is predefined or has endpoints.
    pub fn remove_network(&self, name: &str) -> Result<()> {
        self.request(Method::Delete, &format!("/networks/{}", path_segment(name)))
            .send_empty()
    }

    /// Connects a container to a network.
    ///
    /// # Errors
    /// `NotFound` for either, `PermissionDenied` when the container is in it already or cannot be.
    pub fn connect_network(&self, name: &str, connection: &ConnectNetwork) -> Result<()> {
        self.request(Method::Post, &format!("/networks/{}/connect", path_segment(name)))
            .json(connection)
            .send_empty()
    }

    /// Takes a container out of a network.
    ///
    /// # Errors
    /// `NotFound` for either, `PermissionDenied` when the container is not in it.
    pub fn disconnect_network(&self, name: &str, connection: &DisconnectNetwork) -> Result<()> {
        self.request(Method::Post, &format!("/networks/{}/disconnect", path_segment(name)))
            .json(connection)
            .send_empty()
    }

    /// Removes networks that nothing uses.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown filter.
    pub fn prune_networks(&self, filters: &Filters) -> Result<Pruned> {
        self.request(Method::Post, "/networks/prune")
            .query_some("filters", filters.to_query().as_deref())
            .send_json()
    }
}
