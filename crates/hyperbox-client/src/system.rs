// SPDX-License-Identifier: MIT
//! The daemon itself: is it there, what is it, what does it use.

use serde_json::value::RawValue;

use crate::client::Client;
use crate::error::Result;
use crate::filters::Filters;
use crate::http::Method;
use crate::messages::Messages;
use crate::model::{AuthRequest, AuthStatus, DiskUsage, Ping, Pruned};

impl Client {
    /// Asks whether the daemon answers, and who it is.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ping(&self) -> Result<Ping> {
        let response = self.request_path(Method::Head, "/_ping").send()?;
        let ping = Ping {
            api_version: response.header("api-version").unwrap_or_default().to_owned(),
            server: response.header("server").unwrap_or_default().to_owned(),
        };
        response.discard()?;
        Ok(ping)
    }

    /// Returns the versions of the daemon and its parts.
    ///
    /// # Errors
    /// Any of [`crate::ClientError`].
    pub fn server_version(&self) -> Result<Box<RawValue>> {
        self.request(Method::Get, "/version").send()?.raw_json()
    }

    /// Returns what the daemon knows about itself and its machine.
    ///
    /// # Errors
    /// Any of [`crate::ClientError`].
    pub fn info(&self) -> Result<Box<RawValue>> {
        self.request(Method::Get, "/info").send()?.raw_json()
    }

    /// Returns what uses disk space.
    ///
    /// # Errors
    /// Any of [`crate::ClientError`].
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        self.request(Method::Get, "/system/df").send_json()
    }

    /// Removes what builds keep and nobody uses; `all` takes what images share along, `keep` is how many bytes may stay.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown filter.
    pub fn prune_builds(&self, all: bool, keep: Option<i64>, filters: &Filters) -> Result<Pruned> {
        self.request(Method::Post, "/build/prune")
            .query_flag("all", all)
            .query_some("keep-storage", keep.map(|keep| keep.to_string()).as_deref())
            .query_some("filters", filters.to_query().as_deref())
            .send_json()
    }

    /// Reports what happens, as the daemon writes it; without `until` there is no end.
    ///
    /// Both points in time are seconds of the epoch, with a fraction if need be.
    ///
    /// # Errors
    /// `InvalidArgument` for a filter that is malformed.
    pub fn events(
        &self,
        filters: &Filters,
        since: Option<&str>,
        until: Option<&str>,
    ) -> Result<Messages<Box<RawValue>>> {
        let response = self
            .request(Method::Get, "/events")
            .query_some("filters", filters.to_query().as_deref())
            .query_some("since", since)
            .query_some("until", until)
            .send()?;
        Ok(Messages::new(response))
    }

    /// Checks credentials against a registry.
    ///
    /// # Errors
    /// `PermissionDenied` when the registry refuses them.
    pub fn check_credentials(&self, request: &AuthRequest) -> Result<AuthStatus> {
        let response = self.request(Method::Post, "/auth").json(request).send()?;
        if response.status() == 204 {
            response.discard()?;
            return Ok(AuthStatus::default());
        }
        response.json()
    }
}
