// SPDX-License-Identifier: MIT
//! What survives a crash: each attachment, noted before the first plugin runs and forgotten after the last one has undone it.
//!
//! An endpoint is recorded by the engine only when it is whole, and its record is gone before its addresses are given back. In between
//! plugins have made things that nobody else knows of: addresses in files, rules of firewalls. So an attachment has an entry here from
//! before ADD until DEL has succeeded; entries that belong to no recorded endpoint are undone at the next start.
//!
//! # Layout
//! `STATE_DIR/attachments/CONTAINER.NETWORK.LINK.json`, each an [`Entry`], replaced by rename. An entry that cannot be read is removed
//! with a warning: it is a file that was torn when the machine died, and what plugins kept has the same fate.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hyperbox_types::NetworkId;
use serde::{Deserialize, Serialize};

use crate::invocation::Attachment;

const DIRECTORY: &str = "attachments";
/// A list, a result and little else.
const LARGEST: u64 = 4 * 1024 * 1024;

/// All that is needed to undo an attachment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) network: NetworkId,
    /// Name of the network; for messages.
    pub(crate) name: String,
    /// The text of the list.
    pub(crate) list: String,
    pub(crate) plugin_dirs: Vec<PathBuf>,
    pub(crate) attachment: Attachment,
}

/// The directory of entries. All methods block.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    directory: PathBuf,
}

impl Journal {
    /// Makes the directory if it is missing.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Self> {
        let directory = state_dir.join(DIRECTORY);
        std::fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// Writes an entry in place of the one for the same container, network and link.
    pub(crate) fn write(&self, entry: &Entry) -> io::Result<()> {
        let path = self.path(&entry.network, &entry.attachment);
        let temporary = path.with_extension("new");
        let bytes = serde_json::to_vec(entry)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        std::fs::rename(temporary, path)
    }

    /// Removes the entry of an attachment, unless a later one of the same name has taken its place.
    pub(crate) fn remove(&self, network: &NetworkId, attachment: &Attachment) -> io::Result<()> {
        let path = self.path(network, attachment);
        if read(&path).is_ok_and(|entry| entry.attachment.serial != attachment.serial) {
            return Ok(());
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads all entries, and removes what is none.
    pub(crate) fn read_all(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for file in std::fs::read_dir(&self.directory)? {
            let path = file?.path();
            match read(&path) {
                Ok(entry) if self.path(&entry.network, &entry.attachment) == path => entries.push(entry),
                other => {
                    let problem = other
                        .err()
                        .map_or_else(|| "it has the wrong name".to_owned(), |error| error.to_string());
                    tracing::warn!(path = %path.display(), problem, "removed a note of an attachment that cannot be used");
                    std::fs::remove_file(&path)?;
                }
            }
        }
        Ok(entries)
    }

    fn path(&self, network: &NetworkId, attachment: &Attachment) -> PathBuf {
        let (container, link) = (&attachment.container, &attachment.link);
        self.directory.join(format!("{container}.{network}.{link}.json"))
    }
}

fn read(path: &Path) -> io::Result<Entry> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    let entry: Entry = serde_json::from_slice(&bytes)?;
    if !crate::endpoint::is_link_name(&entry.attachment.link) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the link's name is invalid"));
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use hyperbox_types::ContainerId;
    use serde_json::Map;

    use super::*;
    use crate::namespace::Namespace;

    fn entry(serial: &str) -> Entry {
        let namespace = Namespace::of(File::open("/proc/self/ns/net").unwrap()).unwrap();
        Entry {
            network: NetworkId::from_bytes([1; 32]),
            name: "n".to_owned(),
            list: "{}".to_owned(),
            plugin_dirs: vec![PathBuf::from("/usr/lib/cni")],
            attachment: Attachment {
                container: ContainerId::from_bytes([2; 32]),
                link: "eth0".to_owned(),
                serial: serial.to_owned(),
                namespace: namespace.path(),
                identity: namespace.identity(),
                capabilities: Map::new(),
                arguments: String::new(),
                result: None,
            },
        }
    }

    #[test]
    fn entries_are_replaced_and_removed_by_who_wrote_them() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        let (old, new) = (entry("1"), entry("2"));
        journal.write(&old).unwrap();
        journal.write(&new).unwrap();
        assert_eq!(journal.read_all().unwrap(), std::slice::from_ref(&new));
        journal.remove(&old.network, &old.attachment).unwrap();
        assert_eq!(journal.read_all().unwrap().len(), 1, "a later attachment stays");
        journal.remove(&new.network, &new.attachment).unwrap();
        journal.remove(&new.network, &new.attachment).unwrap();
        assert_eq!(journal.read_all().unwrap(), []);
    }

    #[test]
    fn what_is_no_entry_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        journal.write(&entry("1")).unwrap();
        let attachments = directory.path().join(DIRECTORY);
        std::fs::write(attachments.join("torn.json"), "{\"network\": ").unwrap();
        std::fs::write(attachments.join("other.json"), serde_json::to_vec(&entry("3")).unwrap()).unwrap();
        assert_eq!(journal.read_all().unwrap(), [entry("1")]);
        assert_eq!(std::fs::read_dir(attachments).unwrap().count(), 1);
    }
}
