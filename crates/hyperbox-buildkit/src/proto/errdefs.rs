// SPDX-License-Identifier: MIT
//! `solver/errdefs/errdefs.proto`, as details of errors: BuildKit sends them as JSON of its Go structures, named by a path and the name
//! of the message (`util/grpcerrors`, `containerd/typeurl`).

use serde::Serialize;

/// What [`Source`] is called as a detail.
pub(crate) const SOURCE: &str = "github.com/moby/buildkit/errdefs.Source+json";

/// `errdefs.Source`: where in a file the cause of an error is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Source<'a> {
    pub(crate) info: SourceInfo<'a>,
    pub(crate) ranges: Vec<Range>,
}

/// `pb.SourceInfo`; the data in base64, as Go writes bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SourceInfo<'a> {
    pub(crate) filename: &'a str,
    pub(crate) data: String,
    pub(crate) language: &'a str,
}

/// `pb.Range`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Range {
    pub(crate) start: Position,
    pub(crate) end: Position,
}

/// `pb.Position`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Position {
    pub(crate) line: i32,
}
