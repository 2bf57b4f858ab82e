// SPDX-License-Identifier: MIT
//! Files of containers, and images made here.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::client::{Client, path_segment};
use crate::error::{ClientError, Result};
use crate::http::{Body, Method, Response};
use crate::messages::Messages;
use crate::model::Progress;

/// What is at a path of a container.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathStat {
    /// Last component of the path.
    pub name: String,
    /// Go's `os.FileMode`.
    pub mode: u32,
    /// Where a symbolic link leads to.
    #[serde(default)]
    pub link_target: String,
}

impl PathStat {
    /// Tells whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.mode & (1 << 31) != 0
    }

    /// Tells whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.mode & (1 << 27) != 0
    }
}

/// How to make an image of a container.
#[derive(Debug, Clone, Default)]
pub struct Commit<'a> {
    /// Repository of its name; none when empty.
    pub repository: &'a str,
    /// Tag of its name.
    pub tag: &'a str,
    /// Who.
    pub author: &'a str,
    /// Why.
    pub comment: &'a str,
    /// Instructions that change the configuration.
    pub changes: &'a [String],
    /// Let the container run meanwhile.
    pub no_pause: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    id: String,
}

fn archive(container: &str) -> String {
    format!("/containers/{}/archive", path_segment(container))
}

fn described(response: &Response, path: &str) -> Result<PathStat> {
    let header = response.header("x-docker-container-path-stat").unwrap_or_default();
    let json = STANDARD.decode(header).unwrap_or_default();
    serde_json::from_slice(&json).map_err(|source| ClientError::Decode {
        path: path.to_owned(),
        source,
    })
}

/// Where a root filesystem comes from.
pub enum ImportSource<'a> {
    /// An archive that is sent.
    Archive(&'a mut dyn Read),
    /// An address from which the daemon fetches it.
    Url(&'a str),
}

impl std::fmt::Debug for ImportSource<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl ImportSource<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Archive(_) => "-",
            Self::Url(url) => url,
        }
    }
}

impl Client {
    /// Tells what is at a path of a container.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn stat_container_path(&self, container: &str, path: &str) -> Result<PathStat> {
        let target = archive(container);
        // A GET whose body is not read would cost the connection, and `HEAD` has none.
        let response = self.request(Method::Head, &target).query("path", path).send()?;
        described(&response, &target)
    }

    /// Streams what is at a path of a container as a tar archive.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn copy_from_container(&self, container: &str, path: &str) -> Result<(PathStat, Body)> {
        let target = archive(container);
        let response = self.request(Method::Get, &target).query("path", path).send()?;
        let stat = described(&response, &target)?;
        Ok((stat, response.into_body()))
    }

    /// Unpacks a tar archive into a directory of a container.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for what is no directory or read-only.
    pub fn copy_to_container(
        &self,
        container: &str,
        path: &str,
        to_own_user: bool,
        archive_stream: &mut dyn Read,
    ) -> Result<()> {
        self.request(Method::Put, &archive(container))
            .query("path", path)
            .query_flag("noOverwriteDirNonDir", true)
            .query_flag("copyUIDGID", to_own_user)
            .stream(archive_stream, "application/x-tar")
            .send_empty()
    }

    /// Makes an image of a container and returns its id.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for malformed changes.
    pub fn commit_container(&self, container: &str, commit: &Commit<'_>) -> Result<String> {
        let mut request = self
            .request(Method::Post, "/commit")
            .query("container", container)
            .query("author", commit.author)
            .query("comment", commit.comment);
        if !commit.repository.is_empty() {
            request = request.query("repo", commit.repository).query("tag", commit.tag);
        }
        for change in commit.changes {
            request = request.query("changes", change);
        }
        if commit.no_pause {
            request = request.query("pause", "0");
        }
        Ok(request.send_json::<Made>()?.id)
    }

    /// Makes an image of a root filesystem.
    ///
    /// # Errors
    /// What the daemon answers before it reports progress; later errors are in the messages.
    pub fn import_image(
        &self,
        source: ImportSource<'_>,
        name: (&str, &str),
        message: &str,
        changes: &[String],
        platform: &str,
    ) -> Result<Messages<Progress>> {
        let mut request = self
            .request(Method::Post, "/images/create")
            .query("fromSrc", source.name());
        for (key, value) in [
            ("repo", name.0),
            ("tag", name.1),
            ("message", message),
            ("platform", platform),
        ] {
            request = request.query_some(key, Some(value).filter(|value| !value.is_empty()));
        }
        for change in changes {
            request = request.query("changes", change);
        }
        match source {
            ImportSource::Archive(archive) => request.stream(archive, "application/x-tar").send(),
            ImportSource::Url(_) => request.send(),
        }
        .map(Messages::new)
    }
}
