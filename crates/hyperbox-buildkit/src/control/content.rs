// SPDX-License-Identifier: MIT
//! The service `containerd.services.content.v1.Content`, as far as the history of builds needs it: blobs that records name are read, by
//! digest and in pieces. There is nothing else in it, and nobody writes.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::Control;
use crate::proto::content::{Info, InfoRequest, InfoResponse, ReadContentRequest, ReadContentResponse};
use crate::transport::frame::frame;
use crate::transport::server::{Call, Replies, one};
use crate::transport::status::{Code, Status};

/// The longest message that is sent.
const PIECE: usize = 1 << 20;

/// Answers a call.
///
/// # Errors
/// [`Code::NotFound`] for what no record names; [`Code::OutOfRange`]; [`Code::Unimplemented`] for everything but reading.
pub(super) async fn answer(control: &Control, mut call: Call) -> Result<Replies, Status> {
    match call.path.rsplit('/').next().unwrap_or_default() {
        "Info" => {
            let InfoRequest { digest } = call.messages.only().await?;
            let blob = blob(control, &digest).await?;
            let info = Info {
                digest,
                size: i64::try_from(blob.len()).unwrap_or(i64::MAX),
                ..Info::default()
            };
            Ok(one(&InfoResponse { info: Some(info) }))
        }
        "Read" => {
            let request: ReadContentRequest = call.messages.only().await?;
            let blob = blob(control, &request.digest).await?;
            let messages = pieces(&blob, request.offset, request.size)?;
            Ok(stream::iter(messages.into_iter().map(|message| Ok(frame(&message)))).boxed())
        }
        _ => Err(Status::unimplemented(&call.path)),
    }
}

async fn blob(control: &Control, digest: &str) -> Result<Bytes, Status> {
    let found = control.history.blob(digest).await?;
    found.ok_or_else(|| Status::new(Code::NotFound, format!("content {digest}: not found")))
}

/// Cuts what is asked for; no size is everything to the end. Pure.
fn pieces(blob: &Bytes, offset: i64, size: i64) -> Result<Vec<ReadContentResponse>, Status> {
    let wrong = || {
        let message = format!("read past object length {} bytes", blob.len());
        Status::new(Code::OutOfRange, message)
    };
    let start = usize::try_from(offset).map_err(|_| wrong())?;
    let size = usize::try_from(size).map_err(|_| wrong())?;
    let end = match size {
        0 => blob.len(),
        size => start.checked_add(size).ok_or_else(wrong)?,
    };
    if start > end || end > blob.len() {
        return Err(wrong());
    }
    let starts = (start..end).step_by(PIECE);
    let pieces = starts.map(|start| ReadContentResponse {
        offset: i64::try_from(start).unwrap_or(i64::MAX),
        data: blob.slice(start..end.min(start + PIECE)),
    });
    Ok(pieces.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_read_in_pieces() {
        let blob = Bytes::from(vec![7; PIECE + 10]);
        for (offset, size, expected) in [
            (0, 0, Some(vec![(0, PIECE), (PIECE, 10)])),
            (5, 3, Some(vec![(5, 3)])),
            (PIECE, 10, Some(vec![(PIECE, 10)])),
            (PIECE + 10, 0, Some(vec![])),
            (PIECE + 11, 0, None),
            (0, PIECE + 11, None),
        ] {
            let read = pieces(&blob, offset as i64, size as i64).ok();
            let lengths = read.map(|read| {
                let lengths = read
                    .iter()
                    .map(|piece| (usize::try_from(piece.offset).expect("an offset"), piece.data.len()));
                lengths.collect::<Vec<_>>()
            });
            assert_eq!(lengths, expected, "{offset} {size}");
        }
        for (offset, size) in [(-1, 0), (0, -1), (i64::MAX, i64::MAX)] {
            assert!(pieces(&blob, offset, size).is_err(), "{offset} {size}");
        }
    }
}
