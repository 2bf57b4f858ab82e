// SPDX-License-Identifier: MIT
//! Messages of `moby.sshforward.v1.SSH`, with field numbers from `session/sshforward/ssh.proto` of moby/buildkit v0.25. What an agent
//! and a step say to each other is in [`super::filesync::Piece`]s.

/// Asks whether there is an agent.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CheckAgentRequest {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
}

/// There is one.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct CheckAgentResponse {}
