// SPDX-License-Identifier: MIT
//! Images: lists, transfer, removal.

use std::io::Read;

use hyperbox_types::{ImageReference, Platform};
use serde_json::value::RawValue;

use crate::client::{Client, path_segment};
use crate::error::Result;
use crate::filters::Filters;
use crate::http::{Body, Method};
use crate::messages::Messages;
use crate::model::{FoundRepository, History, ImageSummary, Progress, Pruned, RemovedImage};

/// The header that carries registry credentials.
const AUTH: &str = "X-Registry-Auth";

/// The form in which the daemon reads platforms of images that it has.
fn document(platform: &Platform) -> String {
    let mut document = serde_json::json!({ "os": platform.os, "architecture": platform.architecture.as_str() });
    if let Some(variant) = &platform.variant {
        document["variant"] = variant.as_str().into();
    }
    document.to_string()
}

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

    /// Searches a registry for repositories; which one, the term says.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown filter or a limit out of range.
    pub fn search_images(
        &self,
        term: &str,
        limit: Option<i64>,
        filters: &Filters,
        credentials: Option<&str>,
    ) -> Result<Vec<FoundRepository>> {
        let mut request = self
            .request(Method::Get, "/images/search")
            .query("term", term)
            .query_some("limit", limit.map(|limit| limit.to_string()).as_deref())
            .query_some("filters", filters.to_query().as_deref());
        if let Some(credentials) = credentials {
            request = request.header(AUTH, credentials);
        }
        request.send_json()
    }

    /// Returns everything about an image, as the daemon wrote it.
    ///
    /// # Errors
    /// `NotFound`, also of an image for another platform.
    pub fn inspect_image(&self, name: &str, platform: Option<&Platform>) -> Result<Box<RawValue>> {
        self.request(Method::Get, &route(name, "/json"))
            .query_some("platform", platform.map(document).as_deref())
            .send()?
            .raw_json()
    }

    /// Lists the steps that made an image.
    ///
    /// # Errors
    /// `NotFound`, also of an image for another platform.
    pub fn image_history(&self, name: &str, platform: Option<&Platform>) -> Result<Vec<History>> {
        self.request(Method::Get, &route(name, "/history"))
            .query_some("platform", platform.map(document).as_deref())
            .send_json()
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

    /// Pushes an image, or all tags of its repository; with a platform only when it is for that.
    ///
    /// # Errors
    /// What the daemon answers before the transfer begins; later errors are in the messages.
    pub fn push_image(
        &self,
        repository: &str,
        tag: Option<&str>,
        platform: Option<&Platform>,
        credentials: Option<&str>,
    ) -> Result<Messages<Progress>> {
        // The daemon insists on the header, even when there are no credentials: `e30=` is an empty object.
        self.request(Method::Post, &route(repository, "/push"))
            .query_some("tag", tag)
            .query_some("platform", platform.map(document).as_deref())
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

    /// Removes a name of an image, and the image with its last name; with platforms only when it is for them.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when a container uses it.
    pub fn remove_image(
        &self,
        name: &str,
        force: bool,
        no_prune: bool,
        platforms: &[Platform],
    ) -> Result<Vec<RemovedImage>> {
        let mut request = self
            .request(Method::Delete, &route(name, ""))
            .query_flag("force", force)
            .query_flag("noprune", no_prune);
        for platform in platforms {
            request = request.query("platforms", &document(platform));
        }
        request.send_json()
    }

    /// Streams images as a tar archive.
    ///
    /// # Errors
    /// `NotFound`, also of an image for another platform.
    pub fn save_images(&self, names: &[String], platform: Option<&Platform>) -> Result<Body> {
        let mut request = self.request(Method::Get, "/images/get");
        for name in names {
            request = request.query("names", name);
        }
        let platform = platform.map(document);
        Ok(request.query_some("platform", platform.as_deref()).send()?.into_body())
    }

    /// Loads images from a tar archive: all of them, or those for a platform.
    ///
    /// # Errors
    /// What the daemon answers before it reports progress; later errors are in the messages.
    pub fn load_images(
        &self,
        archive: &mut dyn Read,
        platform: Option<&Platform>,
        quiet: bool,
    ) -> Result<Messages<Progress>> {
        self.request(Method::Post, "/images/load")
            .query_some("platform", platform.map(document).as_deref())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_sent_as_documents() {
        for (text, expected) in [
            ("linux/amd64", r#"{"architecture":"amd64","os":"linux"}"#),
            ("linux/arm/v6", r#"{"architecture":"arm","os":"linux","variant":"v6"}"#),
        ] {
            assert_eq!(document(&Platform::parse(text).expect("a platform")), expected);
        }
    }
}
