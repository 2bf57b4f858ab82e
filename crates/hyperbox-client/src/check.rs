// SPDX-License-Identifier: MIT
//! Checking the daemon's store, comparing images: the native routes about images.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hyperbox_types::ImageReference;
use hyperbox_types::check::CheckEvent;
use hyperbox_types::image_diff::ImageDiff;
use hyperbox_types::optimize::OptimizeReport;

use crate::client::Client;
use crate::credentials::Credentials;
use crate::error::Result;
use crate::host::Host;
use crate::http::Method;
use crate::messages::Messages;
use crate::model::Progress;

/// The header that carries the credentials of several registries.
const CONFIG: &str = "X-Registry-Config";

impl Client {
    /// Checks the store, and mends it when asked; the last message is *finished* or *failed*. `credentials` are given to the
    /// registries of their keys (hosts) when something is fetched again.
    ///
    /// # Errors
    /// `NotFound` from a daemon that is not HyperBox.
    pub fn check(&self, repair: bool, credentials: &BTreeMap<String, Credentials>) -> Result<Messages<CheckEvent>> {
        let mut request = self
            .request_path(Method::Post, "/hyperbox/v1/check")
            .query_flag("repair", repair);
        if !credentials.is_empty() {
            // A map of strings always encodes.
            let json = serde_json::to_vec(credentials).unwrap_or_default();
            request = request.header(CONFIG, URL_SAFE.encode(json));
        }
        Ok(Messages::new(request.send()?))
    }

    /// Pulls an image; what its layers consist of comes from the HyperBox at `host` (as the daemon sees it) where that has them.
    ///
    /// # Errors
    /// `NotFound` from a daemon that is not HyperBox, and what the daemon answers before the transfer begins; later errors are in the
    /// messages.
    pub fn pull_image_delta(
        &self,
        reference: &ImageReference,
        platform: Option<&str>,
        host: &Host,
        credentials: Option<&str>,
    ) -> Result<Messages<Progress>> {
        let mut request = self
            .request_path(Method::Post, "/hyperbox/v1/pull")
            .query("reference", &reference.to_string())
            .query_some("platform", platform)
            .query("delta-from", &host.to_string());
        if let Some(credentials) = credentials {
            request = request.header("X-Registry-Auth", credentials);
        }
        request.send().map(Messages::new)
    }

    /// Stores files that several layers have once, or undoes that; removes compressed blobs that a registry has when asked. Comes back
    /// when all is done.
    ///
    /// # Errors
    /// `NotFound` from a daemon that is not HyperBox, `Unsupported`, `ResourceExhausted`.
    pub fn optimize(&self, undo: bool, release_blobs: bool) -> Result<OptimizeReport> {
        self.request_path(Method::Post, "/hyperbox/v1/optimize")
            .query_flag("undo", undo)
            .query_flag("release-blobs", release_blobs)
            .send_json()
    }

    /// Tells in what two images differ.
    ///
    /// # Errors
    /// `NotFound` without an image, `FailedPrecondition` when a layer cannot be read.
    pub fn image_difference(&self, left: &str, right: &str) -> Result<ImageDiff> {
        self.request_path(Method::Get, "/hyperbox/v1/image-diff")
            .query("left", left)
            .query("right", right)
            .send_json()
    }
}
