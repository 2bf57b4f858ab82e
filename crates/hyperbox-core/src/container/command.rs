// SPDX-License-Identifier: MIT
//! What an actor can be asked.

use std::sync::Arc;
use std::time::Duration;

use hyperbox_types::run::{Streams, TerminalSize};
use hyperbox_types::{ContainerName, Signal};
use tokio::sync::oneshot;

use super::operations::UpdateOptions;
use super::removal::RemoveOptions;
use super::{EndpointWish, HealthState};
use crate::Result;
use crate::network::NetworkRecord;
use crate::seam::AttachIo;
use crate::trace::Trace;

/// How to stop a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StopOptions {
    /// The polite signal; the container's when unset.
    pub signal: Option<Signal>,
    /// How long to wait before `SIGKILL`; the container's when unset, for ever when [`Duration::MAX`].
    pub timeout: Option<Duration>,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// What an actor can be asked.
pub(super) enum Command {
    /// Answered when the run has begun.
    Start {
        trace: Option<Trace>,
        reply: Reply<()>,
    },
    /// Answered when the run has ended.
    Stop {
        options: StopOptions,
        reply: Reply<()>,
    },
    /// Answered when the new run has begun.
    Restart {
        options: StopOptions,
        reply: Reply<()>,
    },
    /// Answered with the number of runs that had ended before, if there is a process that can end.
    Kill {
        signal: Signal,
        reply: Reply<Option<u64>>,
    },
    Pause {
        reply: Reply<()>,
    },
    Unpause {
        reply: Reply<()>,
    },
    Rename {
        name: ContainerName,
        reply: Reply<()>,
    },
    Update {
        options: Box<UpdateOptions>,
        reply: Reply<Vec<String>>,
    },
    Remove {
        options: RemoveOptions,
        /// What the client calls the container.
        reference: String,
        reply: Reply<()>,
    },
    Attach {
        streams: Streams,
        reply: Reply<Box<dyn AttachIo>>,
    },
    Connect {
        network: Arc<NetworkRecord>,
        wish: Box<EndpointWish>,
        reply: Reply<()>,
    },
    Disconnect {
        network: Arc<NetworkRecord>,
        force: bool,
        reply: Reply<()>,
    },
    /// Leave a network that is gone, by its name.
    ForgetNetwork {
        network: String,
        force: bool,
        reply: Reply<()>,
    },
    Resized(TerminalSize),
    /// A verdict on that run (counted in launches).
    Health {
        run: u64,
        health: HealthState,
    },
    /// What happened to the process of a check in that run: the event and its facts.
    Probe {
        run: u64,
        action: String,
        facts: Vec<(&'static str, String)>,
    },
}

/// Answers; a client that went away does not mind.
pub(super) fn answer<T>(reply: Reply<T>, result: Result<T>) {
    // The receiver may be gone, and nobody has to know.
    drop(reply.send(result));
}
