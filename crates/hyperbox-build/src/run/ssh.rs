// SPDX-License-Identifier: MIT
//! SSH agents: a socket for the time of one step, each connection passed on to the client's agent.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

use super::{disk, private_directory};
use crate::StepError;
use crate::request::SshAgents;
use crate::step::{SshMount, StepContext};

/// A socket that is served. Dropping it ends all its connections.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) path: PathBuf,
    serving: AbortHandle,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves a socket below `directory`; `None` when the client has no such agent and none is required.
pub(super) async fn serve(
    directory: &Path,
    number: usize,
    mount: &SshMount,
    with: &StepContext,
) -> Result<Option<Agent>, StepError> {
    if !with.ssh.has(&mount.id).await? {
        if mount.required {
            let id = &mount.id;
            return Err(StepError::not_found(format!("unset ssh forward key {id}")));
        }
        return Ok(None);
    }
    private_directory(directory).map_err(|error| disk("make", directory, error))?;
    let path = directory.join(format!("agent-{number}"));
    let listener = UnixListener::bind(&path).map_err(|error| disk("listen at", &path, error))?;
    let permissions = std::fs::Permissions::from_mode(mount.mode & 0o7777);
    std::fs::set_permissions(&path, permissions)
        .and_then(|()| chown(&path, Some(mount.uid), Some(mount.gid)))
        .map_err(|error| disk("give away", &path, error))?;
    let (agents, id) = (Arc::clone(&with.ssh), mount.id.clone());
    let serving = tokio::spawn(accept(listener, agents, id)).abort_handle();
    Ok(Some(Agent { path, serving }))
}

async fn accept(listener: UnixListener, agents: Arc<dyn SshAgents>, id: String) {
    // Ends with this future: connections end with the step.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(pass_on(stream, Arc::clone(&agents), id.clone()));
    }
}

async fn pass_on(mut stream: UnixStream, agents: Arc<dyn SshAgents>, id: String) {
    match agents.connect(&id).await {
        Ok(mut agent) => {
            // Either side may go at any time; the other one sees the end.
            drop(tokio::io::copy_bidirectional(&mut stream, &mut agent).await);
        }
        Err(error) => tracing::debug!(id, %error, "an SSH agent of a client is not reached"),
    }
}
