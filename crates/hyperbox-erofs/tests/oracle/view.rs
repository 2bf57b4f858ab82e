// SPDX-License-Identifier: MIT
//! What a tree looks like to programs: everything that can be asked of each path.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt::{self, Debug};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hyperbox_erofs::{Image, Kind, ReadAt, Xattr};

/// One path.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: (i64, i64),
    pub(crate) links: u64,
    pub(crate) device: u64,
    /// Of files and links.
    pub(crate) size: u64,
    /// A link's target, or a file's content: the whole of a short one, else its hash.
    pub(crate) content: Vec<u8>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The first path of the same inode.
    pub(crate) same_as: Vec<u8>,
}

impl Seen {
    pub(crate) fn is_link(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }
}

impl Debug for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |bytes: &[u8]| bytes[..bytes.len().min(80)].escape_ascii().to_string();
        write!(
            out,
            "{:o} {:?} at {:?}, {} links, ",
            self.mode, self.owner, self.modified, self.links
        )?;
        write!(
            out,
            "device {:x}, {} bytes {}",
            self.device,
            self.size,
            short(&self.content)
        )?;
        let xattrs = self
            .xattrs
            .iter()
            .map(|(name, value)| format!("{}={}", short(name), short(value)));
        write!(
            out,
            ", [{}], as {}",
            xattrs.collect::<Vec<_>>().join(" "),
            short(&self.same_as)
        )
    }
}

pub(crate) type View = BTreeMap<Vec<u8>, Seen>;

/// Looks at a tree of the system.
pub(crate) fn of_directory(root: &Path) -> View {
    let mut view = View::new();
    let mut inodes = HashMap::new();
    look(root, PathBuf::new(), &mut view, &mut inodes);
    view
}

fn look(root: &Path, path: PathBuf, view: &mut View, inodes: &mut HashMap<u64, Vec<u8>>) {
    let full = root.join(&path);
    let metadata = fs::symlink_metadata(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()));
    let kind = metadata.file_type();
    let name = path.as_os_str().as_bytes().to_vec();
    let content = if kind.is_symlink() {
        fs::read_link(&full).unwrap().into_os_string().as_bytes().to_vec()
    } else if kind.is_file() {
        digest(fs::read(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display())))
    } else {
        Vec::new()
    };
    let seen = Seen {
        mode: metadata.mode(),
        owner: (metadata.uid(), metadata.gid()),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        links: metadata.nlink(),
        device: metadata.rdev(),
        size: if kind.is_file() || kind.is_symlink() {
            metadata.len()
        } else {
            0
        },
        content,
        xattrs: xattrs(&full),
        same_as: inodes.entry(metadata.ino()).or_insert_with(|| name.clone()).clone(),
    };
    view.insert(name, seen);
    if kind.is_dir() {
        let mut names: Vec<_> = fs::read_dir(&full)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort_unstable();
        for name in names {
            look(root, path.join(name), view, inodes);
        }
    }
}

/// A short content itself; of a long one, its length and two sums that any change of a byte or of the order changes.
pub(crate) fn digest(content: Vec<u8>) -> Vec<u8> {
    if content.len() <= 4096 {
        return content;
    }
    let (mut sum, mut weighted) = (0_u64, 0_u64);
    for byte in &content {
        sum = sum.wrapping_mul(0x0100_0000_01B3).wrapping_add(u64::from(*byte) + 1);
        weighted = weighted.rotate_left(7) ^ sum;
    }
    format!("{} bytes, {sum:x} {weighted:x}", content.len()).into_bytes()
}

fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap();
    let mut value = vec![0; 64 << 10];
    let mut xattrs: Vec<_> = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value).unwrap();
            (name.to_vec(), value[..length].to_vec())
        })
        .collect();
    xattrs.sort_unstable();
    xattrs
}

/// Looks into an image with the reader; `devices` hold the data.
pub(crate) fn of_image<R: ReadAt + Debug>(image: &Image<R>, devices: &[&[u8]]) -> View {
    let mut view = View::new();
    let mut inodes = HashMap::new();
    for entry in image.walk() {
        let entry = entry.unwrap();
        let inode = &entry.inode;
        let (kind, device) = match inode.kind {
            Kind::Directory => (0o040_000, 0),
            Kind::Regular => (0o100_000, 0),
            Kind::Symlink => (0o120_000, 0),
            Kind::CharacterDevice(number) => (0o020_000, rustix::fs::makedev(number.major, number.minor)),
            Kind::BlockDevice(number) => (0o060_000, rustix::fs::makedev(number.major, number.minor)),
            Kind::Fifo => (0o010_000, 0),
            Kind::Socket => (0o140_000, 0),
        };
        let (size, content) = match inode.kind {
            Kind::Symlink => (inode.size, image.link_target(inode).unwrap()),
            Kind::Regular => (inode.size, digest(content(image, &entry.inode, devices))),
            _ => (0, Vec::new()),
        };
        let xattrs = image.xattrs(inode).unwrap();
        let seen = Seen {
            mode: kind | u32::from(inode.permissions),
            owner: (inode.uid, inode.gid),
            modified: (inode.modified.seconds, inode.modified.nanoseconds.into()),
            links: inode.links.into(),
            device,
            size,
            content,
            xattrs: xattrs.into_iter().map(|Xattr { name, value }| (name, value)).collect(),
            same_as: inodes.entry(inode.nid).or_insert_with(|| entry.path.clone()).clone(),
        };
        view.insert(entry.path, seen);
    }
    view
}

fn content<R: ReadAt + Debug>(image: &Image<R>, inode: &hyperbox_erofs::InodeInfo, devices: &[&[u8]]) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(inode.size).unwrap()];
    for extent in image.extents(inode) {
        let extent = extent.unwrap();
        let start = usize::try_from(extent.file_offset).unwrap();
        let target = &mut content[start..][..usize::try_from(extent.length).unwrap()];
        if extent.device == 0 {
            image.source().read_exact_at(target, extent.device_offset).unwrap();
        } else {
            devices[usize::from(extent.device) - 1]
                .read_exact_at(target, extent.device_offset)
                .unwrap();
        }
    }
    content
}

/// Fails with the first differences.
pub(crate) fn assert_same(what: &str, found: &View, expected: &View) {
    let mut differences = Vec::new();
    for path in found
        .keys()
        .chain(expected.keys().filter(|path| !found.contains_key(*path)))
    {
        let (found, expected) = (found.get(path), expected.get(path));
        if found != expected {
            differences.push(format!(
                "{}:\n  found    {found:?}\n  expected {expected:?}",
                path.escape_ascii()
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{what}: {} differences\n{}",
        differences.len(),
        differences[..differences.len().min(5)].join("\n")
    );
}
