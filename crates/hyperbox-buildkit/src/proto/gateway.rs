// SPDX-License-Identifier: MIT
//! `frontend/gateway/pb/gateway.proto`: the service `moby.buildkit.v1.frontend.LLBBridge`.

use std::collections::HashMap;

use super::caps::ApiCap;
use super::control::CacheOptionsEntry;
use super::ops::Definition;
use super::rpc::Status;
use super::worker::WorkerRecord;

/// `Result`. The field `result` is a oneof of references and maps of them; clients that know `proto.refarray` use [`Ref`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BuildResult {
    #[prost(string, optional, tag = "1")]
    pub(crate) ref_deprecated: Option<String>,
    #[prost(message, optional, tag = "3")]
    pub(crate) reference: Option<Ref>,
    #[prost(map = "string, bytes", tag = "10")]
    pub(crate) metadata: HashMap<String, Vec<u8>>,
}

/// `Ref`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ref {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) def: Option<Definition>,
}

/// `SolveRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SolveRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) definition: Option<Definition>,
    #[prost(string, tag = "2")]
    pub(crate) frontend: String,
    #[prost(map = "string, string", tag = "3")]
    pub(crate) frontend_opt: HashMap<String, String>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) cache_imports: Vec<CacheOptionsEntry>,
    #[prost(map = "string, message", tag = "13")]
    pub(crate) frontend_inputs: HashMap<String, Definition>,
    #[prost(bool, tag = "14")]
    pub(crate) evaluate: bool,
}

/// `SolveResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SolveResponse {
    #[prost(message, optional, tag = "3")]
    pub(crate) result: Option<BuildResult>,
}

/// `ReturnRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReturnRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) result: Option<BuildResult>,
    #[prost(message, optional, tag = "2")]
    pub(crate) error: Option<Status>,
}

/// `InputsResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InputsResponse {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) definitions: HashMap<String, Definition>,
}

/// `EvaluateRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EvaluateRequest {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
}

/// `PongResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PongResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) frontend_api_caps: Vec<ApiCap>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) llb_caps: Vec<ApiCap>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) workers: Vec<WorkerRecord>,
}
