// SPDX-License-Identifier: MIT
//! Answers challenges: remembers what each registry asks for, and keeps tokens while they live.
//!
//! Tokens are kept by endpoint, scope and credentials, so nobody is served with somebody else's. Parallel requests that need the
//! same token share one request for it (the slot's lock is held while it is fetched). Only in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};
use hyperbox_core::seam::Credentials;
use hyperbox_types::{Digest, DigestAlgorithm};

use crate::challenge::{Challenge, Scheme};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::hashing::digest;
use crate::scope::Scope;
use crate::token::{TOKEN_RESPONSE_LIMIT, Token, TokenServer, TokenUse, basic_header, parse_token, secret_header};
use crate::transport::Transport;

/// A token is not used in the last seconds of its life: the request needs some time.
const MARGIN: Duration = Duration::from_secs(5);
/// How many slots are kept before unused ones are dropped.
const MAX_SLOTS: usize = 256;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Demand {
    Basic,
    Bearer(TokenServer),
}

impl Demand {
    /// Chooses among challenges: a token rather than the password with each request. `None` when none is understood.
    pub(crate) fn choose(challenges: &[Challenge], endpoint: &Endpoint) -> Result<Option<Self>, Failure> {
        let find = |scheme: &Scheme| challenges.iter().find(|challenge| challenge.scheme == *scheme);
        if let Some(bearer) = find(&Scheme::Bearer) {
            let server = TokenServer::new(bearer.parameter("realm"), bearer.parameter("service"), endpoint.base())?;
            return Ok(Some(Self::Bearer(server)));
        }
        Ok(find(&Scheme::Basic).map(|_| Self::Basic))
    }
}

/// Who asks for what, where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) scope: &'a Scope,
    pub(crate) credentials: Option<&'a Credentials>,
}

#[derive(Debug, Default)]
pub(crate) struct Authenticator {
    demands: Mutex<HashMap<String, Demand>>,
    slots: Mutex<HashMap<SlotKey, Slot>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SlotKey {
    base: String,
    scope: String,
    credentials: Option<Digest>,
}

type Slot = Arc<tokio::sync::Mutex<Option<(Token, Instant)>>>;

impl Authenticator {
    /// Returns the header to send at once, from what is known of the registry.
    pub(crate) async fn header(
        &self,
        access: Access<'_>,
        transport: &Transport,
    ) -> Result<Option<HeaderValue>, Failure> {
        if let Some(header) = fixed_header(access.credentials)? {
            return Ok(Some(header));
        }
        let demand = self.remembered(access.endpoint);
        match demand {
            None => Ok(None),
            Some(Demand::Basic) => Ok(password(access.credentials).map(basic_header)),
            Some(Demand::Bearer(server)) => {
                let token = self.token(&server, access, access.scope, None, transport).await?;
                Ok(Some(token))
            }
        }
    }

    /// Answers a 401: returns the header to try again with, or `None` when there is nothing better than `refused`.
    pub(crate) async fn answer(
        &self,
        access: Access<'_>,
        challenges: &[Challenge],
        refused: Option<&HeaderValue>,
        transport: &Transport,
    ) -> Result<Option<HeaderValue>, Failure> {
        if fixed_header(access.credentials)?.is_some() {
            return Ok(None);
        }
        let Some(demand) = Demand::choose(challenges, access.endpoint)? else {
            return Ok(None);
        };
        self.remember(access.endpoint, &demand);
        match demand {
            Demand::Basic => match password(access.credentials).map(basic_header) {
                None => Err(Failure::NoCredentials {
                    url: access.endpoint.url("").to_string(),
                }),
                Some(header) if refused == Some(&header) => Ok(None),
                Some(header) => Ok(Some(header)),
            },
            Demand::Bearer(server) => {
                let asked = challenges.iter().filter_map(|challenge| challenge.parameter("scope"));
                let scope = asked.fold(access.scope.clone(), |scope, more| scope.union(&Scope::parse(more)));
                self.token(&server, access, &scope, refused, transport).await.map(Some)
            }
        }
    }

    /// Returns a living token that is not `refused`. It is kept for `access.scope` even when the challenge asked for more.
    async fn token(
        &self,
        server: &TokenServer,
        access: Access<'_>,
        scope: &Scope,
        refused: Option<&HeaderValue>,
        transport: &Transport,
    ) -> Result<HeaderValue, Failure> {
        let slot = self.slot(access);
        let mut kept = slot.lock().await;
        let living = kept
            .as_ref()
            .filter(|(token, until)| Instant::now() < *until && Some(&token.header) != refused);
        if let Some((token, _)) = living {
            return Ok(token.header.clone());
        }
        *kept = None;
        let token = fetch_token(server, scope, access.credentials, TokenUse::Session, transport).await?;
        let header = token.header.clone();
        let until = Instant::now() + token.life.saturating_sub(MARGIN);
        *kept = Some((token, until));
        Ok(header)
    }

    fn remembered(&self, endpoint: &Endpoint) -> Option<Demand> {
        let demands = self.demands.lock().unwrap_or_else(PoisonError::into_inner);
        demands.get(endpoint.base().as_str()).cloned()
    }

    fn remember(&self, endpoint: &Endpoint, demand: &Demand) {
        let mut demands = self.demands.lock().unwrap_or_else(PoisonError::into_inner);
        demands.insert(endpoint.base().as_str().to_owned(), demand.clone());
    }

    fn slot(&self, access: Access<'_>) -> Slot {
        let key = SlotKey {
            base: access.endpoint.base().as_str().to_owned(),
            scope: access.scope.to_string(),
            credentials: access.credentials.map(fingerprint),
        };
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_SLOTS {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

/// Fetches a token.
pub(crate) async fn fetch_token(
    server: &TokenServer,
    scope: &Scope,
    credentials: Option<&Credentials>,
    wanted: TokenUse,
    transport: &Transport,
) -> Result<Token, Failure> {
    let answer = transport.send(&server.request(scope, credentials, wanted)).await?;
    let host = answer.host.clone();
    if answer.status() != StatusCode::OK {
        return Err(transport.status_failure(answer).await);
    }
    match transport.read_body(answer, TOKEN_RESPONSE_LIMIT).await? {
        Some(body) => parse_token(&host, &body),
        None => Err(Failure::protocol(&host, "sent an answer far too long for a token")),
    }
}

/// A token that the caller brought is sent as it is, whatever the registry asks for.
fn fixed_header(credentials: Option<&Credentials>) -> Result<Option<HeaderValue>, Failure> {
    let token = credentials.and_then(|credentials| credentials.registry_token.as_deref());
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    match secret_header("Bearer", token) {
        Some(header) => Ok(Some(header)),
        None => Err(Failure::Refused {
            reason: "the given registry token has characters that no header can carry".to_owned(),
        }),
    }
}

/// Returns the credentials when they have a password: a refresh token is none.
fn password(credentials: Option<&Credentials>) -> Option<&Credentials> {
    credentials.filter(|credentials| !credentials.username.is_empty() || !credentials.password.is_empty())
}

fn fingerprint(credentials: &Credentials) -> Digest {
    let parts = [
        credentials.username.as_str(),
        credentials.password.as_str(),
        credentials.identity_token.as_deref().unwrap_or_default(),
    ];
    let mut text = String::new();
    for part in parts {
        text.push_str(&format!("{}:{part}", part.len()));
    }
    digest(DigestAlgorithm::Sha256, text.as_bytes())
}
