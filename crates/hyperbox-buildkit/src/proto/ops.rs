// SPDX-License-Identifier: MIT
//! `solver/pb/ops.proto`: the little of LLB that is needed to say what a file is and to hand results from one build to another.

use std::collections::HashMap;

/// `pb.Platform`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Platform {
    #[prost(string, tag = "1")]
    pub(crate) architecture: String,
    #[prost(string, tag = "2")]
    pub(crate) os: String,
    #[prost(string, tag = "3")]
    pub(crate) variant: String,
}

/// `pb.Definition`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Definition {
    /// Marshalled [`Op`]s.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) def: Vec<Vec<u8>>,
    /// By the digest of an op.
    #[prost(map = "string, message", tag = "2")]
    pub(crate) metadata: HashMap<String, OpMetadata>,
}

/// `pb.OpMetadata`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OpMetadata {
    #[prost(map = "string, bool", tag = "5")]
    pub(crate) caps: HashMap<String, bool>,
}

/// `pb.Op`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Op {
    #[prost(message, repeated, tag = "1")]
    pub(crate) inputs: Vec<Input>,
    #[prost(message, optional, tag = "3")]
    pub(crate) source: Option<SourceOp>,
}

/// `pb.Input`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Input {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
    #[prost(int64, tag = "2")]
    pub(crate) index: i64,
}

/// `pb.SourceOp`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SourceOp {
    #[prost(string, tag = "1")]
    pub(crate) identifier: String,
    #[prost(map = "string, string", tag = "2")]
    pub(crate) attrs: HashMap<String, String>,
}

/// `pb.SourceInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SourceInfo {
    #[prost(string, tag = "1")]
    pub(crate) filename: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) data: Vec<u8>,
    #[prost(string, tag = "4")]
    pub(crate) language: String,
}

/// `pb.Range`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Range {
    #[prost(message, optional, tag = "1")]
    pub(crate) start: Option<Position>,
    #[prost(message, optional, tag = "2")]
    pub(crate) end: Option<Position>,
}

/// `pb.Position`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Position {
    #[prost(int32, tag = "1")]
    pub(crate) line: i32,
    #[prost(int32, tag = "2")]
    pub(crate) character: i32,
}
