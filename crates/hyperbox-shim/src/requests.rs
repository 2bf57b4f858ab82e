// SPDX-License-Identifier: MIT
//! Answers the daemon's requests.

use std::os::fd::OwnedFd;

use hyperbox_sys::message::frame;
use hyperbox_types::run::Streams;
use hyperbox_types::shim::{
    ExecLaunch, FdRole, MAX_MESSAGE, PROTOCOL_VERSION, ShimCall, ShimError, ShimMessage, ShimReply,
};
use hyperbox_types::{ErrorKind, ExecId};
use oci_spec::runtime::Process;

use crate::client::Client;
use crate::connection::Incoming;
use crate::failure::{failure, system};
use crate::stdio;
use crate::supervised::Supervised;
use crate::supervisor::Supervisor;

/// Execs that may exist at a time: far more than is useful, and less than the shim's descriptors.
const MAX_PROCESSES: usize = 256;

impl Supervisor {
    /// Answers all complete requests of one connection.
    pub(crate) fn serve(&mut self, index: usize) {
        while let Some(incoming) = self.connections[index].next_request() {
            let Incoming {
                sequence,
                call,
                descriptors,
                first,
            } = incoming;
            let result = match call {
                Ok(ShimCall::Attach { exec, streams }) => {
                    match self.attach(index, sequence, exec.as_ref(), streams, first) {
                        Ok(()) => return,
                        Err(error) => Err(error),
                    }
                }
                Ok(call) => self.answer(call, descriptors),
                Err(error) => Err(error),
            };
            self.connections[index].reply(sequence, result);
        }
    }

    fn answer(&mut self, call: ShimCall, descriptors: Vec<OwnedFd>) -> Result<ShimReply, ShimError> {
        match call {
            ShimCall::Hello => Ok(self.hello()),
            ShimCall::Attach { .. } => Err(failure(
                ErrorKind::InvalidArgument,
                "attach needs a connection of its own",
            )),
            ShimCall::Exec(exec) => self.exec(*exec, descriptors),
            ShimCall::Signal { exec, signal, all } => {
                if all {
                    self.running()?;
                    self.engine.signal_all(signal)?;
                } else {
                    self.process(exec.as_ref())?.signal(signal)?;
                }
                Ok(ShimReply::Done)
            }
            ShimCall::Resize { exec, size } => {
                self.process(exec.as_ref())?
                    .io
                    .resize(size)
                    .map_err(|error| system("cannot resize", error))?;
                Ok(ShimReply::Done)
            }
            ShimCall::CloseStdin { exec } => {
                self.process(exec.as_ref())?.io.close_input();
                Ok(ShimReply::Done)
            }
            ShimCall::Pause => self.set_paused(true),
            ShimCall::Resume => self.set_paused(false),
            ShimCall::Update { resources } => {
                self.running()?;
                self.engine.update(&resources).map(|()| ShimReply::Done)
            }
            ShimCall::Stats => self.engine.stats().map(|stats| ShimReply::Stats(Box::new(stats))),
            ShimCall::Processes => self.engine.processes().map(|pids| ShimReply::Processes { pids }),
        }
    }

    fn hello(&self) -> ShimReply {
        let reported = self.processes.first().is_none_or(Supervised::is_reported);
        ShimReply::Hello {
            version: PROTOCOL_VERSION,
            record: self.record.clone(),
            // Until the output is complete the end is still to be announced, to this connection as well.
            exit: self.exit.clone().filter(|_| reported),
            paused: self.paused,
            execs: self
                .processes
                .iter()
                .filter(|process| !process.is_reported())
                .filter_map(|process| process.exec.clone())
                .collect(),
        }
    }

    fn set_paused(&mut self, paused: bool) -> Result<ShimReply, ShimError> {
        self.running()?;
        if paused {
            self.engine.pause()?;
        } else {
            self.engine.resume()?;
        }
        self.paused = paused;
        Ok(ShimReply::Done)
    }

    /// Turns a connection into an attached stream. On failure the connection stays what it was.
    fn attach(
        &mut self,
        index: usize,
        sequence: u64,
        exec: Option<&ExecId>,
        streams: Streams,
        first: bool,
    ) -> Result<(), ShimError> {
        if !first {
            return Err(failure(
                ErrorKind::InvalidArgument,
                "attach must be the first request of its connection",
            ));
        }
        let process = self.position(exec)?;
        if self.processes[process].is_reported() {
            return Err(failure(ErrorKind::FailedPrecondition, "the process has ended already"));
        }
        let reply = encode_reply(sequence)?;
        let (socket, mut unsent, input) = self.connections[index]
            .detach()
            .map_err(|error| system("cannot take over the connection", error))?;
        unsent.extend_from_slice(&reply);
        let io = &mut self.processes[process].io;
        // A socket that cannot be set up is one whose peer is gone.
        if let Ok(client) = Client::new(socket, streams, io.is_framed(), unsent) {
            io.attach(client);
            if streams.stdin {
                io.push_input(&input);
            }
        }
        Ok(())
    }

    fn exec(&mut self, exec: ExecLaunch, descriptors: Vec<OwnedFd>) -> Result<ShimReply, ShimError> {
        self.running()?;
        if self.paused {
            // It would be frozen before it is what it is to be, and whoever waits for that could not thaw the container any more.
            return Err(failure(ErrorKind::FailedPrecondition, "the container is paused"));
        }
        if self.processes.len() >= MAX_PROCESSES {
            return Err(failure(
                ErrorKind::ResourceExhausted,
                "too many execs run in the container",
            ));
        }
        if self
            .processes
            .iter()
            .any(|process| process.exec.as_ref() == Some(&exec.exec))
        {
            return Err(failure(
                ErrorKind::AlreadyExists,
                format!("exec {} runs already", exec.exec),
            ));
        }
        let process: Process = serde_json::from_str(&exec.process)
            .map_err(|error| failure(ErrorKind::InvalidArgument, format!("malformed process: {error}")))?;
        let prepared = stdio::prepare(exec.stdio, stdio::NoInput::Exec)
            .map_err(|error| system("cannot make the streams", error))?;
        let attached = clients(&exec.fds, descriptors, exec.stdio.terminal.is_none())?;
        let started = self.engine.exec(process, &exec.user, prepared.theirs)?;
        let pid = started.pid;
        self.processes.push(Supervised::new(
            Some(exec.exec),
            started,
            prepared.ours,
            exec.stdio,
            attached,
        )?);
        // It may have ended while its signal was not blocked.
        self.reap();
        Ok(ShimReply::Started { pid })
    }

    fn running(&self) -> Result<(), ShimError> {
        match self.exit {
            None => Ok(()),
            Some(_) => Err(failure(
                ErrorKind::FailedPrecondition,
                "the container has ended already",
            )),
        }
    }

    fn position(&self, exec: Option<&ExecId>) -> Result<usize, ShimError> {
        self.processes
            .iter()
            .position(|process| process.exec.as_ref() == exec)
            .ok_or_else(|| failure(ErrorKind::NotFound, "no such exec in the container"))
    }

    fn process(&mut self, exec: Option<&ExecId>) -> Result<&mut Supervised, ShimError> {
        let index = self.position(exec)?;
        Ok(&mut self.processes[index])
    }
}

/// Encodes the positive answer to an attach request, which goes out as the first bytes of the stream.
fn encode_reply(sequence: u64) -> Result<Vec<u8>, ShimError> {
    let reply = ShimMessage::Reply {
        sequence,
        result: Ok(ShimReply::Done),
    };
    serde_json::to_vec(&reply)
        .map_err(std::io::Error::other)
        .and_then(|payload| frame(&payload, MAX_MESSAGE))
        .map_err(|error| system("cannot encode a reply", error))
}

/// Makes clients of the streams that were attached before the start.
pub(crate) fn clients(roles: &[FdRole], descriptors: Vec<OwnedFd>, framed: bool) -> Result<Vec<Client>, ShimError> {
    let mut clients = Vec::new();
    for (role, descriptor) in roles.iter().zip(descriptors) {
        if let FdRole::Attach(streams) = role {
            let client = Client::new(descriptor, *streams, framed, Vec::new());
            clients.push(client.map_err(|error| system("cannot use an attached stream", error))?);
        }
    }
    Ok(clients)
}
