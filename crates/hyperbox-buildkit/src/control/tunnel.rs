// SPDX-License-Identifier: MIT
//! `Control.Session`: a session inside a call. The bytes of its connection go in messages, both ways; what is said of it is in the
//! metadata of the call.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio_util::task::AbortOnDropHandle;

use super::Control;
use crate::proto::control::BytesMessage;
use crate::session::Offer;
use crate::transport::frame::{Messages, decode, frame};
use crate::transport::server::{Call, Replies};
use crate::transport::status::Status;

/// How much is under way in each direction.
const BUFFER: usize = 256 * 1024;
/// The longest message that is sent.
const PIECE: usize = 32 * 1024;

/// Speaks with the client until either ends the call.
///
/// # Errors
/// When the metadata does not name a session.
pub(super) async fn session(control: &Arc<Control>, call: Call) -> Result<Replies, Status> {
    let offer = Offer::of(&call.headers)?;
    let (near, far) = tokio::io::duplex(BUFFER);
    let (from_session, to_session) = tokio::io::split(near);
    let sessions = Arc::clone(&control.sessions);
    // The answer holds it: both end together.
    let serving = AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::join!(sessions.serve(offer, Box::new(far)), pass_in(call.messages, to_session));
    }));
    let pieces = stream::unfold((from_session, serving), |(mut from, serving)| async move {
        let piece = read(&mut from).await?;
        Some((Ok(frame(&BytesMessage { data: piece })), (from, serving)))
    });
    Ok(pieces.boxed())
}

async fn read(from: &mut ReadHalf<DuplexStream>) -> Option<Bytes> {
    let mut piece = vec![0; PIECE];
    let length = from.read(&mut piece).await.unwrap_or(0);
    piece.truncate(length);
    (length > 0).then(|| piece.into())
}

/// Passes on what the client sends, to its end.
async fn pass_in(mut messages: Messages, mut to: WriteHalf<DuplexStream>) {
    loop {
        let message = match messages.next().await {
            Ok(Some(message)) => decode::<BytesMessage>(message),
            Ok(None) => break,
            Err(status) => Err(status),
        };
        match message {
            Ok(message) if to.write_all(&message.data).await.is_ok() => {}
            Ok(_) => return,
            Err(status) => {
                tracing::debug!(%status, "a session inside a call ended");
                break;
            }
        }
    }
    // The session may have ended already.
    drop(to.shutdown().await);
}
