// SPDX-License-Identifier: MIT
//! `containerd.services.content.v1` (`api/services/content/v1/content.proto` of containerd): reading of blobs, as far as BuildKit's clients
//! do it for the history of builds.

use super::rpc::Timestamp;

/// `InfoRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InfoRequest {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
}

/// `InfoResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InfoResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) info: Option<Info>,
}

/// `Info`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Info {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
    #[prost(int64, tag = "2")]
    pub(crate) size: i64,
    #[prost(message, optional, tag = "3")]
    pub(crate) created_at: Option<Timestamp>,
    #[prost(message, optional, tag = "4")]
    pub(crate) updated_at: Option<Timestamp>,
}

/// `ReadContentRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadContentRequest {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
    #[prost(int64, tag = "2")]
    pub(crate) offset: i64,
    #[prost(int64, tag = "3")]
    pub(crate) size: i64,
}

/// `ReadContentResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadContentResponse {
    #[prost(int64, tag = "1")]
    pub(crate) offset: i64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: bytes::Bytes,
}
