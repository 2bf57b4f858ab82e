// SPDX-License-Identifier: MIT
//! The body of a request, which never cuts a client off while it still sends.
//!
//! hyper closes a connection whose request body was dropped before its end, since it could not find the next request. A client
//! that is in the middle of writing then sees `EPIPE` (`unix(7)`) and reports that instead of the answer. So whatever is left when
//! a body is dropped (the handler did not want it, or refused before reading it) is read and thrown away beside the answer, which
//! does not wait for it. Within limits: a client that sends without end, or stops sending, is cut off.
//!
//! A body that the client has announced (`Expect: 100-continue`) and nobody began to read is left alone: reading it would ask for
//! it. The discarding runs among the door's sessions, so a shutdown ends it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::call::Door;

/// How many bytes are thrown away.
const DISCARDED: usize = 1 << 20;
/// How many bytes of an upload (a build context, an archive) are thrown away.
const DISCARDED_OF_UPLOADS: usize = 64 << 20;
/// How long the client may take to send them.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take to send an upload.
const PATIENCE_WITH_UPLOADS: Duration = Duration::from_secs(20);

/// The body of a request; what is not read of it is discarded within limits when it is dropped.
#[derive(Debug)]
pub(crate) struct RequestBody {
    /// Empty only while it is being dropped, or at the end.
    incoming: Option<Incoming>,
    door: Arc<Door>,
    /// The client sends it only when it is asked to.
    expected: bool,
    limit: usize,
    patience: Duration,
}

impl RequestBody {
    /// Wraps a body; `expected` tells that the client waits with it until it is read.
    pub(crate) fn new(incoming: Incoming, door: Arc<Door>, expected: bool) -> Self {
        Self {
            incoming: Some(incoming),
            door,
            expected,
            limit: DISCARDED,
            patience: PATIENCE,
        }
    }

    /// Says that the body is an archive, of which more is thrown away before the client is cut off.
    pub(crate) fn is_upload(&mut self) {
        self.limit = DISCARDED_OF_UPLOADS;
        self.patience = PATIENCE_WITH_UPLOADS;
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(incoming).poll_frame(context));
        self.expected = false;
        if !matches!(frame, Some(Ok(_))) {
            self.incoming = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.expected || self.is_end_stream() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let Some(incoming) = self.incoming.take() else { return };
        let (limit, patience) = (self.limit, self.patience);
        self.door.spawn(async move {
            // Too slow or too much: dropping the rest closes the connection.
            let _ = tokio::time::timeout(patience, discard(incoming, limit)).await;
        });
    }
}

/// Reads a body to its end, or to the limit.
async fn discard(mut incoming: Incoming, mut limit: usize) {
    while let Some(Ok(frame)) = incoming.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match limit.checked_sub(length) {
            Some(rest) => limit = rest,
            None => return,
        }
    }
}
