// SPDX-License-Identifier: MIT
//! The content of a file as a request body, read in pieces and counted.
//!
//! Reads are positional: an abandoned attempt may still have a read in flight, which must not move the next one's position.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream;

const PIECE: usize = 256 * 1024;

/// Makes a body of the bytes `from..to`; `position` follows the bytes handed to the connection.
pub(crate) fn body(file: Arc<File>, from: u64, to: u64, position: Arc<AtomicU64>) -> reqwest::Body {
    position.store(from, Ordering::Relaxed);
    reqwest::Body::wrap_stream(stream::try_unfold(from, move |at| {
        let file = Arc::clone(&file);
        let position = Arc::clone(&position);
        async move {
            if at >= to {
                return Ok(None);
            }
            let length = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
            let reading = tokio::task::spawn_blocking(move || read(&file, at, length));
            let piece = reading.await.map_err(io::Error::other)??;
            let next = at + piece.len() as u64;
            position.store(next, Ordering::Relaxed);
            Ok::<_, io::Error>(Some((piece, next)))
        }
    }))
}

fn read(file: &File, at: u64, length: usize) -> io::Result<Bytes> {
    let mut piece = vec![0; length];
    file.read_exact_at(&mut piece, at)?;
    Ok(Bytes::from(piece))
}
