// SPDX-License-Identifier: MIT
//! What a client uploads once: the archive that `docker build -` reads from its standard input.

use futures_util::stream;
use http::Uri;
use hyperbox_core::seam::FileStream;

use super::client::Line;
use super::metadata;
use crate::proto::filesync::Piece;
use crate::transport::client::{Incoming, Metadata};
use crate::transport::frame::decode;
use crate::transport::status::{Code, Status};

const PULL: &str = "/moby.upload.v1.Upload/Pull";

/// Reads what the client has under an address (`http://buildkit-session/ID`).
///
/// # Errors
/// An address that is none; a client that uploads nothing. Others are told by the stream.
pub(super) async fn pull(line: &Line, address: &str) -> Result<FileStream, Status> {
    let malformed = |_| Status::new(Code::InvalidArgument, format!("{address:?} is no address of an upload"));
    let address: Uri = address.parse().map_err(malformed)?;
    let mut headers = Metadata::new();
    metadata::append(&mut headers, "urlpath", [address.path()]);
    metadata::append(&mut headers, "urlhost", address.host());
    let (outgoing, incoming) = line.streaming(PULL, &headers)?;
    // The client only sends.
    drop(outgoing.finish().await);
    Ok(Box::pin(stream::unfold(Some(incoming), next)))
}

async fn next(incoming: Option<Incoming>) -> Option<(std::io::Result<bytes::Bytes>, Option<Incoming>)> {
    let mut incoming = incoming?;
    let piece = match incoming.next().await {
        Ok(None) => return None,
        Ok(Some(message)) => decode::<Piece>(message),
        Err(status) => Err(status),
    };
    Some(match piece {
        Ok(piece) => (Ok(piece.data), Some(incoming)),
        Err(status) => (Err(std::io::Error::other(status.message)), None),
    })
}
