// SPDX-License-Identifier: MIT
//! Answers calls on one connection.
//!
//! Calls run side by side, each in a task of its own that ends with its stream: a client that resets a call, or goes, drops the future
//! of whoever answers it. A peer that does not answer pings any more is gone.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyperbox_core::seam::AttachIo;

use super::MEDIA_TYPE;
use super::frame::Messages;
use super::status::{Code, Status};

/// How often a peer that says nothing is asked whether it is there, and how long it may take to answer: one that is stopped for a while
/// is not gone, and its builds are not to be.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(60);

/// Calls that one connection may have open. A build has three from its beginning to its end, clients begin all targets of a file at once,
/// and the call that waits for another's end may be the one that would bring it about. Servers of Go's have no limit.
const STREAMS: u32 = 1 << 16;
/// Headers of a call: build arguments are not among them.
const HEADERS: u32 = 64 * 1024;

/// The messages of an answer, framed; an error ends it.
pub(crate) type Replies = BoxStream<'static, Result<Bytes, Status>>;

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    /// `/package.Service/Method`.
    pub(crate) path: String,
    /// Its metadata.
    pub(crate) headers: HeaderMap,
    /// What the client sends.
    pub(crate) messages: Messages,
}

/// Whoever answers calls.
#[async_trait]
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers one.
    ///
    /// # Errors
    /// How the call ends when it does not go well. Dropped when the client does not wait any more.
    async fn answer(&self, call: Call) -> Result<Replies, Status>;
}

/// Makes an answer of one message.
pub(crate) fn one(message: &impl prost::Message) -> Replies {
    stream::once(std::future::ready(Ok(super::frame::frame(message)))).boxed()
}

/// Serves a connection until its end.
pub(crate) async fn serve(io: Box<dyn AttachIo>, handler: Arc<dyn Handler>) {
    let service = service_fn(move |request| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(answer(handler.as_ref(), request).await) }
    });
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .initial_connection_window_size(super::CONNECTION_WINDOW)
        .serve_connection(TokioIo::new(io), service)
        .await;
    if let Err(error) = served {
        // Clients close their connections when they have what they want.
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "connection of a build client ended"
        );
    }
}

async fn answer(handler: &dyn Handler, request: Request<Incoming>) -> Response<Body> {
    let media_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !media_type.is_some_and(|media_type| media_type.starts_with(MEDIA_TYPE.as_bytes())) {
        let mut response = Response::new(StreamBody::new(stream::empty().boxed()));
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    tracing::debug!(path, "call");
    let call = Call {
        path: path.clone(),
        headers: head.headers,
        messages: Messages::new(body),
    };
    let frames = match handler.answer(call).await {
        Ok(replies) => body_of(replies),
        Err(status) => {
            tracing::debug!(path, code = ?status.code, message = status.message, "call failed");
            trailers(status.trailers())
        }
    };
    let mut response = Response::new(StreamBody::new(frames));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}

fn trailers(trailers: HeaderMap) -> BoxStream<'static, Result<Frame<Bytes>, Infallible>> {
    stream::once(std::future::ready(Ok(Frame::trailers(trailers)))).boxed()
}

/// Sends messages, then how it ended.
fn body_of(replies: Replies) -> BoxStream<'static, Result<Frame<Bytes>, Infallible>> {
    stream::unfold(Some(replies), |replies| async move {
        let mut replies = replies?;
        Some(match replies.next().await {
            Some(Ok(message)) => (Ok(Frame::data(message)), Some(replies)),
            Some(Err(status)) => (Ok(Frame::trailers(status.trailers())), None),
            None => (Ok(Frame::trailers(Status::ok())), None),
        })
    })
    .boxed()
}

/// Makes a status of a task that did not end by itself.
pub(crate) fn interrupted() -> Status {
    Status::new(Code::Cancelled, "context canceled")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::proto::control::Empty;
    use crate::transport::client::Channel;

    /// More than servers often allow, as a file of many targets has them.
    const CALLS: usize = 1200;

    /// Answers all calls when the last one has come.
    #[derive(Default)]
    struct Gathering {
        come: AtomicUsize,
        complete: Notify,
    }

    #[async_trait]
    impl Handler for Gathering {
        async fn answer(&self, _call: Call) -> Result<Replies, Status> {
            let complete = self.complete.notified();
            tokio::pin!(complete);
            complete.as_mut().enable();
            if self.come.fetch_add(1, Ordering::SeqCst) + 1 == CALLS {
                self.complete.notify_waiters();
            }
            complete.await;
            Ok(one(&Empty {}))
        }
    }

    #[tokio::test]
    async fn calls_that_wait_for_each_other_are_all_taken() {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let serving = tokio::spawn(serve(Box::new(far), Arc::new(Gathering::default())));
        let ended = CancellationToken::new();
        let opened = Channel::open(near, ended.clone()).await;
        let (channel, connection) = opened.expect("a connection");
        let connection = tokio::spawn(connection);
        let calls = (0..CALLS).map(|_| channel.unary::<_, Empty>("/x/y", &Empty {}));
        let answers = tokio::time::timeout(Duration::from_secs(60), futures_util::future::join_all(calls));
        for answer in answers.await.expect("they wait for each other") {
            answer.expect("an answer");
        }
        ended.cancel();
        drop(connection.await);
        serving.await.expect("it ends");
    }
}
