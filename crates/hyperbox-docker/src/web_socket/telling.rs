// SPDX-License-Identifier: MIT
//! A WebSocket on which only the daemon talks: each document is a message of text.
//!
//! One loop writes, so that frames never mix. What the client sends is read to see its pings and its going, and is otherwise ignored.

use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::frame::{Incoming, Kind, Reader, close};
use super::session::{NORMAL, PROTOCOL_ERROR, send};
use crate::client_io::ClientIo;
use crate::hijack::Ending;

const BUFFER: usize = 4096;

/// Sends documents until there are no more or the client goes.
pub(crate) async fn tell(mut client: ClientIo, documents: impl Stream<Item = Vec<u8>> + Send + Unpin) -> Ending {
    let first = client.take_read_already();
    let (answers, asked) = mpsc::channel(8);
    let ending = {
        let output = write(documents, &client, asked);
        let input = read(&client, &first, answers);
        tokio::pin!(output, input);
        tokio::select! {
            biased;
            ending = &mut output => ending,
            ending = &mut input => ending,
        }
    };
    let status = match ending {
        Ending::Malformed => PROTOCOL_ERROR,
        _ => NORMAL,
    };
    if ending != Ending::ClientGone {
        // A client that is gone needs no farewell.
        drop(client.write_all(&close(status)).await);
    }
    client.finish().await;
    ending
}

async fn write(
    mut documents: impl Stream<Item = Vec<u8>> + Unpin,
    client: &ClientIo,
    mut asked: mpsc::Receiver<Vec<u8>>,
) -> Ending {
    loop {
        let sent = tokio::select! {
            Some(payload) = asked.recv() => send(client, Kind::Pong, &payload).await,
            document = documents.next() => match document {
                None => return Ending::OutputEnded,
                Some(document) => send(client, Kind::Text, &document).await,
            },
        };
        if sent.is_err() {
            return Ending::ClientGone;
        }
    }
}

async fn read(client: &ClientIo, first: &[u8], answers: mpsc::Sender<Vec<u8>>) -> Ending {
    let mut reader = Reader::default();
    let mut incoming = Vec::new();
    let mut buffer = vec![0; BUFFER];
    let mut arrived = first.to_vec();
    loop {
        let well_formed = reader.feed(&arrived, &mut incoming);
        for message in incoming.drain(..) {
            match message {
                Incoming::Data(_) => {}
                // The writer is gone only when the session is over.
                Incoming::Ping(payload) => drop(answers.send(payload).await),
                Incoming::Close => return Ending::Closed,
            }
        }
        if well_formed.is_err() {
            return Ending::Malformed;
        }
        match client.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ending::ClientGone,
            Ok(length) => arrived = buffer[..length].to_vec(),
        }
    }
}
