// SPDX-License-Identifier: MIT
//! A control connection to a shim: one owner task writes requests, matches replies by sequence and keeps the status.
//!
//! Callers talk to the owner through a channel, so a caller that is cancelled never leaves half a request on the wire. The
//! owner ends with the connection, or when the last [`Control`] is dropped. When the connection ends without an exit having been
//! announced, the exit record decides between `Exited` and `Lost`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyperbox_core::seam::{TaskError, TaskStatus};
use hyperbox_sys::message::{self, Decoder};
use hyperbox_types::shim::{
    ExitRecord, LaunchRecord, MAX_MESSAGE, ShimCall, ShimError, ShimEvent, ShimMessage, ShimReply, ShimRequest,
};
use hyperbox_types::{ErrorKind, ExecId};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

use crate::launcher::send_all;
use crate::process::Process;
use crate::run_directory::RunDirectory;

/// Reads messages from a shim.
#[derive(Debug)]
pub(crate) struct Messages {
    pub(crate) socket: UnixStream,
    decoder: Decoder,
}

impl Messages {
    /// Starts at the beginning of a stream.
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            decoder: Decoder::new(MAX_MESSAGE),
        }
    }

    /// Returns the next message; `None` at the end of the stream. Cancel-safe.
    pub(crate) async fn next(&mut self) -> io::Result<Option<ShimMessage>> {
        loop {
            if let Some(payload) = self.decoder.next_message()? {
                return serde_json::from_slice(&payload).map(Some).map_err(io::Error::other);
            }
            let (socket, decoder) = (&self.socket, &mut self.decoder);
            socket.readable().await?;
            match socket.try_io(Interest::READABLE, || decoder.receive(socket.as_fd())) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A shim that closes with requests unread resets the connection: an end like any other.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends one request and waits for its answer, on a connection that nobody else uses yet.
    pub(crate) async fn ask(&mut self, call: ShimCall) -> Result<ShimReply, TaskError> {
        let bytes = encode(0, call)?;
        send_all(&self.socket, &bytes, &[])
            .await
            .map_err(|error| TaskError::io("cannot reach the shim", error))?;
        loop {
            match self
                .next()
                .await
                .map_err(|error| TaskError::io("cannot read from the shim", error))?
            {
                Some(ShimMessage::Reply { result, .. }) => return result.map_err(from_shim),
                Some(_) => {}
                None => return Err(gone()),
            }
        }
    }
}

/// A request on its way to the owner.
#[derive(Debug)]
struct Outgoing {
    call: ShimCall,
    descriptors: Vec<OwnedFd>,
    reply: oneshot::Sender<Result<ShimReply, TaskError>>,
}

/// Exit codes of execs, as far as they are known.
type Execs = HashMap<ExecId, watch::Sender<Option<i32>>>;

/// The callers' side of a control connection.
#[derive(Debug)]
pub(crate) struct Control {
    requests: mpsc::UnboundedSender<Outgoing>,
    status: watch::Receiver<TaskStatus>,
    closed: watch::Receiver<bool>,
    memory_kills: watch::Receiver<u64>,
    execs: Arc<Mutex<Execs>>,
}

impl Control {
    /// Starts the owner of a connection whose greeting was exchanged.
    pub(crate) fn start(
        messages: Messages,
        directory: RunDirectory,
        record: &LaunchRecord,
        execs: Vec<ExecId>,
    ) -> Self {
        let (requests, incoming) = mpsc::unbounded_channel();
        let (status_sender, status) = watch::channel(TaskStatus::Running);
        let (closed_sender, closed) = watch::channel(false);
        let (memory_kills_sender, memory_kills) = watch::channel(0);
        let execs = Arc::new(Mutex::new(
            execs.into_iter().map(|exec| (exec, watch::channel(None).0)).collect(),
        ));
        let owner = Owner {
            messages,
            directory,
            // Kept open, so that the kernel keeps the exit status even if the shim should be killed.
            init: Process::find(record.init_pid, record.init_start_time),
            status: status_sender,
            closed: closed_sender,
            memory_kills: memory_kills_sender,
            execs: Arc::clone(&execs),
            pending: HashMap::new(),
            sequence: 0,
        };
        tokio::spawn(owner.run(incoming));
        Self {
            requests,
            status,
            closed,
            memory_kills,
            execs,
        }
    }

    /// Sends a request and waits for its answer. Cancel-safe: a request that was sent is carried out all the same.
    pub(crate) async fn call(&self, call: ShimCall, descriptors: Vec<OwnedFd>) -> Result<ShimReply, TaskError> {
        let (reply, answer) = oneshot::channel();
        let outgoing = Outgoing {
            call,
            descriptors,
            reply,
        };
        self.requests.send(outgoing).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Returns the status.
    pub(crate) fn status(&self) -> watch::Receiver<TaskStatus> {
        self.status.clone()
    }

    /// Becomes true when the connection has ended; its sender is dropped when nobody looks after the connection any more.
    pub(crate) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.clone()
    }

    /// Returns the changing number of processes that were killed for want of memory.
    pub(crate) fn memory_kills(&self) -> watch::Receiver<u64> {
        self.memory_kills.clone()
    }

    /// Makes an exec known before it is asked for, so that its end cannot be missed; `false` when it is known already.
    pub(crate) fn expect_exec(&self, exec: &ExecId) -> bool {
        match lock(&self.execs).entry(exec.clone()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(watch::channel(None).0);
                true
            }
        }
    }

    /// Forgets an exec that could not be started.
    pub(crate) fn forget_exec(&self, exec: &ExecId) {
        lock(&self.execs).remove(exec);
    }

    /// Returns the changing exit code of an exec.
    pub(crate) fn exec_exit(&self, exec: &ExecId) -> Option<watch::Receiver<Option<i32>>> {
        lock(&self.execs).get(exec).map(watch::Sender::subscribe)
    }
}

/// Looks after one connection.
struct Owner {
    messages: Messages,
    directory: RunDirectory,
    init: Option<Process>,
    status: watch::Sender<TaskStatus>,
    closed: watch::Sender<bool>,
    memory_kills: watch::Sender<u64>,
    execs: Arc<Mutex<Execs>>,
    pending: HashMap<u64, oneshot::Sender<Result<ShimReply, TaskError>>>,
    sequence: u64,
}

impl Owner {
    async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Outgoing>) {
        loop {
            tokio::select! {
                message = self.messages.next() => match message {
                    Ok(Some(message)) => self.receive(message),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, directory = %self.directory.path().display(), "lost a shim");
                        break;
                    }
                },
                request = requests.recv() => match request {
                    Some(request) => self.send(request).await,
                    None if *self.status.borrow() == TaskStatus::Running => {
                        // Nobody is interested any more; the shim goes on without us.
                        return;
                    }
                    // Whoever removes the remains wants to know when the shim is gone.
                    None => {
                        while let Ok(Some(_)) = self.messages.next().await {}
                        break;
                    }
                },
            }
        }
        self.ended();
    }

    /// Writes a request. The shim never waits for us, so not reading meanwhile cannot end in a deadlock.
    async fn send(&mut self, request: Outgoing) {
        self.sequence += 1;
        let bytes = match encode(self.sequence, request.call) {
            Ok(bytes) => bytes,
            Err(error) => {
                // The caller may have gone.
                drop(request.reply.send(Err(error)));
                return;
            }
        };
        self.pending.insert(self.sequence, request.reply);
        let descriptors: Vec<BorrowedFd<'_>> = request.descriptors.iter().map(AsFd::as_fd).collect();
        if send_all(&self.messages.socket, &bytes, &descriptors).await.is_err() {
            // The end of the connection is about to be read; the pending request fails there.
            tracing::debug!(directory = %self.directory.path().display(), "the shim takes no requests any more");
        }
    }

    fn receive(&mut self, message: ShimMessage) {
        match message {
            ShimMessage::Reply { sequence, result } => {
                if let Some(reply) = self.pending.remove(&sequence) {
                    // The caller may have gone.
                    drop(reply.send(result.map_err(from_shim)));
                }
            }
            ShimMessage::Event(ShimEvent::Exited(record)) => self.exited(record),
            ShimMessage::Event(ShimEvent::ExecExited { exec, code }) => {
                if let Some(exit) = lock(&self.execs).get(&exec) {
                    exit.send_replace(Some(code));
                }
            }
            ShimMessage::Event(ShimEvent::OutOfMemory { kills }) => {
                tracing::info!(directory = %self.directory.path().display(), kills, "killed for want of memory");
                self.memory_kills.send_replace(kills);
            }
            ShimMessage::Launched(_) | ShimMessage::LaunchFailed(_) | ShimMessage::Traced { .. } => {}
        }
    }

    fn exited(&self, record: ExitRecord) {
        self.status.send_if_modified(|status| {
            let first = *status == TaskStatus::Running;
            if first {
                *status = TaskStatus::Exited(record);
            }
            first
        });
    }

    fn ended(mut self) {
        for (_, reply) in self.pending.drain() {
            // The caller may have gone.
            drop(reply.send(Err(gone())));
        }
        if *self.status.borrow() == TaskStatus::Running {
            match self.directory.exit_record().or_else(|| self.exit_from_kernel()) {
                Some(record) => self.exited(record),
                None => {
                    self.status.send_replace(TaskStatus::Lost);
                }
            }
        }
        self.closed.send_replace(true);
    }

    /// Asks the kernel how the first process ended, if it has ended and was reaped.
    fn exit_from_kernel(&self) -> Option<ExitRecord> {
        let code = self.init.as_ref()?.exit_code()?;
        Some(ExitRecord {
            code,
            finished_at_ns: crate::logs::now_ns(),
            out_of_memory: false,
        })
    }
}

/// Sends an encoded request and reads exactly its reply, so that what follows on the socket is untouched.
pub(crate) async fn exchange(socket: &UnixStream, request: &[u8]) -> Result<(), TaskError> {
    let unreadable = |error| TaskError::io("cannot read from the shim", error);
    send_all(socket, request, &[])
        .await
        .map_err(|error| TaskError::io("cannot reach the shim", error))?;
    let mut header = [0; 4];
    read_exact(socket, &mut header).await.map_err(unreadable)?;
    let length = u32::from_le_bytes(header);
    if length > MAX_MESSAGE {
        return Err(TaskError::new(
            ErrorKind::Internal,
            "the shim gave an answer that is too long",
        ));
    }
    let mut payload = vec![0; length as usize];
    read_exact(socket, &mut payload).await.map_err(unreadable)?;
    match serde_json::from_slice(&payload)
        .map_err(io::Error::other)
        .map_err(unreadable)?
    {
        ShimMessage::Reply { result, .. } => result.map(drop).map_err(from_shim),
        _ => Err(TaskError::new(
            ErrorKind::Internal,
            "the shim gave an unexpected answer",
        )),
    }
}

async fn read_exact(socket: &UnixStream, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        socket.readable().await?;
        match socket.try_read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => buffer = &mut buffer[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Encodes a request with its length.
pub(crate) fn encode(sequence: u64, call: ShimCall) -> Result<Vec<u8>, TaskError> {
    serde_json::to_vec(&ShimRequest { sequence, call })
        .map_err(io::Error::other)
        .and_then(|payload| message::frame(&payload, MAX_MESSAGE))
        .map_err(|error| TaskError::io("cannot encode a request to the shim", error))
}

/// Translates an error of a shim.
pub(crate) fn from_shim(error: ShimError) -> TaskError {
    TaskError {
        command: error.command,
        ..TaskError::new(error.kind, error.message)
    }
}

fn gone() -> TaskError {
    TaskError::new(ErrorKind::FailedPrecondition, "the container's shim has ended")
}

/// The map is never left half-changed, so a panic elsewhere does not spoil it.
fn lock(execs: &Mutex<Execs>) -> MutexGuard<'_, Execs> {
    execs.lock().unwrap_or_else(PoisonError::into_inner)
}
