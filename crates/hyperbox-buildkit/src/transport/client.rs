// SPDX-License-Identifier: MIT
//! A connection on which the daemon calls and the client of a session answers.
//!
//! The connection itself is a future that whoever made the channel drives; when it ends, every call fails. Calls are cancelled by
//! dropping their ends. What the client answers is foreign: heads, lengths and trailers are checked here, messages by who reads them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyperbox_core::seam::AttachIo;
use tokio_util::sync::CancellationToken;

use super::MEDIA_TYPE;
pub(crate) use super::feed::Outgoing;
use super::feed::{Feed, feed};
use super::frame::{Messages, decode};
use super::severable::Severable;
use super::status::{Code, Status};

/// So much of an answer waits to be read, at most.
const STREAM_WINDOW: u32 = 2 << 20;

/// Headers of a call.
pub(crate) type Metadata = Vec<(HeaderName, HeaderValue)>;

type Answering = Pin<Box<dyn Future<Output = hyper::Result<Response<hyper::body::Incoming>>> + Send>>;

/// A connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Channel {
    sender: SendRequest<Feed>,
    heard: Arc<AtomicU64>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Channel").finish_non_exhaustive()
    }
}

impl Channel {
    /// Speaks HTTP/2 on a stream. The future is the connection's life; cancelling the token ends it, and all calls with it.
    ///
    /// # Errors
    /// When the stream is closed already.
    pub(crate) async fn open(
        io: impl AttachIo + 'static,
        severed: CancellationToken,
    ) -> Result<(Self, impl Future<Output = hyper::Result<()>>), hyper::Error> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .max_header_list_size(64 * 1024)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(super::CONNECTION_WINDOW);
        let io = Severable::new(io, severed);
        let heard = io.heard();
        let (sender, connection) = builder.handshake(TokioIo::new(io)).await?;
        Ok((Self { sender, heard }, connection))
    }

    /// Tells how many bytes have come, of all calls together.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Calls a method with one message, for one.
    ///
    /// # Errors
    /// What the client answers; [`Code::Internal`] for what is no answer; [`Code::Unavailable`] when it is gone.
    pub(crate) async fn unary<Q: prost::Message, A: prost::Message + Default>(
        &self,
        method: &'static str,
        request: &Q,
    ) -> Result<A, Status> {
        let mut incoming = self.start(method, &Vec::new(), Feed::of(request));
        let answer = incoming.next().await?;
        let answer = decode(answer.ok_or_else(|| Status::new(Code::Internal, "there is no answer"))?)?;
        match incoming.next().await? {
            None => Ok(answer),
            Some(_) => Err(Status::new(Code::Internal, "there is more than one answer")),
        }
    }

    /// Calls a method with streams both ways. Does not wait for the client: many send nothing until they got something.
    pub(crate) fn streaming(&self, method: &'static str, metadata: &Metadata) -> (Outgoing, Incoming) {
        let (outgoing, feed) = feed();
        (outgoing, self.start(method, metadata, feed))
    }

    fn start(&self, method: &'static str, metadata: &Metadata, body: Feed) -> Incoming {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        // The authority is that of BuildKit; nobody looks at it.
        *request.uri_mut() = http::Uri::builder()
            .scheme("http")
            .authority("localhost")
            .path_and_query(method)
            .build()
            .expect("methods are constants that are paths");
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        for (name, value) in metadata {
            headers.append(name.clone(), value.clone());
        }
        let mut sender = self.sender.clone();
        Incoming {
            state: State::Waiting(Box::pin(sender.send_request(request))),
        }
    }
}

enum State {
    Waiting(Answering),
    Reading(Messages),
    Ended,
}

/// The receiving half of a call.
pub(crate) struct Incoming {
    state: State,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Incoming").finish_non_exhaustive()
    }
}

impl Incoming {
    /// Returns the next message; `None` when the call has ended well. Cancel-safe.
    ///
    /// # Errors
    /// How the call ended otherwise; what is no message. Nothing comes afterwards.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            match &mut self.state {
                State::Ended => return Ok(None),
                State::Waiting(answering) => {
                    let answer = answering.await;
                    self.state = State::Ended;
                    match begin(answer.map_err(lost)?)? {
                        Some(messages) => self.state = State::Reading(messages),
                        None => return Ok(None),
                    }
                }
                State::Reading(messages) => {
                    let message = messages.next().await;
                    let ended = match &message {
                        Ok(Some(_)) => return message,
                        Ok(None) => match messages.trailers() {
                            Some(trailers) => Status::of_trailers(trailers),
                            None => Some(Status::new(Code::Unavailable, "the answer was cut off")),
                        },
                        Err(_) => None,
                    };
                    self.state = State::Ended;
                    return ended.map_or(message, Err);
                }
            }
        }
    }
}

/// Reads the head of an answer; `None` when that is all and it went well.
fn begin(answer: Response<hyper::body::Incoming>) -> Result<Option<Messages>, Status> {
    let (head, body) = answer.into_parts();
    if head.status != StatusCode::OK {
        return Err(Status::new(
            Code::Unknown,
            format!("the answer is HTTP {}", head.status),
        ));
    }
    let media_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !media_type.is_some_and(|media_type| media_type.starts_with(MEDIA_TYPE.as_bytes())) {
        // A server of Go's that was stopped says this, on a connection that nobody closed.
        return Err(Status::new(Code::Unavailable, "the client serves no calls any more"));
    }
    // An answer without messages has its trailers in its head.
    if head.headers.contains_key("grpc-status") {
        return Status::of_trailers(&head.headers).map_or(Ok(None), Err);
    }
    Ok(Some(Messages::new(body)))
}

fn lost(error: hyper::Error) -> Status {
    Status::new(Code::Unavailable, format!("the client is gone: {error}"))
}
