// SPDX-License-Identifier: MIT
//! EROFS images that hold only metadata, beside the files that hold the data: a writer and a reader.
//!
//! An *index* is an EROFS image of 512-byte blocks with the tree of a filesystem: names, attributes, links, devices. The data of its
//! regular files stay where they are, usually in an uncompressed tar, which the kernel is given as a further device when it mounts
//! the index (`mount -t erofs -o device=TAR INDEX DIR`). This works because a member's data begin at a multiple of 512 in a tar.
//!
//! - `builder` — [`Builder`]: a tree is made entry by entry, as an archive lists them, and [`finish`](Builder::finish)ed into an index;
//! - `model` — what an entry is: [`Metadata`], [`Node`], [`Extent`], [`Device`], [`Limits`];
//! - `tree`, `path`, `attributes`, `extents` — what the builder holds meanwhile, and the checks of what comes in;
//! - `plan` — where each inode and each block goes: pure;
//! - `write` — the bytes, in their order;
//! - `layout` — each structure on disk: pure encoders and decoders ([`format`](mod@format) describes the whole);
//! - `read` — [`Image`]: looks into any uncompressed EROFS image, its own or another's, and believes nothing in it.
//!
//! **Trust.** Paths, metadata and images may be hostile: they give errors, never a panic, an endless loop or memory without bound.
//!
//! **Sameness.** The same tree gives the same bytes, in whichever order it was made; the image's UUID follows from its content.
//!
//! **Crashes.** The superblock is written last: an index that was cut off has none and is never mistaken for a whole one.
#![forbid(unsafe_code)]

mod attributes;
mod builder;
mod error;
mod extents;
pub mod format;
mod layout;
mod model;
mod path;
mod plan;
mod read;
mod tree;
mod write;

pub use builder::Builder;
pub use error::{BuildError, Fault, ImageError};
pub use layout::xattr::is_supported_xattr;
pub use model::{
    BLOCK_SIZE, Device, DeviceNumber, Extent, Kind, Limits, Metadata, Node, Options, Summary, Timestamp, Xattr,
};
pub use read::{DirectoryEntry, Image, InodeInfo, ReadAt, Walk, WalkEntry};
