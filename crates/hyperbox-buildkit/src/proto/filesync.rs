// SPDX-License-Identifier: MIT
//! Messages of `moby.filesync.v1.FileSync` and `FileSend`, with field numbers from `types/wire.proto` and `types/stat.proto` of
//! tonistiigi/fsutil and `session/filesync/filesync.proto` of moby/buildkit v0.25.
//!
//! Names of files are bytes here, which is the same on the wire as a string: a file of Linux need not have a name in UTF-8.

use std::collections::BTreeMap;

use bytes::Bytes;

/// What a [`Packet`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum PacketKind {
    /// The sender tells of a file; without `stat`, of the end of the list.
    Stat = 0,
    /// The receiver asks for the bytes of a file.
    Request = 1,
    /// The sender gives bytes of a file; none at its end.
    Data = 2,
    /// Nothing more is wanted.
    Finish = 3,
    /// It failed; the text is in `data`.
    Failure = 4,
}

/// A packet of a transfer of files.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Packet {
    #[prost(enumeration = "PacketKind", tag = "1")]
    pub(crate) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) stat: Option<Stat>,
    /// A file's place in the list, from zero.
    #[prost(uint32, tag = "3")]
    pub(crate) id: u32,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) data: Bytes,
}

/// What a sender tells of a file.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Stat {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) path: Vec<u8>,
    /// Go's `fs.FileMode`.
    #[prost(uint32, tag = "2")]
    pub(crate) mode: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) uid: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) gid: u32,
    #[prost(int64, tag = "5")]
    pub(crate) size: i64,
    /// Nanoseconds since the epoch.
    #[prost(int64, tag = "6")]
    pub(crate) modified: i64,
    /// Where a symbolic link leads, or the earlier name of a file with several.
    #[prost(bytes = "vec", tag = "7")]
    pub(crate) link: Vec<u8>,
    #[prost(int64, tag = "8")]
    pub(crate) device_major: i64,
    #[prost(int64, tag = "9")]
    pub(crate) device_minor: i64,
    #[prost(btree_map = "string, bytes", tag = "10")]
    pub(crate) attributes: BTreeMap<String, Vec<u8>>,
}

/// Bytes of a stream: `BytesMessage` of `filesync`, `sshforward` and `upload`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Piece {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) data: Bytes,
}
