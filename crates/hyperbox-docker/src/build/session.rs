// SPDX-License-Identifier: MIT
//! What a build asks its client on the native route: secrets and SSH agents, on the connection that the messages go on.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyperbox_build::StepError;
use hyperbox_build::request::{Secrets, SshAgents};
use hyperbox_core::seam::AttachIo;
use hyperbox_types::ErrorKind;
use hyperbox_types::build::{BuildAnswer, BuildMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

/// How much of an SSH agent's talk is under way.
const AGENT_BUFFER: usize = 16 * 1024;

/// What is to be sent to the client.
#[derive(Debug)]
pub(super) enum Outgoing {
    Message(Box<BuildMessage>),
    Output(Vec<u8>),
}

type Answer = Result<Option<Bytes>, String>;

/// A client that can be asked.
#[derive(Debug)]
pub(super) struct Client {
    out: mpsc::Sender<Outgoing>,
    secrets: BTreeSet<String>,
    agents: BTreeSet<String>,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    connections: Mutex<HashMap<u64, mpsc::Sender<Bytes>>>,
}

impl Client {
    pub(super) fn new(out: mpsc::Sender<Outgoing>, secrets: &[String], agents: &[String]) -> Arc<Self> {
        Arc::new(Self {
            out,
            secrets: secrets.iter().cloned().collect(),
            agents: agents.iter().cloned().collect(),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
            connections: Mutex::default(),
        })
    }

    async fn ask(&self, message: BuildMessage) -> Result<(), StepError> {
        let sent = self.out.send(Outgoing::Message(Box::new(message))).await;
        sent.map_err(|_| gone())
    }

    /// Takes an answer in.
    pub(super) async fn answered(&self, answer: BuildAnswer) {
        match answer {
            BuildAnswer::Secret { question, data, error } => {
                let Some(waiting) = lock(&self.waiting).remove(&question) else {
                    return;
                };
                let answer = match (error, data) {
                    (Some(error), _) => Err(error),
                    (None, Some(data)) => Ok(Some(STANDARD.decode(data).unwrap_or_default().into())),
                    (None, None) => Ok(None),
                };
                // Whoever asked may have stopped.
                drop(waiting.send(answer));
            }
            BuildAnswer::SshData { connection, data } => {
                let bytes = STANDARD.decode(data).unwrap_or_default();
                let known = lock(&self.connections).get(&connection).cloned();
                match known {
                    Some(_) if bytes.is_empty() => drop(lock(&self.connections).remove(&connection)),
                    // The step may have ended.
                    Some(sender) => drop(sender.send(bytes.into()).await),
                    None => {}
                }
            }
            BuildAnswer::ContextFailed { .. } => {}
        }
    }
}

#[async_trait]
impl Secrets for Client {
    async fn secret(&self, id: &str) -> Result<Option<Bytes>, StepError> {
        if !self.secrets.contains(id) {
            return Ok(None);
        }
        let question = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(question, sender);
        let id = id.to_owned();
        self.ask(BuildMessage::Secret { question, id }).await?;
        match receiver.await {
            Ok(Ok(secret)) => Ok(secret),
            Ok(Err(message)) => Err(StepError::invalid(message)),
            Err(_) => Err(gone()),
        }
    }
}

/// Makes agents of a client; connections need to outlive the borrow of a call.
#[derive(Debug)]
pub(super) struct Agents(pub(super) Arc<Client>);

#[async_trait]
impl SshAgents for Agents {
    async fn has(&self, id: &str) -> Result<bool, StepError> {
        Ok(self.0.agents.contains(id))
    }

    async fn connect(&self, id: &str) -> Result<Box<dyn AttachIo>, StepError> {
        let client = Arc::clone(&self.0);
        let connection = client.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel(16);
        lock(&client.connections).insert(connection, sender);
        let id = id.to_owned();
        client.ask(BuildMessage::SshOpen { connection, id }).await?;
        let (near, far) = tokio::io::duplex(AGENT_BUFFER);
        let (from_step, to_step) = tokio::io::split(far);
        tokio::spawn(pass_in(receiver, to_step));
        tokio::spawn(pass_out(client, connection, from_step));
        Ok(Box::new(near))
    }
}

/// Passes on what an agent says.
async fn pass_in(mut receiver: mpsc::Receiver<Bytes>, mut to_step: WriteHalf<DuplexStream>) {
    while let Some(bytes) = receiver.recv().await {
        if to_step.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // The step may be gone.
    drop(to_step.shutdown().await);
}

/// Passes on what a step says.
async fn pass_out(client: Arc<Client>, connection: u64, mut from_step: ReadHalf<DuplexStream>) {
    let mut buffer = vec![0; AGENT_BUFFER];
    loop {
        let length = from_step.read(&mut buffer).await.unwrap_or(0);
        let data = STANDARD.encode(&buffer[..length]);
        let sent = client.ask(BuildMessage::SshData { connection, data }).await;
        if sent.is_err() || length == 0 {
            lock(&client.connections).remove(&connection);
            return;
        }
    }
}

fn gone() -> StepError {
    StepError::Refused {
        kind: ErrorKind::Cancelled,
        message: "the client has gone".to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn secrets_are_asked_for() {
        let (out, mut sent) = mpsc::channel(4);
        let client = Client::new(out, &["a".to_owned()], &[]);
        assert_eq!(client.secret("b").await.expect("no question"), None);
        let asking = client.secret("a");
        let answering = async {
            let Some(Outgoing::Message(message)) = sent.recv().await else {
                panic!("a question");
            };
            let BuildMessage::Secret { question, id } = *message else {
                panic!("{message:?}");
            };
            assert_eq!(id, "a");
            let data = Some(STANDARD.encode("secret"));
            client
                .answered(BuildAnswer::Secret {
                    question,
                    data,
                    error: None,
                })
                .await;
        };
        let (secret, ()) = tokio::join!(asking, answering);
        assert_eq!(secret.expect("an answer").as_deref(), Some(&b"secret"[..]));
    }

    #[tokio::test]
    async fn agents_talk_both_ways() {
        let (out, mut sent) = mpsc::channel(4);
        let agents = Agents(Client::new(out, &[], &["default".to_owned()]));
        assert!(agents.has("default").await.expect("known") && !agents.has("x").await.expect("unknown"));
        let mut stream = agents.connect("default").await.expect("connection");
        let Some(Outgoing::Message(message)) = sent.recv().await else {
            panic!("an opening");
        };
        let BuildMessage::SshOpen { connection, .. } = *message else {
            panic!("{message:?}");
        };
        stream.write_all(b"question").await.expect("written");
        let Some(Outgoing::Message(message)) = sent.recv().await else {
            panic!("bytes");
        };
        assert_eq!(
            *message,
            BuildMessage::SshData {
                connection,
                data: STANDARD.encode("question")
            }
        );
        for text in ["answer", ""] {
            let data = STANDARD.encode(text);
            agents.0.answered(BuildAnswer::SshData { connection, data }).await;
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        assert_eq!(answer, "answer");
    }
}
