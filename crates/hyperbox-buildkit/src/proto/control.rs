// SPDX-License-Identifier: MIT
//! `api/services/control/control.proto`: the service `moby.buildkit.v1.Control`.

use std::collections::HashMap;

use super::ops::{Definition, Range, SourceInfo};
use super::rpc::{Status, Timestamp};
use super::worker::{BuildkitVersion, WorkerRecord};

/// `PruneRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PruneRequest {
    #[prost(string, repeated, tag = "1")]
    pub(crate) filter: Vec<String>,
    #[prost(bool, tag = "2")]
    pub(crate) all: bool,
    /// Nanoseconds.
    #[prost(int64, tag = "3")]
    pub(crate) keep_duration: i64,
    #[prost(int64, tag = "4")]
    pub(crate) reserved_space: i64,
    #[prost(int64, tag = "5")]
    pub(crate) max_used_space: i64,
    #[prost(int64, tag = "6")]
    pub(crate) min_free_space: i64,
}

/// `DiskUsageRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DiskUsageRequest {
    #[prost(string, repeated, tag = "1")]
    pub(crate) filter: Vec<String>,
}

/// `DiskUsageResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DiskUsageResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) record: Vec<UsageRecord>,
}

/// `UsageRecord`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UsageRecord {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(bool, tag = "2")]
    pub(crate) mutable: bool,
    #[prost(bool, tag = "3")]
    pub(crate) in_use: bool,
    #[prost(int64, tag = "4")]
    pub(crate) size: i64,
    #[prost(message, optional, tag = "6")]
    pub(crate) created_at: Option<Timestamp>,
    #[prost(message, optional, tag = "7")]
    pub(crate) last_used_at: Option<Timestamp>,
    #[prost(int64, tag = "8")]
    pub(crate) usage_count: i64,
    #[prost(string, tag = "9")]
    pub(crate) description: String,
    #[prost(string, tag = "10")]
    pub(crate) record_type: String,
    #[prost(bool, tag = "11")]
    pub(crate) shared: bool,
}

/// `SolveRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SolveRequest {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) definition: Option<Definition>,
    #[prost(string, tag = "3")]
    pub(crate) exporter_deprecated: String,
    #[prost(map = "string, string", tag = "4")]
    pub(crate) exporter_attrs_deprecated: HashMap<String, String>,
    #[prost(string, tag = "5")]
    pub(crate) session: String,
    #[prost(string, tag = "6")]
    pub(crate) frontend: String,
    #[prost(map = "string, string", tag = "7")]
    pub(crate) frontend_attrs: HashMap<String, String>,
    #[prost(message, optional, tag = "8")]
    pub(crate) cache: Option<CacheOptions>,
    #[prost(string, repeated, tag = "9")]
    pub(crate) entitlements: Vec<String>,
    #[prost(bool, tag = "11")]
    pub(crate) internal: bool,
    #[prost(message, repeated, tag = "13")]
    pub(crate) exporters: Vec<Exporter>,
}

/// `CacheOptions`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CacheOptions {
    #[prost(message, repeated, tag = "4")]
    pub(crate) exports: Vec<CacheOptionsEntry>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) imports: Vec<CacheOptionsEntry>,
}

/// `CacheOptionsEntry`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CacheOptionsEntry {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(map = "string, string", tag = "2")]
    pub(crate) attrs: HashMap<String, String>,
}

/// `Exporter`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Exporter {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(map = "string, string", tag = "2")]
    pub(crate) attrs: HashMap<String, String>,
}

/// `SolveResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SolveResponse {
    #[prost(map = "string, string", tag = "1")]
    pub(crate) exporter_response: HashMap<String, String>,
}

/// `StatusRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StatusRequest {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
}

/// `StatusResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StatusResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) vertexes: Vec<Vertex>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) statuses: Vec<VertexStatus>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) logs: Vec<VertexLog>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) warnings: Vec<VertexWarning>,
}

/// `Vertex`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Vertex {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) inputs: Vec<String>,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(bool, tag = "4")]
    pub(crate) cached: bool,
    #[prost(message, optional, tag = "5")]
    pub(crate) started: Option<Timestamp>,
    #[prost(message, optional, tag = "6")]
    pub(crate) completed: Option<Timestamp>,
    #[prost(string, tag = "7")]
    pub(crate) error: String,
}

/// `VertexStatus`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VertexStatus {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) vertex: String,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(int64, tag = "4")]
    pub(crate) current: i64,
    #[prost(int64, tag = "5")]
    pub(crate) total: i64,
    #[prost(message, optional, tag = "6")]
    pub(crate) timestamp: Option<Timestamp>,
    #[prost(message, optional, tag = "7")]
    pub(crate) started: Option<Timestamp>,
    #[prost(message, optional, tag = "8")]
    pub(crate) completed: Option<Timestamp>,
}

/// `VertexLog`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VertexLog {
    #[prost(string, tag = "1")]
    pub(crate) vertex: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) timestamp: Option<Timestamp>,
    #[prost(int64, tag = "3")]
    pub(crate) stream: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) msg: Vec<u8>,
}

/// `VertexWarning`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VertexWarning {
    #[prost(string, tag = "1")]
    pub(crate) vertex: String,
    #[prost(int64, tag = "2")]
    pub(crate) level: i64,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) short: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(crate) detail: Vec<Vec<u8>>,
    #[prost(string, tag = "5")]
    pub(crate) url: String,
    #[prost(message, optional, tag = "6")]
    pub(crate) info: Option<SourceInfo>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) ranges: Vec<Range>,
}

/// `BytesMessage`: of `Control.Session` and, in `moby.filesync.v1`, of everything that is a plain stream.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BytesMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) data: bytes::Bytes,
}

/// `ListWorkersResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListWorkersResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) record: Vec<WorkerRecord>,
}

/// `InfoResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InfoResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) buildkit_version: Option<BuildkitVersion>,
}

/// `BuildHistoryRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BuildHistoryRequest {
    #[prost(bool, tag = "1")]
    pub(crate) active_only: bool,
    #[prost(string, tag = "2")]
    pub(crate) reference: String,
    #[prost(bool, tag = "3")]
    pub(crate) early_exit: bool,
    #[prost(string, repeated, tag = "4")]
    pub(crate) filter: Vec<String>,
    #[prost(int32, tag = "5")]
    pub(crate) limit: i32,
}

/// `BuildHistoryEvent`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BuildHistoryEvent {
    /// A [`HistoryEventType`].
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) record: Option<BuildHistoryRecord>,
}

/// `BuildHistoryEventType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistoryEventType {
    Started = 0,
    Complete = 1,
    Deleted = 2,
}

/// `BuildHistoryRecord`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BuildHistoryRecord {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
    #[prost(string, tag = "2")]
    pub(crate) frontend: String,
    #[prost(map = "string, string", tag = "3")]
    pub(crate) frontend_attrs: HashMap<String, String>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) exporters: Vec<Exporter>,
    #[prost(message, optional, tag = "5")]
    pub(crate) error: Option<Status>,
    #[prost(message, optional, tag = "6")]
    pub(crate) created_at: Option<Timestamp>,
    #[prost(message, optional, tag = "7")]
    pub(crate) completed_at: Option<Timestamp>,
    #[prost(message, optional, tag = "8")]
    pub(crate) logs: Option<Descriptor>,
    #[prost(map = "string, string", tag = "9")]
    pub(crate) exporter_response: HashMap<String, String>,
    #[prost(int32, tag = "12")]
    pub(crate) generation: i32,
    #[prost(bool, tag = "14")]
    pub(crate) pinned: bool,
    #[prost(int32, tag = "15")]
    pub(crate) num_cached_steps: i32,
    #[prost(int32, tag = "16")]
    pub(crate) num_total_steps: i32,
    #[prost(int32, tag = "17")]
    pub(crate) num_completed_steps: i32,
    #[prost(int32, tag = "19")]
    pub(crate) num_warnings: i32,
}

/// `Descriptor`: of what `containerd.services.content.v1.Content` reads.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Descriptor {
    #[prost(string, tag = "1")]
    pub(crate) media_type: String,
    #[prost(string, tag = "2")]
    pub(crate) digest: String,
    #[prost(int64, tag = "3")]
    pub(crate) size: i64,
}

/// `UpdateBuildHistoryRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UpdateBuildHistoryRequest {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
    #[prost(bool, tag = "2")]
    pub(crate) pinned: bool,
    #[prost(bool, tag = "3")]
    pub(crate) delete: bool,
}

/// A message without fields: `InfoRequest`, `UpdateBuildHistoryResponse` and the like.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Empty {}
