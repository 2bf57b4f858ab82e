// SPDX-License-Identifier: MIT
//! `POST /hyperbox/v1/run`: create, attach, start and wait in one upgraded request ([`hyperbox_types::run`]).
//!
//! The container is started while the answer `101` is still on its way, so the client waits for nothing twice. Frames go out in the
//! order *created*, *started*, output, *exited*; output is copied only after *started* was written and *exited* only after the output
//! ended, so that control frames never fall into the middle of another frame.
//!
//! A client that goes away detaches; the container goes on, but for its standard input, which ends if it was `stdin_once`.

use std::sync::Arc;

use http::header::{HeaderValue, UPGRADE};
use hyperbox_core::Engine;
use hyperbox_core::container::{AttachOptions, Attached, Purpose, WaitCondition, Waiter};
use hyperbox_core::seam::AttachIo;
use hyperbox_core::trace::Trace;
use hyperbox_types::ContainerId;
use hyperbox_types::run::{RunCommand, RunEvent, RunRequest, TerminalSize};
use hyperbox_types::stream::{Channel, HEADER_LEN, MAX_PAYLOAD, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::create::{Made, create_container};
use crate::answer::Answer;
use crate::call::{Call, Door, parse_json};
use crate::client_io::ClientIo;
use crate::error::{ApiError, ApiResult};
use crate::frames::FrameReader;
use crate::hijack::{self, MULTIPLEXED};
use crate::router::{Route, route};
use crate::wire::config::CreateBody;

pub(super) const ROUTES: &[Route] = &[route!(Post "/hyperbox/v1/run" => run)];

async fn run(mut call: Call) -> ApiResult<Answer> {
    let Some(upgrade) = call.upgrade.take() else {
        return Err(ApiError::bad_request(
            "this request needs the headers Connection: Upgrade and Upgrade: hyperbox-run",
        ));
    };
    let request: RunRequest = call.json_document().await?;
    let trace = request.trace.then(Trace::default);
    mark(trace.as_ref(), "request read");
    let body: CreateBody = parse_json(request.container.get().as_bytes())?;
    let name = request.name.as_deref().unwrap_or_default();
    let platform = request.platform.as_deref().unwrap_or_default();
    let engine = call.engine();
    let made = create_container(engine, Purpose::RunAtOnce, name, platform, call.version, body).await?;
    mark(trace.as_ref(), "container created");
    if let Some(size) = request.terminal {
        engine.containers.resize(made.created.id.as_str(), size).await?;
    }
    let door = Arc::clone(&call.door);
    let protocol = call
        .head
        .headers
        .get(UPGRADE)
        .cloned()
        .unwrap_or(HeaderValue::from_static("hyperbox-run"));
    door.spawn({
        let door = Arc::clone(&door);
        async move {
            let id = made.created.id.clone();
            let created = RunEvent::Created {
                id: id.clone(),
                warnings: made.created.warnings.clone(),
            };
            // Started here and now: the answer goes out meanwhile.
            let (client, started) = tokio::join!(
                hijack::upgraded(upgrade),
                start(&door.engine, &made, request.attach, trace.clone())
            );
            if let Some(client) = client {
                let ending = serve(&door, client, &made, created, started, trace.as_ref()).await;
                tracing::debug!(container = %id, ended = ending.is_some(), "client of run left");
            }
        }
    });
    Ok(hijack::switching(protocol, MULTIPLEXED))
}

/// A started container.
struct Started {
    attached: Option<Attached>,
    input: bool,
    waiter: Waiter,
}

async fn start(
    engine: &Engine,
    made: &Made,
    streams: hyperbox_types::run::Streams,
    trace: Option<Trace>,
) -> hyperbox_core::Result<Started> {
    let id = made.created.id.as_str();
    let containers = &engine.containers;
    // With automatic removal the client is to find the name free again when it hears of the end.
    let condition = if made.auto_remove {
        WaitCondition::Removed
    } else {
        WaitCondition::NextExit
    };
    let waiter = containers.wait(id, condition)?;
    let attached = if streams.any() {
        Some(
            containers
                .attach(
                    id,
                    AttachOptions {
                        streams,
                        logs: false,
                        stream: true,
                    },
                )
                .await?,
        )
    } else {
        None
    };
    match trace {
        Some(trace) => containers.start_traced(id, trace).await?,
        None => containers.start(id).await?,
    }
    Ok(Started {
        attached,
        input: streams.stdin,
        waiter,
    })
}

/// Tells the client everything; `None` when it went away before the end.
async fn serve(
    door: &Door,
    mut client: ClientIo,
    made: &Made,
    created: RunEvent,
    started: hyperbox_core::Result<Started>,
    trace: Option<&Trace>,
) -> Option<()> {
    mark(trace, "answer to the start");
    let started = match started {
        Ok(started) => started,
        Err(error) => {
            let kind = error.kind();
            let error = ApiError::from(error);
            let (message, hint) = (error.message().to_owned(), error.hint().cloned());
            let mut frames = control(&created);
            frames.extend(control(&RunEvent::Failed { kind, message, hint }));
            client.write_all(&frames).await.ok()?;
            client.finish().await;
            return Some(());
        }
    };
    let mut frames = control(&created);
    frames.extend(control(&RunEvent::Started));
    frames.extend(timeline(trace));
    client.write_all(&frames).await.ok()?;
    let first = client.take_read_already();
    let (reader, writer) = match started.attached {
        Some(attached) => {
            let (read, write) = tokio::io::split(attached.io);
            (Some((read, attached.terminal)), Some(write).filter(|_| started.input))
        }
        None => (None, None),
    };
    let commands = Commands {
        engine: &door.engine,
        id: &made.created.id,
        writer,
        closes: made.stdin_once,
    };
    tokio::select! {
        biased;
        told = tell(&client, reader, started.waiter, trace) => told?,
        () = commands.obey(&client, &first) => return None,
    }
    client.finish().await;
    Some(())
}

/// Sends the output and the exit code.
async fn tell(
    client: &ClientIo,
    output: Option<(ReadHalf<Box<dyn AttachIo>>, bool)>,
    waiter: Waiter,
    trace: Option<&Trace>,
) -> Option<()> {
    if let Some((mut output, terminal)) = output {
        // A terminal's bytes get their frames here; other output comes in frames.
        let reserved = if terminal { HEADER_LEN } else { 0 };
        let mut buffer = vec![0; reserved + MAX_PAYLOAD];
        loop {
            let length = output.read(&mut buffer[reserved..]).await.unwrap_or(0);
            if length == 0 {
                break;
            }
            if terminal {
                let length = u32::try_from(length).unwrap_or(u32::MAX);
                buffer[..HEADER_LEN].copy_from_slice(&header(Channel::Stdout, length));
            }
            client.write_all(&buffer[..reserved + length]).await.ok()?;
        }
    }
    mark(trace, "output passed on");
    let code = waiter.finish().await.exit_code;
    let mut frames = timeline(trace);
    frames.extend(control(&RunEvent::Exited { code }));
    client.write_all(&frames).await.ok()
}

fn mark(trace: Option<&Trace>, step: &str) {
    if let Some(trace) = trace {
        trace.mark(step);
    }
}

/// Returns the frame of a timeline, if there is one.
fn timeline(trace: Option<&Trace>) -> Vec<u8> {
    let told = trace.map(|trace| control(&RunEvent::Traced { marks: trace.marks() }));
    told.unwrap_or_default()
}

fn control(event: &RunEvent) -> Vec<u8> {
    let message = serde_json::to_vec(event).unwrap_or_default();
    let mut frame = header(Channel::Control, u32::try_from(message.len()).unwrap_or(u32::MAX)).to_vec();
    frame.extend_from_slice(&message);
    frame
}

/// What the client sends.
struct Commands<'a> {
    engine: &'a Engine,
    id: &'a ContainerId,
    writer: Option<WriteHalf<Box<dyn AttachIo>>>,
    closes: bool,
}

impl Commands<'_> {
    /// Obeys until the client is gone or talks nonsense; one that only closed its sending half is waited for in vain, as wished.
    async fn obey(mut self, client: &ClientIo, first: &[u8]) {
        let mut frames = FrameReader::default();
        let mut buffer = vec![0; MAX_PAYLOAD];
        frames.feed(first);
        loop {
            loop {
                match frames.next() {
                    Ok(Some((channel, payload))) => self.obey_frame(channel, &payload).await,
                    Ok(None) => break,
                    Err(malformed) => {
                        tracing::debug!(container = %self.id, ?malformed, "client of run sent a malformed frame");
                        return;
                    }
                }
            }
            match client.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(length) => frames.feed(&buffer[..length]),
            }
        }
        if self.closes {
            self.close_input().await;
        }
        if !client.is_gone().await {
            std::future::pending::<()>().await;
        }
    }

    async fn obey_frame(&mut self, channel: Channel, payload: &[u8]) {
        match channel {
            Channel::Stdin if payload.is_empty() => self.close_input().await,
            Channel::Stdin => {
                if let Some(writer) = &mut self.writer
                    && writer.write_all(payload).await.is_err()
                {
                    // The process reads no more.
                    self.writer = None;
                }
            }
            _ => self.obey_command(payload).await,
        }
    }

    async fn close_input(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            // The process may have ended already.
            drop(writer.shutdown().await);
        }
    }

    async fn obey_command(&mut self, payload: &[u8]) {
        let result = match serde_json::from_slice(payload) {
            Ok(RunCommand::Resize(size)) => self.resize(size).await,
            Ok(RunCommand::Signal { signal }) => self.engine.containers.kill(self.id.as_str(), Some(signal)).await,
            Err(_) => return,
        };
        if let Err(error) = result {
            // The process may have ended already; the client hears of that anyway.
            tracing::debug!(container = %self.id, error = error.message(), "command of run not obeyed");
        }
    }

    async fn resize(&mut self, size: TerminalSize) -> hyperbox_core::Result<()> {
        self.engine.containers.resize(self.id.as_str(), size).await
    }
}
