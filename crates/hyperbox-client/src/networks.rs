// SPDX-License-Identifier: MIT
//! Networks, as far as they can be looked at.

use serde_json::value::RawValue;

use crate::client::{Client, path_segment};
use crate::error::Result;
use crate::filters::Filters;
use crate::http::Method;
use crate::model::NetworkSummary;

impl Client {
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
}
