// SPDX-License-Identifier: MIT
//! Messages of `grpc.health.v1.Health`, with field numbers from `grpc/health/v1/health.proto` of grpc/grpc-proto.

/// Asks how a service is; the empty name is the whole server.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    pub(crate) service: String,
}

/// How it is: 1 is serving.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}
