// SPDX-License-Identifier: MIT
//! Questions that come by connections (RFC 7766): several in a row, answered in the order in which the answers are known.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{LARGEST_QUESTION, REST};
use crate::message::Transport;
use crate::resolver::{Reaction, Resolver, forward};

/// Questions of one connection that others are asked at the same time; the next is read when one of them is answered.
const PIPELINED: usize = 32;

/// Answers connections until the task is ended.
pub(crate) async fn serve(listener: TcpListener, resolver: Arc<Resolver>) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= resolver.configuration().connections_per_container {
            connections.join_next().await;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(converse(stream, resolver.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "connections cannot be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Answers one connection until the client ends it, is silent for too long, or sends what is no message.
async fn converse(stream: TcpStream, resolver: Arc<Resolver>) {
    let (reader, writer) = stream.into_split();
    let (sender, answers) = mpsc::channel(PIPELINED);
    tokio::join!(
        read_questions(reader, &resolver, sender),
        write_answers(writer, &resolver, answers)
    );
}

async fn read_questions(mut reader: OwnedReadHalf, resolver: &Resolver, answers: mpsc::Sender<Vec<u8>>) {
    let mut forwards = JoinSet::new();
    while let Ok(Some(message)) = timeout(resolver.configuration().idle, read_message(&mut reader)).await {
        match resolver.answer(&message, Transport::Connection) {
            Reaction::Silence => {}
            Reaction::Answer(answer) => {
                if answers.send(answer).await.is_err() {
                    return;
                }
            }
            Reaction::Ask(asking) => {
                let answers = answers.clone();
                forwards.spawn(async move {
                    if let Some(answer) = forward(asking).await {
                        // Nobody to write to: the connection is gone.
                        drop(answers.send(answer).await);
                    }
                });
            }
        }
        while forwards.len() >= PIPELINED {
            forwards.join_next().await;
        }
        while forwards.try_join_next().is_some() {}
    }
    // The client may have said all that it has to say, and wait.
    while forwards.join_next().await.is_some() {}
}

/// Reads one message; `None` at the end and for what is too long to be a question.
async fn read_message(reader: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = usize::from(reader.read_u16().await.ok()?);
    if length > LARGEST_QUESTION {
        return None;
    }
    let mut message = vec![0; length];
    reader.read_exact(&mut message).await.ok()?;
    Some(message)
}

async fn write_answers(mut writer: OwnedWriteHalf, resolver: &Resolver, mut answers: mpsc::Receiver<Vec<u8>>) {
    while let Some(answer) = answers.recv().await {
        let Ok(length) = u16::try_from(answer.len()) else {
            continue;
        };
        let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
        let written = timeout(resolver.configuration().idle, writer.write_all(&framed)).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}
