// SPDX-License-Identifier: MIT
//! The sending half of a call.
//!
//! A half that is dropped before [`Outgoing::finish`] resets the stream: the client must not take what was sent so far for the whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

use super::frame::frame;

/// So many pieces wait for the connection.
const QUEUE: usize = 16;

#[derive(Debug)]
enum Item {
    Bytes(Bytes),
    End,
}

/// The nearer end: what is sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    sender: mpsc::Sender<Item>,
}

/// The farther end: the body of a request.
#[derive(Debug)]
pub(crate) struct Feed {
    receiver: mpsc::Receiver<Item>,
    ended: bool,
}

/// The client takes nothing any more; how the call ended says why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotTaken;

/// Makes both ends.
pub(crate) fn feed() -> (Outgoing, Feed) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let ended = false;
    (Outgoing { sender }, Feed { receiver, ended })
}

impl Feed {
    /// Makes the body of a call with one message.
    pub(crate) fn of(message: &impl prost::Message) -> Self {
        let (outgoing, feed) = feed();
        // A new queue has room for both.
        drop(outgoing.sender.try_send(Item::Bytes(frame(message))));
        drop(outgoing.sender.try_send(Item::End));
        feed
    }
}

impl Outgoing {
    /// Sends a message; waits when the client is slow. Cancel-safe: a message is sent or not.
    ///
    /// # Errors
    /// When the call has ended.
    pub(crate) async fn send(&self, message: &impl prost::Message) -> Result<(), NotTaken> {
        self.send_framed(frame(message)).await
    }

    /// Sends messages that are in their frames already.
    ///
    /// # Errors
    /// When the call has ended.
    pub(crate) async fn send_framed(&self, messages: Bytes) -> Result<(), NotTaken> {
        self.sender.send(Item::Bytes(messages)).await.map_err(|_| NotTaken)
    }

    /// Says that all was sent.
    ///
    /// # Errors
    /// When the call has ended.
    pub(crate) async fn finish(self) -> Result<(), NotTaken> {
        self.sender.send(Item::End).await.map_err(|_| NotTaken)
    }
}

impl Body for Feed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.receiver.poll_recv(context).map(|item| match item {
            Some(Item::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Item::End) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                Some(Err(io::Error::other("given up")))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
