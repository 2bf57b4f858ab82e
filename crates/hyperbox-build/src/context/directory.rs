// SPDX-License-Identifier: MIT
//! The tree of a directory: a checkout, a directory of this machine, or the root of layers that are mounted for nobody else.
//!
//! Everything goes through one descriptor of the root; no path leaves it and no link is followed (`openat2(2)`,
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`). Nothing is opened but directories and plain files. One directory's entries are held at a
//! time on each level of a walk, and no descriptor.
//!
//! **An unchanged file costs one `fstatat(2)`**: a walk looks at all entries of a directory while it has that open, and what it sees
//! (device, inode, length, times) tells the digest and that there are no attributes. Whatever is not known so is opened.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyperbox_core::time::Timestamp;
use hyperbox_dockerfile::Ignore;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::digests::FileIdentity;
use super::path::{as_path, bytes, join};
use super::scratch::ScratchDirectory;
use super::{DigestCache, Entry, EntryKind, FileReader, Scope, Tree, TreeError, TreePlace};

/// A file that changed this recently may change again without its times telling (nanoseconds).
const SETTLED: i64 = 2_000_000_000;

/// Whom files of a tree belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owners {
    /// Whom they belong to on disk.
    Kept,
    /// Root: the ids of whoever runs a build mean nothing in an image.
    Root,
}

/// The tree of a directory.
#[derive(Debug)]
pub(crate) struct DirectoryTree {
    root: OwnedFd,
    place: TreePlace,
    scope: Scope,
    owners: Owners,
    ignore: Option<Ignore>,
    digests: DigestCache,
    /// Removed with the tree.
    _scratch: Option<ScratchDirectory>,
}

impl DirectoryTree {
    /// Makes the tree of what `root` is open on.
    pub(crate) fn new(root: OwnedFd, place: TreePlace, owners: Owners, digests: DigestCache) -> Self {
        let scope = match &place {
            TreePlace::Directory(_) => Scope::Local,
            TreePlace::Layers(layers) => Scope::Layers(Arc::new(layers.clone())),
        };
        Self {
            root,
            place,
            scope,
            owners,
            ignore: None,
            digests,
            _scratch: None,
        }
    }

    /// Opens a directory of this machine.
    ///
    /// # Errors
    /// I/O classes.
    pub(crate) fn open(directory: &Path, owners: Owners, digests: DigestCache) -> Result<Self, TreeError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(directory, flags, Mode::empty());
        let root = root.map_err(|error| failed("open", directory, error))?;
        let place = TreePlace::Directory(directory.to_path_buf());
        Ok(Self::new(root, place, owners, digests))
    }

    /// Leaves out what `.dockerignore` says.
    pub(crate) fn without(mut self, ignore: Ignore) -> Self {
        self.ignore = Some(ignore);
        self
    }

    /// Removes a directory with the tree.
    pub(crate) fn owning(mut self, scratch: ScratchDirectory) -> Self {
        self._scratch = Some(scratch);
        self
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let bounds = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        // `EAGAIN` means that something was renamed meanwhile anywhere on the machine.
        for _ in 0..64 {
            match rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), bounds) {
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    fn is_ignored(&self, path: &Path) -> bool {
        let ignored = |ignore: &Ignore| ignore.excludes(&path.to_string_lossy());
        self.ignore.as_ref().is_some_and(ignored)
    }

    fn look(&self, path: &Path) -> Result<Option<Entry>, TreeError> {
        // A link itself is wanted, of which `RESOLVE_NO_SYMLINKS` says `ELOOP` unless asked with these flags.
        match self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
            Err(error) => Err(failed("look at", path, error)),
            Ok(file) => self.describe(path, &file),
        }
    }

    /// Describes what was seen a moment ago without opening it, if everything is known that cannot be seen.
    fn recognise(&self, path: &Path, stat: &Stat) -> Option<Entry> {
        let is_file = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => true,
            FileType::Directory => false,
            _ => return None,
        };
        let known = self.digests.get(&self.local_identity(stat)?);
        if !known.is_bare {
            return None;
        }
        let kind = kind(stat, || Err(failed("read the link", path, Errno::INVAL)));
        let mut entry = self.entry_of(path, kind.ok().flatten()?, stat);
        entry.digest = known.digest.filter(|_| is_file);
        Some(entry)
    }

    fn entry_of(&self, path: &Path, kind: EntryKind, stat: &Stat) -> Entry {
        let (uid, gid) = match self.owners {
            Owners::Kept => (stat.st_uid, stat.st_gid),
            Owners::Root => (0, 0),
        };
        Entry {
            path: path.to_path_buf(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid,
            gid,
            modified_at: moment(stat.st_mtime, stat.st_mtime_nsec as i64),
            attributes: BTreeMap::new(),
            digest: None,
        }
    }

    fn describe(&self, path: &Path, file: &OwnedFd) -> Result<Option<Entry>, TreeError> {
        let stat = rustix::fs::fstat(file).map_err(|error| failed("look at", path, error))?;
        let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
        let target = || {
            let text = rustix::fs::readlinkat(file, "", Vec::new());
            text.map_err(|error| failed("read the link", path, error))
        };
        let Some(kind) = kind(&stat, target)? else {
            return Ok(None);
        };
        let attributes = match kind {
            EntryKind::File { .. } | EntryKind::Directory => {
                attributes(&itself).map_err(|error| failed("read the attributes of", path, error))?
            }
            _ => BTreeMap::new(),
        };
        let whiteout = EntryKind::CharacterDevice { major: 0, minor: 0 };
        if kind == whiteout && matches!(self.scope, Scope::Layers(_)) {
            return Ok(None);
        }
        if attributes.is_empty()
            && let Some(identity) = self.local_identity(&stat)
        {
            self.digests.insert_bare(identity);
        }
        let mut entry = self.entry_of(path, kind, &stat);
        entry.attributes = attributes;
        Ok(Some(entry))
    }

    /// Lists a directory's entries by name, the last first, with what is seen of each.
    fn list(&self, directory: &Path) -> Result<Vec<Seen>, TreeError> {
        let failure = |error| failed("list", directory, error);
        let opened = match self.resolve(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            result => result.map_err(failure)?,
        };
        let mut seen = Vec::new();
        for entry in Dir::read_from(&opened).map_err(failure)? {
            let entry = entry.map_err(failure)?;
            let name = entry.file_name();
            if name.to_bytes() != b"." && name.to_bytes() != b".." {
                let path = as_path(&join(bytes(directory), name.to_bytes()));
                // What went meanwhile is found to be gone when it is looked at.
                let stat = rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW).ok();
                seen.push(Seen { path, stat });
            }
        }
        seen.sort_unstable_by(|one, other| bytes(&other.path).cmp(bytes(&one.path)));
        Ok(seen)
    }

    fn open_file(&self, path: &Path) -> Result<File, TreeError> {
        let opened = self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW);
        let file = match opened {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                return Err(TreeError::NotFound {
                    path: path.to_path_buf(),
                });
            }
            result => result.map_err(|error| failed("open", path, error))?,
        };
        let stat = rustix::fs::fstat(&file).map_err(|error| failed("look at", path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(TreeError::Refused {
                path: path.to_path_buf(),
                reason: "not a file".to_owned(),
            });
        }
        // The descriptor is of the plain file that was looked at: opening it blocks on nothing.
        let opened = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        opened.map_err(|source| TreeError::Io {
            operation: "open",
            path: path.to_path_buf(),
            source,
        })
    }

    fn identity(&self, path: &Path, stat: &Stat) -> Option<FileIdentity> {
        if let Scope::Layers(layers) = &self.scope {
            return Some(FileIdentity::Layered {
                layers: Arc::clone(layers),
                path: path.to_path_buf(),
            });
        }
        self.local_identity(stat)
    }

    /// Returns what a file of a directory is known by; `None` for one of layers and for one that changed just now.
    fn local_identity(&self, stat: &Stat) -> Option<FileIdentity> {
        if matches!(self.scope, Scope::Layers(_)) {
            return None;
        }
        let changed = moment(stat.st_ctime, stat.st_ctime_nsec as i64);
        let settled = Timestamp::now().0.saturating_sub(changed.0) > SETTLED;
        settled.then(|| FileIdentity::Local {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
        })
    }
}

impl Tree for DirectoryTree {
    fn entry(&self, path: &Path) -> Result<Option<Entry>, TreeError> {
        if !path.as_os_str().is_empty() && self.is_ignored(path) {
            // A directory that is left out is there for what is not.
            let taken_back = |ignore: &Ignore| ignore.may_take_back_below(&path.to_string_lossy());
            if !self.ignore.as_ref().is_some_and(taken_back) {
                return Ok(None);
            }
            let found = self.look(path)?.filter(|entry| entry.kind == EntryKind::Directory);
            let Some(entry) = found else { return Ok(None) };
            let shown = self.walk(path)?.next().is_some();
            return Ok(shown.then_some(entry));
        }
        self.look(path)
    }

    fn walk(&self, path: &Path) -> Result<Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + '_>, TreeError> {
        Ok(Box::new(Walk {
            tree: self,
            waiting: vec![Seen {
                path: path.to_path_buf(),
                stat: None,
            }],
            unshown: Vec::new(),
            ready: None,
        }))
    }

    fn left_out(&self) -> Option<&Ignore> {
        self.ignore.as_ref()
    }

    fn open(&self, path: &Path) -> Result<FileReader, TreeError> {
        if self.is_ignored(path) {
            return Err(TreeError::NotFound {
                path: path.to_path_buf(),
            });
        }
        Ok(Box::new(self.open_file(path)?))
    }

    fn digest(&self, entry: &Entry) -> Result<[u8; 32], TreeError> {
        if let Some(known) = entry.digest {
            return Ok(known);
        }
        let mut file = self.open_file(&entry.path)?;
        let stat = rustix::fs::fstat(file.as_fd()).map_err(|error| failed("look at", &entry.path, error))?;
        let identity = self.identity(&entry.path, &stat);
        if let Some(known) = identity.as_ref().and_then(|identity| self.digests.get(identity).digest) {
            return Ok(known);
        }
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = file.read(&mut buffer).map_err(|source| TreeError::Io {
                operation: "read",
                path: entry.path.clone(),
                source,
            })?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        if let Some(identity) = identity {
            self.digests.insert(identity, digest);
        }
        Ok(digest)
    }

    fn place(&self) -> Result<TreePlace, TreeError> {
        Ok(self.place.clone())
    }
}

/// Something in a directory, and what was seen of it while that was open.
struct Seen {
    path: PathBuf,
    stat: Option<Stat>,
}

/// Depth first; directories that are left out are held back until something below them is not.
struct Walk<'t> {
    tree: &'t DirectoryTree,
    waiting: Vec<Seen>,
    unshown: Vec<Entry>,
    ready: Option<std::vec::IntoIter<Entry>>,
}

impl Walk<'_> {
    fn step(&mut self) -> Result<Option<Entry>, TreeError> {
        loop {
            if let Some(entry) = self.ready.as_mut().and_then(Iterator::next) {
                return Ok(Some(entry));
            }
            let Some(Seen { path, stat }) = self.waiting.pop() else {
                return Ok(None);
            };
            self.unshown.retain(|above| path.starts_with(&above.path));
            let is_ignored = !path.as_os_str().is_empty() && self.tree.is_ignored(&path);
            let may_hold = |ignore: &Ignore| ignore.may_take_back_below(&path.to_string_lossy());
            if is_ignored && !self.tree.ignore.as_ref().is_some_and(may_hold) {
                continue;
            }
            let recognised = stat.and_then(|stat| self.tree.recognise(&path, &stat));
            let entry = match recognised {
                Some(entry) => entry,
                None => match self.tree.look(&path)? {
                    Some(entry) => entry,
                    None => continue,
                },
            };
            let is_directory = entry.kind == EntryKind::Directory;
            if is_directory {
                self.waiting.extend(self.tree.list(&path)?);
            }
            if !is_ignored {
                let mut entries = std::mem::take(&mut self.unshown);
                entries.push(entry);
                self.ready = Some(entries.into_iter());
            } else if is_directory {
                self.unshown.push(entry);
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.waiting.clear();
            self.ready = None;
        }
        step.transpose()
    }
}

fn kind(
    stat: &Stat,
    target: impl FnOnce() -> Result<std::ffi::CString, TreeError>,
) -> Result<Option<EntryKind>, TreeError> {
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            identity: (stat.st_nlink > 1).then_some(stat.st_ino),
        },
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink {
            target: as_path(target()?.to_bytes()),
        },
        FileType::CharacterDevice => EntryKind::CharacterDevice { major, minor },
        FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
        FileType::Fifo => EntryKind::Pipe,
        FileType::Socket | FileType::Unknown => return Ok(None),
    }))
}

fn attributes(itself: &str) -> Result<BTreeMap<OsString, Vec<u8>>, Errno> {
    let mut names = vec![0; 4096];
    let length = match rustix::fs::listxattr(itself, &mut names) {
        Err(Errno::OPNOTSUPP) => return Ok(BTreeMap::new()),
        Err(Errno::RANGE) => {
            // The most that Linux allows (xattr(7)).
            names.resize(64 * 1024, 0);
            rustix::fs::listxattr(itself, &mut names)?
        }
        result => result?,
    };
    let mut found = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0) {
        if !super::keeps_attribute(name) {
            continue;
        }
        let mut value = vec![0; 64 * 1024];
        match rustix::fs::getxattr(itself, name, &mut value) {
            Ok(length) => {
                value.truncate(length);
                found.insert(OsString::from_vec(name.to_vec()), value);
            }
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn moment(seconds: i64, nanoseconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
}

fn failed(operation: &'static str, path: &Path, error: Errno) -> TreeError {
    TreeError::Io {
        operation,
        path: path.to_path_buf(),
        source: error.into(),
    }
}
