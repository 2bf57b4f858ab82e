// SPDX-License-Identifier: MIT
//! Contexts become trees: archives that arrive, addresses, directories, layers.

use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyperbox_core::ServiceError;
use hyperbox_core::time::Timestamp;
use hyperbox_dockerfile::Ignore;
use hyperbox_types::{DiffId, ErrorKind};

use super::fetch::blocking;
use super::files::Files;
use super::source::unreadable;
use crate::context::directory::Owners;
use crate::context::git::Git;
use crate::context::path::{as_path, resolve_in};
use crate::context::remote::Address;
use crate::context::spooled::is_archive;
use crate::context::stream::StreamReader;
use crate::context::{DigestCache, DirectoryTree, SpooledTree, Tree, TreeError, TreePlace};
use crate::event::PartProgress;
use crate::request::{ContextSource, IgnoreRules};
use crate::step::StepContext;
use crate::{StepError, StepReporter};

/// What is left out of a context, unless the Dockerfile has a list of its own, whose name ends so.
const IGNORE: &str = ".dockerignore";
/// What of a list is longer is none.
const LONGEST_IGNORE: u64 = 4 << 20;

impl Files {
    /// Makes a tree of a context.
    pub(super) async fn context(&self, source: ContextSource, with: &StepContext) -> Result<Arc<dyn Tree>, StepError> {
        match source {
            ContextSource::Empty => self.layers(&[]),
            ContextSource::Archive(stream) => {
                let reader = Counted {
                    inner: StreamReader::new(stream, with.cancel.clone()),
                    reporter: with.reporter.clone(),
                    started: Timestamp::now(),
                    read: 0,
                    told: 0,
                };
                let (scratch, cancel) = (self.scratch.clone(), with.cancel.clone());
                blocking(move || match SpooledTree::read(reader, &scratch) {
                    Ok(tree) => Ok(Arc::new(tree) as Arc<dyn Tree>),
                    Err(_) if cancel.is_cancelled() => Err(StepError::Cancelled),
                    Err(error) => Err(spool_failed(error)),
                })
                .await
            }
            ContextSource::Remote(address) => self.remote_context(&address, with).await,
            ContextSource::Directory { path, rules } => {
                let digests = self.digests.clone();
                blocking(move || local(&path, &rules, digests)).await
            }
            ContextSource::Image(name) => Err(StepError::Refused {
                kind: ErrorKind::Internal,
                message: format!("the layers of {name} are not known"),
            }),
            ContextSource::Tree(tree) => Ok(tree),
            ContextSource::Built(base) => self.layers(&base.layers()),
        }
    }

    /// Makes a tree of layers.
    pub(super) fn layers(&self, layers: &[DiffId]) -> Result<Arc<dyn Tree>, StepError> {
        if layers.is_empty() {
            let nothing = SpooledTree::read(io::empty(), &self.scratch);
            return Ok(Arc::new(nothing.map_err(|error| unreadable(b"", error))?));
        }
        let view = self.snapshotter.view(layers);
        let mount = view.map_err(|error| ServiceError::from_mechanism("cannot mount layers", error.kind(), error))?;
        let root = hyperbox_sys::detached_mount::open(&mount).map_err(|source| {
            let source = TreeError::Io {
                operation: "mount",
                path: PathBuf::from("layers"),
                source,
            };
            unreadable(b"", source)
        })?;
        let place = TreePlace::Layers(layers.to_vec());
        Ok(Arc::new(DirectoryTree::new(
            root,
            place,
            Owners::Kept,
            self.digests.clone(),
        )))
    }

    async fn remote_context(&self, text: &str, with: &StepContext) -> Result<Arc<dyn Tree>, StepError> {
        match Address::parse(text) {
            Some(Address::Git(address)) => {
                let git = Git {
                    scratch: self.scratch.clone(),
                    cancel: with.cancel.clone(),
                };
                let commit = git.resolve(&address).await?;
                let tree = git
                    .check_out(&address, &commit, with.keeps_git_directory, self.digests.clone())
                    .await?;
                Ok(Arc::new(tree))
            }
            Some(Address::Http(address)) => {
                let mut file = self.fetcher.download(&address, with).await?;
                let scratch = self.scratch.clone();
                blocking(move || {
                    let failed = |source| {
                        spool_failed(TreeError::Io {
                            operation: "read",
                            path: PathBuf::from("a download"),
                            source,
                        })
                    };
                    file.rewind().map_err(failed)?;
                    let archive = is_archive(&file);
                    file.rewind().map_err(failed)?;
                    let tree = if archive {
                        SpooledTree::read(&file, &scratch)
                    } else {
                        SpooledTree::of_file("Dockerfile", 0o644, Timestamp(0), &file, &scratch)
                    };
                    Ok(Arc::new(tree.map_err(spool_failed)?) as Arc<dyn Tree>)
                })
                .await
            }
            None => Err(StepError::invalid(format!(
                "unable to prepare context: {text:?} is no address"
            ))),
        }
    }
}

fn local(directory: &Path, rules: &IgnoreRules, digests: DigestCache) -> Result<Arc<dyn Tree>, StepError> {
    let tree = DirectoryTree::open(directory, Owners::Root, digests).map_err(spool_failed)?;
    let text = match rules {
        IgnoreRules::Nothing => None,
        IgnoreRules::Own => ignore_file(&tree, IGNORE)?,
        IgnoreRules::OfDockerfile(name) => match ignore_file(&tree, &format!("{name}{IGNORE}"))? {
            None => ignore_file(&tree, IGNORE)?,
            own => own,
        },
        IgnoreRules::Text(text) => Some(text.clone()),
    };
    let Some(text) = text else {
        return Ok(Arc::new(tree));
    };
    let ignore = Ignore::parse(&text).map_err(|error| StepError::invalid(error.to_string()))?;
    Ok(Arc::new(tree.without(ignore)))
}

/// Reads a list of what is left out, links followed inside the directory; `None` when there is none.
fn ignore_file(tree: &DirectoryTree, name: &str) -> Result<Option<String>, StepError> {
    let place = resolve_in(tree, name.as_bytes()).map_err(spool_failed)?;
    let file = match tree.open(&as_path(&place)) {
        Err(TreeError::NotFound { .. }) => return Ok(None),
        file => file.map_err(spool_failed)?,
    };
    let mut text = Vec::new();
    file.take(LONGEST_IGNORE).read_to_end(&mut text).map_err(|source| {
        spool_failed(TreeError::Io {
            operation: "read",
            path: PathBuf::from(name),
            source,
        })
    })?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Says that what a build reads cannot be kept or is malformed.
pub(super) fn spool_failed(source: TreeError) -> StepError {
    let doing = match &source {
        TreeError::Io { .. } => "cannot read the context".to_owned(),
        other => format!("cannot read the context: {other}"),
    };
    StepError::Tree { doing, source }
}

/// Tells how much of a context has come.
struct Counted<R> {
    inner: R,
    reporter: StepReporter,
    started: Timestamp,
    read: u64,
    told: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        let is_over = read == 0 && !buffer.is_empty();
        if is_over || self.read - self.told >= 1 << 20 {
            self.told = self.read;
            self.reporter.progress(&PartProgress {
                id: "transferring context:",
                name: "",
                current: self.read,
                total: 0,
                started: self.started,
                done: is_over,
            });
        }
        Ok(read)
    }
}
