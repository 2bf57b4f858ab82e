// SPDX-License-Identifier: MIT
//! What a step reads, made ready: places of trees are found, texts and what is elsewhere become trees.

use std::sync::Arc;

use hyperbox_core::time::Timestamp;

use super::checksum::Checksum;
use super::contexts::spool_failed;
use super::fetch::blocking;
use super::files::Files;
use super::source::{self, Filter, Found, unreadable};
use super::target::Target;
use super::transfer::{self, Changing, Directories};
use crate::StepError;
use crate::context::remote::{Address, GitAddress};
use crate::context::spooled::is_archive;
use crate::context::{EntryKind, Scratch, SpooledTree, Tree, TreeError, path};
use crate::step::{CopySource, CopyStep, StepContext, Unpacking};

/// A source, ready to be read.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub(super) found: Vec<Found>,
    pub(super) filter: Filter,
    directories: Directories,
    /// Whether files that are archives are unpacked.
    unpacks: bool,
    /// Whether it belongs to nobody yet: texts and what was fetched.
    describes: bool,
}

impl Files {
    /// Makes everything that a step reads ready, in the order of the instruction.
    pub(super) async fn ready(&self, step: &CopyStep, with: &StepContext) -> Result<Vec<Ready>, StepError> {
        let checksum = checksum_of(step)?;
        let unpacking = step.add.as_ref().map_or(Unpacking::Never, |add| add.unpacking);
        let filter = Filter::without(&step.excludes)?;
        let mut ready = Vec::new();
        for wanted in &step.sources {
            ready.push(match wanted {
                CopySource::Tree { path, .. } if step.add.is_none() && Address::parse(path).is_some() => {
                    return Err(no_address(path));
                }
                CopySource::Tree { tree, path } => {
                    let (tree, path, parents, filter) = (Arc::clone(tree), path.clone(), step.parents, filter.clone());
                    let (found, filter) = blocking(move || source::find(&tree, &path, parents, &filter)).await?;
                    Ready {
                        found,
                        filter,
                        directories: Directories::Content,
                        unpacks: unpacking != Unpacking::Never,
                        describes: false,
                    }
                }
                CopySource::Text { name, content } => {
                    let (scratch, name, content) = (self.scratch.clone(), name.clone(), content.clone());
                    let tree = blocking(move || {
                        let now = Timestamp::now();
                        SpooledTree::of_file(&name, 0o644, now, content.as_bytes(), &scratch).map_err(spool_failed)
                    });
                    self.described(Arc::new(tree.await?), filter.clone(), false)?
                }
                CopySource::Remote { address: text, content } => match Address::parse(text) {
                    Some(Address::Http(address)) => {
                        let checksum = checksum.as_deref().map(Checksum::parse).transpose()?;
                        let tree = self.fetcher.take_file(&address, *content, checksum.as_ref(), with);
                        self.described(tree.await?, filter.clone(), unpacking == Unpacking::Always)?
                    }
                    Some(Address::Git(address)) => {
                        let tree = self.check_out(&address, step, with).await?;
                        let (found, _) = source::find(&tree, "/", false, &filter)?;
                        Ready {
                            found,
                            filter: filter.clone(),
                            directories: Directories::Themselves,
                            unpacks: false,
                            describes: false,
                        }
                    }
                    None => return Err(StepError::invalid(format!("{text:?} is no address"))),
                },
            });
        }
        Ok(ready)
    }

    async fn check_out(
        &self,
        address: &GitAddress,
        step: &CopyStep,
        with: &StepContext,
    ) -> Result<Arc<dyn Tree>, StepError> {
        let add = step.add.as_ref();
        let keep = add.is_some_and(|add| add.keep_git_directory);
        let checksum = add.and_then(|add| add.checksum.as_deref());
        self.fetcher.check_out(address, keep, checksum, with).await
    }

    fn described(&self, tree: Arc<SpooledTree>, filter: Filter, unpacks: bool) -> Result<Ready, StepError> {
        let name = tree
            .nodes()
            .last()
            .map(|node| node.entry.path.clone())
            .unwrap_or_default();
        let tree: Arc<dyn Tree> = tree;
        let entry = tree.entry(&name).map_err(spool_failed)?;
        let entry = entry.ok_or_else(|| StepError::invalid("a file without a name"))?;
        let name = path::bytes(&name).to_vec();
        Ok(Ready {
            found: vec![Found { tree, entry, name }],
            filter,
            directories: Directories::Content,
            unpacks,
            describes: true,
        })
    }
}

impl Ready {
    /// Puts one of its places into a root filesystem.
    pub(super) fn apply(
        &self,
        target: &mut Target,
        found: &Found,
        destination: &str,
        changing: &Changing,
        number: u64,
        scratch: &Scratch,
    ) -> Result<(), StepError> {
        if self.unpacks && matches!(found.entry.kind, EntryKind::File { .. }) {
            let open = || {
                let opened = found.tree.open(&found.entry.path);
                opened.map_err(|error| unreadable(&found.name, error))
            };
            if is_archive(open()?) {
                let archive = SpooledTree::read(open()?, scratch).map_err(|error| match error {
                    TreeError::Refused { reason, .. } => StepError::invalid(reason),
                    error => unreadable(&found.name, error),
                })?;
                return transfer::unpack(target, &Arc::new(archive), destination, changing.owner, number);
            }
        }
        let owner = changing.owner.or(self.describes.then_some((0, 0)));
        let changing = Changing {
            owner,
            mode: changing.mode.clone(),
        };
        let directories = self.directories;
        transfer::copy(target, found, &self.filter, destination, &changing, directories, number)
    }
}

/// Checks that a checksum is asked of something that has one.
pub(super) fn checksum_of(step: &CopyStep) -> Result<Option<String>, StepError> {
    let checksum = step.add.as_ref().and_then(|add| add.checksum.clone());
    let is_remote = |source: &CopySource| matches!(source, CopySource::Remote { .. });
    if checksum.is_some() && !step.sources.iter().all(is_remote) {
        return Err(StepError::invalid("checksum requires HTTP(S) or Git sources"));
    }
    if checksum.is_some() && step.sources.len() > 1 {
        return Err(StepError::invalid("checksum can't be specified for multiple sources"));
    }
    Ok(checksum)
}

/// Says, in BuildKit's words, that only ADD takes addresses.
fn no_address(text: &str) -> StepError {
    StepError::invalid(match Address::parse(text) {
        Some(Address::Git(_)) => "source can't be a git ref for COPY",
        _ => "source can't be a URL for COPY",
    })
}
