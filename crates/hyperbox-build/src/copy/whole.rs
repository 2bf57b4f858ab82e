// SPDX-License-Identifier: MIT
//! All files of a tree as an archive, with their owners and times: what `--output type=local` and `type=tar` give.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::layer::Layer;
use super::target::Target;
use crate::StepError;
use crate::context::{EntryKind, Tree, TreeError, path};

/// Reads a tree as an archive, names relative to its root, which has no entry itself. Blocks.
///
/// # Errors
/// Those of walking the tree; those of reading files are told by the reader.
pub(crate) fn archive(tree: &Arc<dyn Tree>) -> Result<Box<dyn Read + Send>, StepError> {
    let failed = |source: TreeError| StepError::Tree {
        doing: "cannot read the files of the result".to_owned(),
        source,
    };
    let mut target = Target::new(None, hyperbox_core::time::Timestamp::default());
    for entry in tree.walk(Path::new("")).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let at = entry.path.clone();
        if at.as_os_str().is_empty() {
            continue;
        }
        let (content, same) = match entry.kind {
            EntryKind::File { identity, .. } => (
                Some((Arc::clone(tree), at.clone())),
                identity.map(|identity| (0, identity)),
            ),
            _ => (None, None),
        };
        target.put(path::bytes(&at), entry, content, same)?;
    }
    Ok(Box::new(Layer::new(target.finish()?, None)))
}
