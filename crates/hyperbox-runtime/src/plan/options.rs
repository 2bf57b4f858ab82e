// SPDX-License-Identifier: MIT
//! The options of an OCI mount, as `fstab`-like words, taken apart. Pure.
//!
//! Words of the table in the OCI runtime specification ("Linux mount options") become attributes; anything else is handed to
//! the file system as data. A word of this runtime's own, for user space as `x-` says (mount(8)), names the part of a mount that is
//! meant.

use std::path::PathBuf;

use hyperbox_sys::mount_attributes::{Attributes, Change, Propagation, Reach};
use hyperbox_types::SUBPATH_OPTION;
use rustix::mount::MountFlags;

/// The parsed options of one mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountOptions {
    /// Set for `bind` (the mount alone) and `rbind` (everything below too).
    pub bind: Option<Reach>,
    /// Attributes of the mount itself.
    pub change: Change,
    /// Attributes of the mount and everything below it (`rro` and the like).
    pub tree_change: Change,
    /// Propagation, and of what.
    pub propagation: Option<(Propagation, Reach)>,
    /// Flags of the file system for `mount(2)`.
    pub flags: MountFlags,
    /// The file system's own options, joined by commas.
    pub data: String,
    /// What is meant beneath the source.
    pub subpath: Option<PathBuf>,
}

impl MountOptions {
    /// Takes the words apart. Later words override earlier ones, as in `mount(8)`.
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self {
            bind: None,
            change: Change::default(),
            tree_change: Change::default(),
            propagation: None,
            flags: MountFlags::empty(),
            data: String::new(),
            subpath: None,
        };
        for word in words {
            options.apply(word)?;
        }
        Ok(options)
    }

    fn apply(&mut self, word: &str) -> Result<(), String> {
        match word {
            "defaults" | "" | "tmpcopyup" | "norelatime" => {}
            "bind" => self.bind = Some(self.bind.unwrap_or(Reach::Mount)),
            "rbind" => self.bind = Some(Reach::Tree),
            "private" => self.propagation = Some((Propagation::Private, Reach::Mount)),
            "rprivate" => self.propagation = Some((Propagation::Private, Reach::Tree)),
            "slave" => self.propagation = Some((Propagation::Slave, Reach::Mount)),
            "rslave" => self.propagation = Some((Propagation::Slave, Reach::Tree)),
            "shared" => self.propagation = Some((Propagation::Shared, Reach::Mount)),
            "rshared" => self.propagation = Some((Propagation::Shared, Reach::Tree)),
            "unbindable" => self.propagation = Some((Propagation::Unbindable, Reach::Mount)),
            "runbindable" => self.propagation = Some((Propagation::Unbindable, Reach::Tree)),
            "idmap" | "ridmap" => return Err(format!("mount option {word:?}")),
            _ => match word.strip_prefix(SUBPATH_OPTION) {
                Some(path) => self.subpath = Some(path.into()),
                None => self.apply_attribute(word),
            },
        }
        Ok(())
    }

    fn apply_attribute(&mut self, word: &str) {
        if let Some((attributes, set)) = attribute(word) {
            change(&mut self.change, attributes, set);
        } else if let Some((flag, set)) = superblock_flag(word) {
            self.flags.set(flag, set);
        } else if let Some((attributes, set)) = word.strip_prefix('r').and_then(attribute) {
            change(&mut self.tree_change, attributes, set);
        } else {
            if !self.data.is_empty() {
                self.data.push(',');
            }
            self.data.push_str(word);
        }
    }

    /// Returns all flags for `mount(2)` of a new file system.
    pub(crate) fn mount_flags(&self) -> MountFlags {
        let pairs = [
            (Attributes::READ_ONLY, MountFlags::RDONLY),
            (Attributes::NO_SUID, MountFlags::NOSUID),
            (Attributes::NO_DEV, MountFlags::NODEV),
            (Attributes::NO_EXEC, MountFlags::NOEXEC),
            (Attributes::NO_ATIME, MountFlags::NOATIME),
            (Attributes::STRICT_ATIME, MountFlags::STRICTATIME),
            (Attributes::NO_DIR_ATIME, MountFlags::NODIRATIME),
            (Attributes::NO_SYMLINK_FOLLOW, MountFlags::from_bits_retain(256)),
        ];
        let set = self.change.set.with(self.tree_change.set);
        pairs
            .into_iter()
            .filter(|(attribute, _)| set.intersects(*attribute))
            .fold(self.flags, |flags, (_, flag)| flags | flag)
    }
}

fn change(change: &mut Change, attributes: Attributes, set: bool) {
    if attributes.intersects(Attributes::ATIME_POLICY) || (attributes.is_empty() && set) {
        // One policy replaces the other; `relatime` is the policy without bits.
        change.set = change.set.without(Attributes::ATIME_POLICY);
        change.clear = change.clear.with(Attributes::ATIME_POLICY);
        if set {
            change.set = change.set.with(attributes);
        }
    } else if set {
        change.set = change.set.with(attributes);
        change.clear = change.clear.without(attributes);
    } else {
        change.clear = change.clear.with(attributes);
        change.set = change.set.without(attributes);
    }
}

fn attribute(word: &str) -> Option<(Attributes, bool)> {
    Some(match word {
        "ro" => (Attributes::READ_ONLY, true),
        "rw" => (Attributes::READ_ONLY, false),
        "nosuid" => (Attributes::NO_SUID, true),
        "suid" => (Attributes::NO_SUID, false),
        "nodev" => (Attributes::NO_DEV, true),
        "dev" => (Attributes::NO_DEV, false),
        "noexec" => (Attributes::NO_EXEC, true),
        "exec" => (Attributes::NO_EXEC, false),
        "nodiratime" => (Attributes::NO_DIR_ATIME, true),
        "diratime" => (Attributes::NO_DIR_ATIME, false),
        "nosymfollow" => (Attributes::NO_SYMLINK_FOLLOW, true),
        "symfollow" => (Attributes::NO_SYMLINK_FOLLOW, false),
        "noatime" => (Attributes::NO_ATIME, true),
        "atime" => (Attributes::NO_ATIME, false),
        "strictatime" => (Attributes::STRICT_ATIME, true),
        "nostrictatime" => (Attributes::STRICT_ATIME, false),
        "relatime" => (Attributes::default(), true),
        _ => return None,
    })
}

fn superblock_flag(word: &str) -> Option<(MountFlags, bool)> {
    Some(match word {
        "sync" => (MountFlags::SYNCHRONOUS, true),
        "async" => (MountFlags::SYNCHRONOUS, false),
        "dirsync" => (MountFlags::DIRSYNC, true),
        "lazytime" => (MountFlags::LAZYTIME, true),
        "nolazytime" => (MountFlags::LAZYTIME, false),
        "mand" => (MountFlags::PERMIT_MANDATORY_FILE_LOCKING, true),
        "nomand" => (MountFlags::PERMIT_MANDATORY_FILE_LOCKING, false),
        "silent" => (MountFlags::SILENT, true),
        "loud" => (MountFlags::SILENT, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> MountOptions {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        MountOptions::parse(&words).unwrap()
    }

    #[test]
    fn words_are_told_apart() {
        let tmpfs = parse("nosuid noexec size=64m mode=1777 ro rw");
        assert_eq!(tmpfs.data, "size=64m,mode=1777");
        assert_eq!(tmpfs.mount_flags(), MountFlags::NOSUID | MountFlags::NOEXEC);

        let bind = parse("rbind rprivate rro nodev");
        assert_eq!(bind.bind, Some(Reach::Tree));
        assert_eq!(bind.propagation, Some((Propagation::Private, Reach::Tree)));
        assert_eq!(bind.tree_change.set, Attributes::READ_ONLY);
        assert_eq!(bind.change.set, Attributes::NO_DEV);
        assert_eq!(bind.data, "");

        let relatime = parse("noatime relatime");
        assert_eq!(relatime.change.set, Attributes::default());
        assert_eq!(relatime.change.clear, Attributes::ATIME_POLICY);

        let part = parse("rbind x-hyperbox.subpath=a/b");
        assert_eq!((part.subpath, part.data.as_str()), (Some("a/b".into()), ""));

        assert!(MountOptions::parse(&["idmap".to_owned()]).is_err());
    }
}
