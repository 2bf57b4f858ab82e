// SPDX-License-Identifier: MIT
//! One container's questions.
//!
//! [`Resolver::answer`] decides without waiting for anything; what must be asked elsewhere comes back as an [`Asking`] that the caller
//! runs beside the next questions. Types other than addresses, mail exchangers and names of addresses are asked elsewhere even for names
//! of ours, as Docker does: a container may be called like a domain whose text records somebody needs.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use hyperbox_core::seam::ResolverSettings;
use tokio::sync::Semaphore;

use crate::configuration::Configuration;
use crate::forward::{Asking, Sockets, ask};
use crate::message::{Contents, Question, Reading, Transport, encode, read, refuse, shorten};
use crate::view::View;
use crate::zones::Zones;

/// What all containers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) configuration: Configuration,
    pub(crate) zones: RwLock<Zones>,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) questions: Arc<Semaphore>,
    /// How many answers had a choice; for all containers, as the first question of each would else get the same one.
    pub(crate) answered: AtomicUsize,
}

/// Answers one container.
#[derive(Debug)]
pub(crate) struct Resolver {
    shared: Arc<Shared>,
    view: RwLock<Arc<View>>,
    namespace: Arc<OwnedFd>,
    questions: Arc<Semaphore>,
}

/// What is done with a message.
#[derive(Debug)]
pub(crate) enum Reaction {
    /// Nothing.
    Silence,
    /// This is answered.
    Answer(Vec<u8>),
    /// Others are asked.
    Ask(Box<Asking>),
}

/// What is known here about a question.
enum Finding {
    Addresses(Vec<IpAddr>),
    Name(String),
    Nothing,
}

impl Resolver {
    /// Makes a resolver for a container.
    pub(crate) fn new(shared: Arc<Shared>, namespace: OwnedFd, settings: &ResolverSettings) -> Self {
        let questions = Arc::new(Semaphore::new(shared.configuration.questions_per_container));
        Self {
            shared,
            view: RwLock::new(Arc::new(View::new(settings))),
            namespace: Arc::new(namespace),
            questions,
        }
    }

    /// Returns the limits.
    pub(crate) fn configuration(&self) -> &Configuration {
        &self.shared.configuration
    }

    /// Answers by other settings from now on.
    pub(crate) fn change(&self, settings: &ResolverSettings) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(View::new(settings));
    }

    /// Decides about a message.
    pub(crate) fn answer(&self, message: &[u8], transport: Transport) -> Reaction {
        let question = match read(message) {
            Reading::Nothing => return Reaction::Silence,
            Reading::Refused(metadata, code) => {
                return refuse(&metadata, code).map_or(Reaction::Silence, Reaction::Answer);
            }
            Reading::Question(question) => question,
        };
        if question.edns.is_some_and(|edns| edns.version != 0) {
            return failure(&question, ResponseCode::BADVERS);
        }
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = match self.find(&view, &question) {
            Finding::Addresses(addresses) => encode(&question, &Contents::Addresses(&addresses)),
            Finding::Name(name) => encode(&question, &Contents::Name(&name)),
            Finding::Nothing => None,
        };
        match answer {
            Some(answer) if answer.len() <= question.limit(transport) => Reaction::Answer(answer),
            Some(answer) => {
                let limit = question.limit(transport);
                shorten(answer, limit).map_or(Reaction::Silence, Reaction::Answer)
            }
            None => self.elsewhere(&view, question, message, transport),
        }
    }

    fn find(&self, view: &View, question: &Question) -> Finding {
        let Some(record_type) = question.record_type() else {
            return Finding::Nothing;
        };
        let zones = self.shared.zones.read().unwrap_or_else(PoisonError::into_inner);
        let addresses = || view.addresses(&zones, &question.name()?);
        let denied = || question.name().filter(|name| view.keeps(name)).map(|_| Vec::new());
        let found = match record_type {
            RecordType::A => addresses()
                .map(|all| self.rotated(all, IpAddr::is_ipv4))
                .or_else(denied),
            RecordType::AAAA => addresses()
                .map(|all| self.rotated(all, IpAddr::is_ipv6))
                .or_else(denied),
            // Who finds no mail exchanger takes the address (RFC 5321 §5.1).
            RecordType::MX => addresses().map(|_| Vec::new()),
            RecordType::PTR => {
                let name = question.address().and_then(|address| view.reverse(&zones, address));
                return name.map_or(Finding::Nothing, |name| Finding::Name(name.to_owned()));
            }
            _ => None,
        };
        found.map_or(Finding::Nothing, Finding::Addresses)
    }

    /// Returns the addresses of a family, each answer beginning with another: clients take the first, and so share the load. The
    /// step is scrambled, because clients ask in patterns (one question for each family), and every other answer would be the same.
    fn rotated(&self, mut addresses: Vec<IpAddr>, is_wanted: impl Fn(&IpAddr) -> bool) -> Vec<IpAddr> {
        addresses.retain(is_wanted);
        if addresses.len() > 1 {
            let answered = self.shared.answered.fetch_add(1, Ordering::Relaxed) as u64;
            // Fibonacci hashing: the high bits of the product of neighbours lie far apart.
            let scrambled = usize::try_from(answered.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).unwrap_or_default();
            let first = scrambled % addresses.len();
            addresses.rotate_left(first);
        }
        addresses
    }

    /// Prepares to ask others, if anybody may be asked and not too many are being asked already.
    fn elsewhere(&self, view: &View, question: Question, message: &[u8], transport: Transport) -> Reaction {
        if view.servers().is_empty() {
            return failure(&question, ResponseCode::ServFail);
        }
        let own = self.questions.clone().try_acquire_owned();
        let (Ok(own), Ok(shared)) = (own, self.shared.questions.clone().try_acquire_owned()) else {
            tracing::debug!("a question is refused: too many are on their way");
            return failure(&question, ResponseCode::Refused);
        };
        Reaction::Ask(Box::new(Asking {
            message: message.to_vec(),
            question,
            transport,
            servers: view.servers().to_vec(),
            port: self.shared.configuration.server_port,
            patience: self.shared.configuration.patience,
            namespace: self.namespace.clone(),
            sockets: self.shared.sockets.clone(),
            permits: [own, shared],
        }))
    }
}

/// Asks others and returns what the client is told, within the patience of the configuration; `None` if that cannot be said.
pub(crate) async fn forward(asking: Box<Asking>) -> Option<Vec<u8>> {
    let limit = asking.question.limit(asking.transport);
    let answer = ask(&asking).await.and_then(|answer| shorten(answer, limit));
    answer.or_else(|| encode(&asking.question, &Contents::Failure(ResponseCode::ServFail)))
}

fn failure(question: &Question, code: ResponseCode) -> Reaction {
    encode(question, &Contents::Failure(code)).map_or(Reaction::Silence, Reaction::Answer)
}
