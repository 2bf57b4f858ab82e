// SPDX-License-Identifier: MIT
//! All sessions: by uuid, from the upgrade of a connection until its end.
//!
//! Builds hold sessions; a session that has ended answers every call with an error at once. Nothing is on disk but what the content
//! cache has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hyperbox_core::seam::AttachIo;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::cache::ContentCache;
use super::client::ClientSession;
use super::health::{self, Patience};
use super::{Offer, Session, Sessions};
use crate::transport::client::Channel;
use crate::transport::status::{Code, Status};

/// More sessions than this are no builds.
const MOST: usize = 1024;

/// The sessions of a daemon.
#[derive(Debug)]
pub(crate) struct Registry {
    cache: ContentCache,
    patience: Patience,
    sessions: Mutex<HashMap<String, Arc<ClientSession>>>,
    /// Told when one was added.
    added: watch::Sender<()>,
}

impl Registry {
    /// Makes one without sessions.
    pub(crate) fn new(cache: ContentCache) -> Self {
        Self::with_patience(cache, Patience::default())
    }

    /// Makes one that asks clients whether they are there so often.
    pub(super) fn with_patience(cache: ContentCache, patience: Patience) -> Self {
        Self {
            cache,
            patience,
            sessions: Mutex::default(),
            added: watch::Sender::default(),
        }
    }

    fn add(&self, session: &Arc<ClientSession>) -> Result<Present<'_>, &'static str> {
        let id = session.id().to_owned();
        let mut sessions = lock(&self.sessions);
        if sessions.contains_key(&id) {
            return Err("there is a session of this uuid already");
        }
        if sessions.len() >= MOST {
            return Err("there are too many sessions");
        }
        sessions.insert(id, Arc::clone(session));
        drop(sessions);
        self.added.send_replace(());
        Ok(Present {
            registry: self,
            session: Arc::clone(session),
        })
    }

    fn get(&self, id: &str) -> Option<Arc<ClientSession>> {
        lock(&self.sessions).get(id).cloned()
    }
}

/// Keeps a session among the others.
struct Present<'r> {
    registry: &'r Registry,
    session: Arc<ClientSession>,
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        lock(&self.registry.sessions).remove(self.session.id());
        self.session.end();
        self.registry.cache.forget(&self.session.cache_name());
    }
}

#[async_trait]
impl Sessions for Registry {
    async fn serve(&self, offer: Offer, io: Box<dyn AttachIo>) {
        let id = offer.id.clone();
        let ended = CancellationToken::new();
        // However this ends, so does the connection, and with it every call.
        let _severing = ended.clone().drop_guard();
        let (channel, connection) = match Channel::open(io, ended.clone()).await {
            Ok(opened) => opened,
            Err(error) => {
                tracing::debug!(session = id, %error, "a client was gone before its session began");
                return;
            }
        };
        let session = Arc::new(ClientSession::new(offer, channel.clone(), self.cache.clone(), ended));
        let _present = match self.add(&session) {
            Ok(present) => present,
            Err(reason) => {
                tracing::warn!(session = id, reason, "a session is refused");
                return;
            }
        };
        tracing::debug!(session = id, "a session begins");
        tokio::select! {
            ended = connection => {
                let error = ended.err().map(|error| error.to_string());
                tracing::debug!(session = id, error, "a session ends");
            }
            () = health::lost(&channel, self.patience, || session.is_used()) => {
                tracing::info!(session = id, "the client of a session does not answer any more");
            }
        }
    }

    async fn find(&self, id: &str) -> Result<Arc<dyn Session>, Status> {
        // What stands before a colon tells contexts of one session from each other.
        let id = id
            .split_once(':')
            .map_or(id, |(_, rest)| if rest.is_empty() { id } else { rest });
        let mut added = self.added.subscribe();
        let coming = async {
            loop {
                if let Some(session) = self.get(id) {
                    return session;
                }
                // The sender lives as long as the registry.
                if added.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        match timeout(self.patience.late, coming).await {
            Ok(session) => Ok(session),
            Err(_) => Err(Status::new(
                Code::NotFound,
                format!("no active session for {id}: context deadline exceeded"),
            )),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
