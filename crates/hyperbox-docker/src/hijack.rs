// SPDX-License-Identifier: MIT
//! Leaving HTTP: attached streams take the client's connection over.
//!
//! Two ways lead out. A client that sends `Upgrade: tcp` gets `101 UPGRADED`. An old client sends nothing and gets
//! `200 OK` with neither length nor encoding, after which the connection belongs to the stream all the same; as HTTP has no word
//! for that, the connection's own task is asked to give the socket up ([`Takeover`]).
//!
//! A session moves bytes both ways without looking at them (but for detach keys on a terminal). Its end: the output ended (the
//! process is gone), the client is gone, or the client detached. Dropping the engine's end detaches; the container goes on.

use std::io;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyperbox_core::seam::AttachIo;
use hyperbox_types::stream::{Channel, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::answer::{Answer, no_body};
use crate::call::Call;
use crate::client_io::ClientIo;
use crate::detach_keys::DetachKeys;
use crate::error::ApiResult;
use crate::request_line::RequestLine;

/// The media type of framed output.
pub(crate) const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";
/// The media type of a terminal's output.
pub(crate) const RAW: &str = "application/vnd.docker.raw-stream";

const BUFFER: usize = 32 * 1024;

/// What happens on a connection that has left HTTP.
pub(crate) type Session = Box<dyn FnOnce(ClientIo) -> BoxFuture<'static, ()> + Send>;

/// Asks the task of a connection to stop speaking HTTP and to run a session.
pub(crate) struct Takeover {
    /// What is written first.
    pub head: Bytes,
    /// What happens then.
    pub session: Session,
}

/// Returns the media type of an attached stream for a client of that version.
pub(crate) fn media_type(call: &Call, terminal: bool) -> &'static str {
    if terminal || !call.version.at_least(42) {
        RAW
    } else {
        MULTIPLEXED
    }
}

/// Answers a request by handing its connection to `session`, which runs beside HTTP.
pub(crate) async fn hijack<F, S>(mut call: Call, media_type: &'static str, session: F) -> ApiResult<Answer>
where
    F: FnOnce(ClientIo) -> S + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let Some(upgrade) = call.upgrade.take() else {
        return take_over(call, media_type, Box::new(|io| Box::pin(session(io)))).await;
    };
    call.door.spawn(async move {
        if let Some(io) = upgraded(upgrade).await {
            session(io).await;
        }
    });
    let protocol = call
        .head
        .headers
        .get(UPGRADE)
        .cloned()
        .unwrap_or(HeaderValue::from_static("tcp"));
    Ok(switching(protocol, media_type))
}

/// The answer `101 UPGRADED`.
pub(crate) fn switching(protocol: HeaderValue, media_type: &'static str) -> Answer {
    let mut response = Response::new(no_body());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, protocol);
    response
        .extensions_mut()
        .insert(hyper::ext::ReasonPhrase::from_static(b"UPGRADED"));
    response
}

/// Waits until the answer was sent and returns the bare connection.
pub(crate) async fn upgraded(upgrade: OnUpgrade) -> Option<ClientIo> {
    let upgraded: Upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "client left before its connection was upgraded"
            );
            return None;
        }
    };
    let parts = upgraded.downcast::<TokioIo<RequestLine>>().ok()?;
    Some(ClientIo::new(parts.io.into_inner().into_inner(), parts.read_buf))
}

async fn take_over(call: Call, media_type: &'static str, session: Session) -> ApiResult<Answer> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\n\r\n");
    // The receiver lives as long as the connection, which lives as long as this request.
    drop(
        call.takeover
            .send(Takeover {
                head: Bytes::from(head),
                session,
            })
            .await,
    );
    std::future::pending().await
}

/// How the input of a session is treated.
#[derive(Debug)]
pub(crate) struct Input {
    /// Whether input is passed on at all.
    pub attached: bool,
    /// Whether the end of the client's input is the end of the process's.
    pub closes: bool,
    /// The keys that detach, on a terminal.
    pub detach_keys: Option<DetachKeys>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All output was sent.
    OutputEnded,
    /// The client closed the connection.
    ClientGone,
    /// The client typed the detach keys.
    Detached,
    /// The client said that it ends the session.
    Closed,
    /// The client sent what the protocol does not know.
    Malformed,
}

/// Moves bytes between a client and an attached stream until either ends.
pub(crate) async fn pump(mut client: ClientIo, attached: Box<dyn AttachIo>, input: Input) -> Ending {
    let first = client.take_read_already();
    let (attached_read, attached_write) = tokio::io::split(attached);
    let ending = {
        let output = copy_output(attached_read, &client);
        let input = copy_input(&client, &first, attached_write, input);
        tokio::pin!(output, input);
        tokio::select! {
            // What the process wrote before it ended goes out, whatever the client did meanwhile.
            biased;
            ending = &mut output => ending,
            ending = &mut input => match ending {
                Some(ending) => ending,
                None => output.await,
            },
        }
    };
    client.finish().await;
    ending
}

async fn copy_output(mut from: ReadHalf<Box<dyn AttachIo>>, to: &ClientIo) -> Ending {
    let mut buffer = vec![0; BUFFER];
    let mut first = true;
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ending::OutputEnded,
            Ok(length) => {
                if std::mem::take(&mut first) {
                    to.was_read().await;
                }
                if to.write_all(&buffer[..length]).await.is_err() {
                    return Ending::ClientGone;
                }
            }
        }
    }
}

/// Returns how the input ended the session; `None` when the output goes on without input.
async fn copy_input(
    from: &ClientIo,
    first: &[u8],
    mut to: WriteHalf<Box<dyn AttachIo>>,
    mut input: Input,
) -> Option<Ending> {
    let mut buffer = vec![0; BUFFER];
    let mut open = input.attached;
    let mut passed = Vec::new();
    if !first.is_empty() {
        let detached = input.pass(first, &mut passed);
        open = open && to.write_all(&passed).await.is_ok();
        if detached {
            return Some(Ending::Detached);
        }
    }
    loop {
        let length = from.read(&mut buffer).await.unwrap_or(0);
        if length == 0 {
            break;
        }
        // Input that nobody wants is still read: its end shows that the client is gone.
        if input.detach_keys.is_none() {
            open = open && to.write_all(&buffer[..length]).await.is_ok();
            continue;
        }
        passed.clear();
        let detached = input.pass(&buffer[..length], &mut passed);
        open = open && to.write_all(&passed).await.is_ok();
        if detached {
            return Some(Ending::Detached);
        }
    }
    if input.attached && input.closes {
        // The process may have ended already.
        drop(to.shutdown().await);
    }
    from.is_gone().await.then_some(Ending::ClientGone)
}

impl Input {
    /// Appends what of `bytes` is for the process; returns whether the client detached.
    pub(crate) fn pass(&mut self, bytes: &[u8], passed: &mut Vec<u8>) -> bool {
        match &mut self.detach_keys {
            Some(keys) => keys.filter(bytes, passed),
            None => {
                passed.extend_from_slice(bytes);
                false
            }
        }
    }
}

/// Writes one frame of an error text and ends the connection, as Docker does for an exec that cannot be started.
pub(crate) async fn refuse(client: ClientIo, terminal: bool, message: &str) -> io::Result<()> {
    client.was_read().await;
    if !terminal {
        let length = u32::try_from(message.len() + 2).unwrap_or(u32::MAX);
        client.write_all(&header(Channel::Stdout, length)).await?;
    }
    client.write_all(message.as_bytes()).await?;
    client.write_all(b"\r\n").await?;
    client.finish().await;
    Ok(())
}
