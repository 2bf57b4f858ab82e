// SPDX-License-Identifier: MIT
//! Messages of `moby.filesync.v1.Auth`, with field numbers from `session/auth/auth.proto` of moby/buildkit v0.25.

/// Asks what the client knows of a registry.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CredentialsRequest {
    #[prost(string, tag = "1")]
    pub(crate) host: String,
}

/// What the client knows; all empty when nothing.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct CredentialsResponse {
    #[prost(string, tag = "1")]
    pub(crate) username: String,
    /// The password; without a user name, an identity token.
    #[prost(string, tag = "2")]
    pub(crate) secret: String,
}

impl std::fmt::Debug for CredentialsResponse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CredentialsResponse")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
