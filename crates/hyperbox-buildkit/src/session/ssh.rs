// SPDX-License-Identifier: MIT
//! SSH agents of a client: each connection of a step is a call whose bytes go both ways.

use async_trait::async_trait;
use bytes::Bytes;
use hyperbox_build::StepError;
use hyperbox_build::request::SshAgents;
use hyperbox_core::seam::AttachIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};

use super::client::{Line, step_error};
use super::metadata;
use crate::proto::filesync::Piece;
use crate::proto::ssh::{CheckAgentRequest, CheckAgentResponse};
use crate::transport::client::{Incoming, Metadata, Outgoing};
use crate::transport::frame::decode;
use crate::transport::status::Code;

const CHECK_AGENT: &str = "/moby.sshforward.v1.SSH/CheckAgent";
const FORWARD_AGENT: &str = "/moby.sshforward.v1.SSH/ForwardAgent";

/// How much of an agent's talk is under way.
const BUFFER: usize = 32 * 1024;

/// Asks the client of a session.
#[derive(Debug)]
pub(super) struct ClientAgents(pub(super) Line);

#[async_trait]
impl SshAgents for ClientAgents {
    async fn has(&self, id: &str) -> Result<bool, StepError> {
        let request = CheckAgentRequest { id: id.to_owned() };
        match self.0.unary::<_, CheckAgentResponse>(CHECK_AGENT, &request).await {
            Ok(CheckAgentResponse {}) => Ok(true),
            // Clients have no code of their own for an agent that is not there (`unset ssh forward key`).
            Err(status) if matches!(status.code, Code::NotFound | Code::Unimplemented | Code::Unknown) => Ok(false),
            Err(status) => Err(step_error(status)),
        }
    }

    async fn connect(&self, id: &str) -> Result<Box<dyn AttachIo>, StepError> {
        let mut headers = Metadata::new();
        metadata::append(&mut headers, "buildkit.ssh.id", [id]);
        let (outgoing, incoming) = self.0.streaming(FORWARD_AGENT, &headers).map_err(step_error)?;
        let (near, far) = tokio::io::duplex(BUFFER);
        let (from_step, to_step) = tokio::io::split(far);
        // Both end with the step's connection or the call, whichever is first.
        tokio::spawn(async move { tokio::join!(pass_in(incoming, to_step), pass_out(outgoing, from_step)) });
        Ok(Box::new(near))
    }
}

/// Passes on what an agent says.
async fn pass_in(mut incoming: Incoming, mut to_step: WriteHalf<DuplexStream>) {
    while let Ok(Some(message)) = incoming.next().await {
        let Ok(piece) = decode::<Piece>(message) else { break };
        if to_step.write_all(&piece.data).await.is_err() {
            break;
        }
    }
    // The step may be gone.
    drop(to_step.shutdown().await);
}

/// Passes on what a step says.
async fn pass_out(outgoing: Outgoing, mut from_step: ReadHalf<DuplexStream>) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(length @ 1..) = from_step.read(&mut buffer).await {
        let data = Bytes::copy_from_slice(&buffer[..length]);
        if outgoing.send(&Piece { data }).await.is_err() {
            return;
        }
    }
    // The agent may be gone.
    drop(outgoing.finish().await);
}
