// SPDX-License-Identifier: MIT
//! What ADD takes from elsewhere: files of the web and commits of repositories.
//!
//! What was fetched for a key is kept for the step that follows, and then forgotten; at most [`MOST`] wait for a step that never comes.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{self, Seek as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use hyperbox_core::ServiceError;
use hyperbox_core::seam::{Download, Registry};
use hyperbox_core::time::Timestamp;
use hyperbox_types::ErrorKind;

use super::checksum::Checksum;
use super::entity_tags::{self, EntityTags};
use crate::StepError;
use crate::context::git::{Commit, Git};
use crate::context::remote::{GitAddress, file_name};
use crate::context::{DigestCache, Scratch, SpooledTree, Tree, TreeError};
use crate::event::PartProgress;
use crate::step::StepContext;

/// So many things that were fetched are kept.
const MOST: usize = 64;

/// What waits for a step.
type Kept<K, T> = Mutex<HashMap<K, T>>;

/// Fetches, and remembers for a moment.
#[derive(Debug)]
pub(super) struct Fetcher {
    registry: Arc<dyn Registry>,
    scratch: Scratch,
    digests: DigestCache,
    tags: EntityTags,
    /// By address and content.
    files: Kept<(String, [u8; 32]), Arc<SpooledTree>>,
    commits: Kept<String, Commit>,
}

impl Fetcher {
    pub(super) fn new(registry: Arc<dyn Registry>, scratch: Scratch, digests: DigestCache, tags: EntityTags) -> Self {
        Self {
            registry,
            scratch,
            digests,
            tags,
            files: Mutex::default(),
            commits: Mutex::default(),
        }
    }

    fn git(&self, with: &StepContext) -> Git {
        Git {
            scratch: self.scratch.clone(),
            cancel: with.cancel.clone(),
        }
    }

    /// Finds out what is behind an address now: the SHA-256 of it. Nothing is transferred when the server says that it is what it was;
    /// what is transferred is kept for [`Self::take_file`].
    pub(super) async fn look_up(&self, address: &str, with: &StepContext) -> Result<[u8; 32], StepError> {
        let (tags, owned) = (self.tags.clone(), address.to_owned());
        let known = blocking(move || Ok(tags.of(&owned))).await?;
        let download = self.open(address, &entity_tags::tags(&known), with).await?;
        if download.unchanged {
            let tag = download.entity_tag.as_deref();
            if let Some(content) = tag.and_then(|tag| entity_tags::content(&known, tag)) {
                return Ok(content);
            }
        }
        let (tree, content) = self.spool(address, download, with).await?;
        remember(&self.files, (address.to_owned(), content), tree);
        Ok(content)
    }

    /// Returns what was found, or fetches it. It has the content, if that is said, and the checksum.
    pub(super) async fn take_file(
        &self,
        address: &str,
        wanted: Option<[u8; 32]>,
        checksum: Option<&Checksum>,
        with: &StepContext,
    ) -> Result<Arc<SpooledTree>, StepError> {
        let known = wanted.and_then(|content| forget(&self.files, &(address.to_owned(), content)));
        let tree = match known {
            Some(tree) => tree,
            None => {
                let download = self.open(address, &[], with).await?;
                let (tree, content) = self.spool(address, download, with).await?;
                // Otherwise what is made of one content would be kept as what is made of another.
                if wanted.is_some_and(|wanted| wanted != content) {
                    return Err(StepError::Refused {
                        kind: ErrorKind::Unavailable,
                        message: format!("{address} has changed since this build looked at it"),
                    });
                }
                tree
            }
        };
        let Some(checksum) = checksum.cloned() else {
            return Ok(tree);
        };
        blocking(move || {
            let content = tree.open(&only_file(&tree)).map_err(|source| StepError::Tree {
                doing: "cannot read what was fetched".to_owned(),
                source,
            })?;
            checksum.verify(content)?;
            Ok(tree)
        })
        .await
    }

    /// Makes a tree of a file that arrives; returns it with the SHA-256 of the file, which is remembered.
    async fn spool(
        &self,
        address: &str,
        download: Download,
        with: &StepContext,
    ) -> Result<(Arc<SpooledTree>, [u8; 32]), StepError> {
        let (tag, modified_at) = (download.entity_tag.clone(), download.modified_at);
        let mut spool = self.receive(address, download, with).await?;
        let (scratch, tags, address) = (self.scratch.clone(), self.tags.clone(), address.to_owned());
        blocking(move || {
            let unkept = |source| StepError::Tree {
                doing: "cannot keep what was fetched".to_owned(),
                source,
            };
            spool.rewind().map_err(|source| unspooled("read", source))?;
            // As in Docker, a file that the server does not date is of the epoch.
            let modified_at = modified_at.unwrap_or(Timestamp(0));
            let tree = SpooledTree::of_file(&file_name(&address), 0o600, modified_at, spool, &scratch);
            let tree = tree.map_err(unkept)?;
            let entry = tree.entry(&only_file(&tree)).map_err(unkept)?;
            let entry = entry.ok_or_else(|| StepError::invalid("a file without a name"))?;
            let content = tree.digest(&entry).map_err(unkept)?;
            if let Some(tag) = tag {
                tags.learn(&address, &tag, content);
            }
            Ok((Arc::new(tree), content))
        })
        .await
    }

    /// Finds the commit that an address means now, and keeps it for [`Self::check_out`].
    pub(super) async fn commit(
        &self,
        address: &GitAddress,
        checksum: Option<&str>,
        with: &StepContext,
    ) -> Result<String, StepError> {
        let commit = self.git(with).resolve(address).await?;
        if let Some(wanted) = checksum.filter(|wanted| !commit.id.starts_with(*wanted) || wanted.len() < 7) {
            let found = &commit.id;
            return Err(StepError::invalid(format!(
                "expected checksum to match {wanted}, got {found}"
            )));
        }
        let id = commit.id.clone();
        remember(&self.commits, format!("{address:?}"), commit);
        Ok(id)
    }

    /// Makes a tree of the commit.
    pub(super) async fn check_out(
        &self,
        address: &GitAddress,
        keep_git_directory: bool,
        checksum: Option<&str>,
        with: &StepContext,
    ) -> Result<Arc<dyn Tree>, StepError> {
        let key = format!("{address:?}");
        let mut commit = forget(&self.commits, &key);
        if commit.is_none() {
            self.commit(address, checksum, with).await?;
            commit = forget(&self.commits, &key);
        }
        let git = self.git(with);
        let commit = match commit {
            Some(commit) => commit,
            // Another build took it.
            None => git.resolve(address).await?,
        };
        let tree = git.check_out(address, &commit, keep_git_directory, self.digests.clone());
        Ok(Arc::new(tree.await?))
    }

    /// Spools what is behind an address.
    pub(super) async fn download(&self, address: &str, with: &StepContext) -> Result<std::fs::File, StepError> {
        let download = self.open(address, &[], with).await?;
        self.receive(address, download, with).await
    }

    async fn open(&self, address: &str, known: &[String], with: &StepContext) -> Result<Download, StepError> {
        let opened = tokio::select! {
            () = with.cancel.cancelled() => return Err(StepError::Cancelled),
            opened = self.registry.download(address, known) => opened,
        };
        opened.map_err(|error| StepError::Refused {
            kind: error.kind(),
            message: format!("failed to load cache key: {}", told(&error.message)),
        })
    }

    async fn receive(
        &self,
        address: &str,
        mut download: Download,
        with: &StepContext,
    ) -> Result<std::fs::File, StepError> {
        let mut file = self.scratch.file().map_err(|source| unspooled("make", source))?;
        let (started, total) = (Timestamp::now(), download.length.unwrap_or(0));
        let mut current = 0;
        loop {
            let piece = tokio::select! {
                () = with.cancel.cancelled() => return Err(StepError::Cancelled),
                piece = download.pieces.next() => piece,
            };
            if let Some(piece) = &piece {
                let piece = piece.as_ref().map_err(|error| StepError::Refused {
                    kind: ErrorKind::Unavailable,
                    message: format!("cannot fetch {address}: {error}"),
                })?;
                file.write_all(piece).map_err(|source| unspooled("write", source))?;
                current += piece.len() as u64;
            }
            with.reporter.progress(&PartProgress {
                id: address,
                name: "",
                current,
                total,
                started,
                done: piece.is_none(),
            });
            if piece.is_none() {
                return Ok(file);
            }
        }
    }
}

/// Returns the path of the file of a tree that has one.
fn only_file(tree: &SpooledTree) -> std::path::PathBuf {
    let last = tree.nodes().last().map(|node| node.entry.path.clone());
    last.unwrap_or_default()
}

/// Says what a server answered, in BuildKit's words, without the page that it sent.
fn told(message: &str) -> String {
    let status = message.split_once(" with status ").and_then(|(_, rest)| rest.get(..3));
    match status {
        Some(status) => format!("invalid response status {status}"),
        None => message.lines().next().unwrap_or_default().to_owned(),
    }
}

fn remember<K: Eq + Hash, T>(kept: &Kept<K, T>, key: K, value: T) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MOST {
        kept.clear();
    }
    kept.insert(key, value);
}

fn forget<K: Eq + Hash, T>(kept: &Kept<K, T>, key: &K) -> Option<T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
}

/// Runs work on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StepError> + Send + 'static,
) -> Result<T, StepError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ServiceError::internal("a step was interrupted").with_source(error))?
}

pub(super) fn unspooled(operation: &'static str, source: io::Error) -> StepError {
    StepError::Tree {
        doing: "cannot keep what was fetched".to_owned(),
        source: TreeError::Io {
            operation,
            path: "a download".into(),
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_servers_are_told_in_a_word() {
        let page = "failed to GET http://a/x with status 404 Not Found: <html>\n<body>";
        assert_eq!(told(page), "invalid response status 404");
        assert_eq!(told("cannot reach a\nmore"), "cannot reach a");
        assert_eq!(told("odd with status é"), "odd with status é");
    }
}
