// SPDX-License-Identifier: MIT
//! Messages of `moby.buildkit.secrets.v1.Secrets`, with field numbers from `session/secrets/secrets.proto` of moby/buildkit v0.25.

use bytes::Bytes;

/// Asks for a secret.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetSecretRequest {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
}

/// A secret.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct GetSecretResponse {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) data: Bytes,
}

impl std::fmt::Debug for GetSecretResponse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GetSecretResponse").finish_non_exhaustive()
    }
}
