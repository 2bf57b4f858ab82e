// SPDX-License-Identifier: MIT
//! What callers say about a filesystem: entries, their data, and the devices that hold the data.

/// Bytes in a block of an index: what a tar's members are aligned to. Extents of data are whole blocks of it.
pub const BLOCK_SIZE: u64 = 512;

/// A moment: seconds since the epoch, and nanoseconds after that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Seconds since the epoch; negative before it.
    pub seconds: i64,
    /// Nanoseconds after that second, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// The numbers of a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct DeviceNumber {
    /// Below 4096: what Linux has.
    pub major: u32,
    /// Below 1,048,576: what Linux has.
    pub minor: u32,
}

impl DeviceNumber {
    /// What overlay takes for a whiteout when it is a character device's.
    pub const WHITEOUT: Self = Self { major: 0, minor: 0 };
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xattr {
    /// Its whole name, as `trusted.overlay.opaque`. [`is_supported_xattr`](crate::is_supported_xattr) tells which names EROFS can hold.
    pub name: Vec<u8>,
    /// Its value, at most 65,535 bytes.
    pub value: Vec<u8>,
}

/// What every inode has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky. Other bits are ignored: the [`Node`] tells the kind. Symbolic links always get
    /// 0777, as Linux says of them everywhere.
    pub permissions: u16,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// The time of the last modification. EROFS has no other times.
    pub modified: Timestamp,
    /// Extended attributes. Of several with one name, the last counts.
    pub xattrs: Vec<Xattr>,
}

impl Metadata {
    /// A directory that nothing describes, as extractors of archives make it: mode 0755, of root, at the epoch.
    #[must_use]
    pub fn implied_directory() -> Self {
        Self {
            permissions: 0o755,
            ..Self::default()
        }
    }
}

/// A run of a file's data on a device. What lies between extents is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Where in the file, in bytes: a multiple of [`BLOCK_SIZE`].
    pub file_offset: u64,
    /// How many bytes: a multiple of [`BLOCK_SIZE`], unless the file ends with it.
    pub length: u64,
    /// Which device: 1 for the first one given to [`finish`](crate::Builder::finish).
    pub device: u16,
    /// Where on the device, in bytes: a multiple of [`BLOCK_SIZE`] below 2 TiB.
    pub device_offset: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory. One that is there already keeps its entries and gets the new metadata.
    Directory,
    /// A file whose data lie on devices.
    Regular {
        /// Its length in bytes, at most `i64::MAX`.
        size: u64,
        /// Its data, in ascending order, without overlaps.
        extents: Vec<Extent>,
    },
    /// A file whose data are kept in the index itself: for small ones that are on no device.
    Inline(Vec<u8>),
    /// A symbolic link: 1 to 4095 bytes without NUL.
    Symlink(Vec<u8>),
    /// A character device. [`DeviceNumber::WHITEOUT`] is a whiteout to overlay.
    CharacterDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Node {
    /// A file of `size` bytes that lie one after the other on the first device.
    #[must_use]
    pub fn contiguous(size: u64, device_offset: u64) -> Self {
        let extent = Extent {
            file_offset: 0,
            length: size,
            device: 1,
            device_offset,
        };
        Self::Regular {
            size,
            extents: if size == 0 { Vec::new() } else { vec![extent] },
        }
    }
}

/// The kind of an entry that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// A file that holds data: the layer's tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its length in bytes. Data must lie in whole blocks of it, also where a file ends within one: of a partial block, kernels read
    /// nothing when they read directly (`directio`). Tars are filled up to whole blocks; one that was cut off must be, too.
    pub size: u64,
    /// What it is called in the index, at most 64 bytes, usually a digest in hexadecimal. Mounting with `device=` does not look at it.
    pub tag: Vec<u8>,
}

/// How much a [`Builder`](crate::Builder) takes. What is beyond gives [`BuildError::Limit`](crate::BuildError::Limit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many inodes are made, replaced ones and implied directories included.
    pub inodes: u64,
    /// How many bytes of names, link targets, extended attributes, extents and inline data are held in memory, replaced ones included.
    pub held: u64,
    /// How many chunks all files have together; each costs 8 bytes in the index. A file without holes has one for each TiB, a sparse
    /// one as many as its finest hole demands.
    pub chunks: u64,
}

impl Default for Limits {
    /// 64 million inodes, 4 GiB held, 32 million chunks (256 MiB of index).
    fn default() -> Self {
        Self {
            inodes: 64 << 20,
            held: 4 << 30,
            chunks: 32 << 20,
        }
    }
}

/// How a [`Builder`](crate::Builder) works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// How much it takes.
    pub limits: Limits,
}

/// What an index is, once it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Its length in bytes.
    pub size: u64,
    /// How many inodes it has, directories included.
    pub inodes: u64,
    /// How many names it has, without `.` and `..`.
    pub names: u64,
    /// Bytes of file data that it refers to on devices: holes and inline data do not count.
    pub mapped: u64,
    /// What identifies it; follows from its content and its devices.
    pub uuid: [u8; 16],
}
