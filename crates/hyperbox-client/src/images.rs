// SPDX-License-Identifier: MIT
//! Images: lists, transfer, removal.

use std::io::Read;

use hyperbox_types::ImageReference;
use serde_json::value::RawValue;

use crate::client::{Client, path_segment};
use crate::error::Result;
use crate::filters::Filters;
use crate::http::{Body, Method};
use crate::messages::Messages;
use crate::model::{History, ImageSummary, Progress, Pruned, RemovedImage};

/// The header that carries registry credentials.
const AUTH: &str = "X-Registry-Auth";

fn route(name: &str, action: &str) -> String {
    format!("/images/{}{action}", path_segment(name))
}

impl Client {
    /// Lists images.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown filter.
    pub fn list_images(&self, all: bool, filters: &Filters) -> Result<Vec<ImageSummary>> {
        self.request(Method::Get, "/images/json")
            .query_flag("all", all)
            .query_some("filters", filters.to_query().as_deref())
            .send_json()
    }

    /// Lists images with the parts for single platforms, where the daemon has such.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown filter.
    pub fn list_images_with_manifests(&self, all: bool, filters: &Filters) -> Result<Vec<ImageSummary>> {
        self.request(Method::Get, "/images/json")
            .query_flag("all", all)
            .query_some("filters", filters.to_query().as_deref())
            .query_flag("manifests", true)
            .send_json()
    }

    /// Returns everything about an image, as the daemon wrote it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn inspect_image(&self, name: &str) -> Result<Box<RawValue>> {
        self.request(Method::Get, &route(name, "/json")).send()?.raw_json()
    }

    /// Lists the steps that made an image.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn image_history(&self, name: &str) -> Result<Vec<History>> {
        self.request(Method::Get, &route(name, "/history")).send_json()
    }

    /// Pulls an image, or all tags of its repository; the credentials come from [`crate::credentials`].
    ///
    /// # Errors
    /// What the daemon answers before the transfer begins; later errors are in the messages.
    pub fn pull_image(
        &self,
        reference: &ImageReference,
        all_tags: bool,
        platform: Option<&str>,
        credentials: Option<&str>,
    ) -> Result<Messages<Progress>> {
        let digest = reference.digest().map(ToString::to_string);
        let tag = reference.tag().map(|tag| tag.as_str().to_owned());
        let version = if all_tags { None } else { digest.or(tag) };
        let mut request = self
            .request(Method::Post, "/images/create")
            .query("fromImage", &reference.repository().familiar())
            .query_some("tag", version.as_deref())
            .query_some("platform", platform);
        if let Some(credentials) = credentials {
            request = request.header(AUTH, credentials);
        }
        request.send().map(Messages::new)
    }

    /// Pushes an image, or all tags of its repository.
    ///
    /// # Errors
    /// What the daemon answers before the transfer begins; later errors are in the messages.
    pub fn push_image(
        &self,
        repository: &str,
        tag: Option<&str>,
        credentials: Option<&str>,
    ) -> Result<Messages<Progress>> {
        // The daemon insists on the header, even when there are no credentials: `e30=` is an empty object.
        self.request(Method::Post, &route(repository, "/push"))
            .query_some("tag", tag)
            .header(AUTH, credentials.unwrap_or("e30="))
            .send()
            .map(Messages::new)
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidArgument` for a malformed name.
    pub fn tag_image(&self, source: &str, repository: &str, tag: &str) -> Result<()> {
        self.request(Method::Post, &route(source, "/tag"))
            .query("repo", repository)
            .query("tag", tag)
            .send_empty()
    }

    /// Removes a name of an image, and the image with its last name.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when a container uses it.
    pub fn remove_image(&self, name: &str, force: bool, no_prune: bool) -> Result<Vec<RemovedImage>> {
        self.request(Method::Delete, &route(name, ""))
            .query_flag("force", force)
            .query_flag("noprune", no_prune)
            .send_json()
    }

    /// Streams images as a tar archive.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn save_images(&self, names: &[String], platform: Option<&str>) -> Result<Body> {
        let mut request = self.request(Method::Get, "/images/get");
        for name in names {
            request = request.query("names", name);
        }
        Ok(request.query_some("platform", platform).send()?.into_body())
    }

    /// Loads images from a tar archive.
    ///
    /// # Errors
    /// What the daemon answers before it reports progress; later errors are in the messages.
    pub fn load_images(&self, archive: &mut dyn Read, quiet: bool) -> Result<Messages<Progress>> {
        self.request(Method::Post, "/images/load")
            .query("quiet", if quiet { "1" } else { "0" })
            .stream(archive, "application/x-tar")
            .send()
            .map(Messages::new)
    }

    /// Removes unused images.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown filter.
    pub fn prune_images(&self, filters: &Filters) -> Result<Pruned> {
        self.request(Method::Post, "/images/prune")
            .query_some("filters", filters.to_query().as_deref())
            .send_json()
    }
}
