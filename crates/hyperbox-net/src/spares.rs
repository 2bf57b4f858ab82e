// SPDX-License-Identifier: MIT
//! Sandboxes that are made ahead: a namespace with its endpoint, and sockets for the name service where they are wished, up to the last
//! route. Handing one out costs two locks and no system call.
//!
//! # Policy
//! A network that was just used gets two; whoever finds none although there should be some doubles that, up to what is
//! configured, and to thirty-two for all networks. After a minute without use they go. They are made when nobody waits for the kernel's thread. A
//! spare's addresses are taken like a container's; networks with little room have no spares, and whoever wants the last address or one
//! that a spare has gets the spare destroyed.
//!
//! # Crashes
//! Nothing but the process holds a spare's namespace, so links and all vanish with it.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyperbox_core::seam::{DefaultRoutes, NetworkError, NetworkSettings, Sandbox};
use hyperbox_types::{ErrorKind, NetworkId};

use crate::bridge::BridgeNetwork;
use crate::config::Config;
use crate::error::failed;
use crate::firewall::Firewall;
use crate::membership::{Held, Memberships, Owner, Wished};
use crate::open_sandbox::{OpenSandbox, open};
use crate::request::EndpointWish;
use crate::worker::{Kernel, Worker};

const FIRST: usize = 2;
const MOST_OF_ALL: usize = 32;
/// How long the next spare waits while there is another one: by then the start that took the last one is over, which would otherwise
/// share its processors with this and wait for the same grace periods of the kernel.
const QUIET: Duration = Duration::from_millis(25);
/// How many addresses must be free beside the spares.
const ROOM: u128 = 32;

/// What makes one spare as good as another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) network: NetworkSettings,
    pub(crate) names: bool,
    pub(crate) default_routes: DefaultRoutes,
}

/// A sandbox nobody has yet; dropping it gives its addresses back and lets the kernel destroy it.
#[derive(Debug)]
pub(crate) struct Spare {
    sandbox: Sandbox,
    held: Held,
}

impl Spare {
    /// Name of the link on the host.
    pub(crate) fn host_link(&self) -> &str {
        &self.sandbox.endpoint.host_link
    }

    /// Makes it somebody's; the addresses stay taken.
    pub(crate) fn give_to(self, owner: &Owner) -> Sandbox {
        self.held.pass_to(owner);
        self.sandbox
    }

    fn has(&self, address: IpAddr) -> bool {
        self.sandbox.endpoint.addresses().any(|own| own == address)
    }
}

/// The spares of one network.
#[derive(Debug)]
struct Shelf {
    kind: Kind,
    ready: VecDeque<Spare>,
    /// How many there should be.
    wanted: usize,
    used: Instant,
    /// Whether a job is under way that fills it, or one that looks whether it is idle.
    filling: Filling,
    watched: bool,
}

/// The job that fills a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filling {
    /// There is none.
    No,
    /// It waits for quiet, as there is another spare.
    Later,
    /// As soon as nobody waits for the worker.
    Now,
}

/// The spares of a driver; a handle that is shared.
#[derive(Debug, Clone)]
pub(crate) struct Spares {
    shelves: Arc<Mutex<BTreeMap<NetworkId, Shelf>>>,
    memberships: Memberships,
    firewall: Arc<Firewall>,
    /// How many a network may have.
    most: usize,
    /// How long a network must be without use until they go.
    idle: Duration,
}

impl Spares {
    pub(crate) fn new(memberships: Memberships, firewall: Arc<Firewall>, config: &Config) -> Self {
        Self {
            most: config.spares,
            idle: config.spares_idle,
            shelves: Arc::default(),
            memberships,
            firewall,
        }
    }

    /// Takes a spare of that kind, if there is one. Whether or not: this is what will be used next.
    pub(crate) fn take(&self, kind: &Kind) -> Option<Spare> {
        if self.most == 0 {
            return None;
        }
        let mut shelves = self.lock();
        let shelf = shelves.entry(kind.network.id.clone()).or_insert_with(|| Shelf {
            kind: kind.clone(),
            ready: VecDeque::new(),
            wanted: 0,
            used: Instant::now(),
            filling: Filling::No,
            watched: false,
        });
        shelf.used = Instant::now();
        let mut others = VecDeque::new();
        if shelf.kind != *kind {
            shelf.kind = kind.clone();
            others = std::mem::take(&mut shelf.ready);
        }
        let spare = shelf.ready.pop_front();
        shelf.wanted = match (&spare, shelf.wanted) {
            (Some(_), wanted) => wanted,
            (None, 0) => FIRST.min(self.most),
            (None, wanted) => (wanted * 2).min(self.most),
        };
        // What is dropped gives its addresses back, which needs another lock.
        drop(shelves);
        drop(others);
        spare
    }

    /// Has the shelf of a network filled, when nobody waits for the worker. Called when whoever took from it has all that he needs.
    pub(crate) fn refill(&self, network: &NetworkId, worker: &Worker) {
        let mut shelves = self.lock();
        let Some(shelf) = shelves.get_mut(network) else { return };
        let (filling, wait) = match (shelf.filling, shelf.ready.is_empty()) {
            (Filling::Now, _) | (Filling::Later, false) => return,
            (Filling::No, false) => (Filling::Later, QUIET),
            (Filling::No | Filling::Later, true) => (Filling::Now, Duration::ZERO),
        };
        shelf.filling = filling;
        let (spares, network) = (self.clone(), network.clone());
        worker.post(move |kernel| kernel.later(wait, move |kernel| spares.fill(kernel, &network)));
    }

    /// Takes spares away that keep somebody from his addresses, to be destroyed: those that have them, or any one if none is left.
    pub(crate) fn in_the_way(&self, network: &NetworkId, wished: &Wished, refused: ErrorKind) -> Vec<Spare> {
        let mut shelves = self.lock();
        let Some(shelf) = shelves.get_mut(network) else {
            return Vec::new();
        };
        match refused {
            ErrorKind::ResourceExhausted => shelf.ready.pop_back().into_iter().collect(),
            ErrorKind::PermissionDenied => {
                let all = std::mem::take(&mut shelf.ready);
                let (in_the_way, others): (VecDeque<_>, _) = all
                    .into_iter()
                    .partition(|spare| wished.iter().any(|own| spare.has(own)));
                shelf.ready = others;
                in_the_way.into()
            }
            _ => Vec::new(),
        }
    }

    /// Returns whether spares of a network are made, so that one may be under way.
    pub(crate) fn are_made(&self, network: &NetworkId) -> bool {
        self.lock().contains_key(network)
    }

    /// Takes all spares of a network away; it begins anew.
    pub(crate) fn drain(&self, network: &NetworkId) -> Vec<Spare> {
        let shelf = self.lock().remove(network);
        shelf.map(|shelf| shelf.ready.into()).unwrap_or_default()
    }

    /// Makes one spare, and has itself called again while there are too few.
    fn fill(&self, kernel: &mut Kernel, network: &NetworkId) {
        let Some(kind) = self.next_kind(network) else {
            self.stop_filling(kernel, network);
            return;
        };
        match self.make(kernel, &kind) {
            Ok(Some(spare)) => {
                drop(self.put(spare, &kind));
                let (spares, network) = (self.clone(), network.clone());
                kernel.later(Duration::ZERO, move |kernel| spares.fill(kernel, &network));
            }
            Ok(None) => self.stop_filling(kernel, network),
            Err(error) => {
                tracing::debug!(%network, %error, "cannot make a sandbox ahead");
                self.stop_filling(kernel, network);
            }
        }
    }

    /// Returns what is to be made next, if anything.
    fn next_kind(&self, network: &NetworkId) -> Option<Kind> {
        if self.memberships.have_ended() {
            return None;
        }
        let shelves = self.lock();
        let all: usize = shelves.values().map(|shelf| shelf.ready.len()).sum();
        let shelf = shelves.get(network)?;
        (shelf.ready.len() < shelf.wanted && all < MOST_OF_ALL).then(|| shelf.kind.clone())
    }

    fn stop_filling(&self, kernel: &mut Kernel, network: &NetworkId) {
        let mut shelves = self.lock();
        if let Some(shelf) = shelves.get_mut(network) {
            shelf.filling = Filling::No;
            if !std::mem::replace(&mut shelf.watched, true) {
                let (spares, network) = (self.clone(), network.clone());
                kernel.later(self.idle, move |kernel| spares.end_if_idle(kernel, &network));
            }
        }
    }

    fn end_if_idle(&self, kernel: &mut Kernel, network: &NetworkId) {
        let idle = {
            let mut shelves = self.lock();
            let Some(shelf) = shelves.get_mut(network) else {
                return;
            };
            let idle = shelf.used.elapsed();
            if idle < self.idle {
                let (spares, network) = (self.clone(), network.clone());
                let rest = self.idle.saturating_sub(idle);
                kernel.later(rest, move |kernel| spares.end_if_idle(kernel, &network));
                return;
            }
            shelves.remove(network)
        };
        drop(idle);
    }

    fn make(&self, kernel: &mut Kernel, kind: &Kind) -> Result<Option<Spare>, NetworkError> {
        let network = BridgeNetwork::parse(&kind.network)?;
        if !self.memberships.has_room(&network, ROOM) {
            return Ok(None);
        }
        let held = self.memberships.take(&network, Wished::default(), Owner::Spare)?;
        let plan = EndpointWish::usual(kind.default_routes).plan(&network, held.addresses);
        let request = OpenSandbox {
            network: &network,
            plan: &plan,
            given: held.addresses,
            names: kind.names,
        };
        let sandbox = open(kernel, &self.firewall, &request)?;
        Ok(Some(Spare { sandbox, held }))
    }

    /// Puts a spare on its shelf; gives it back if the shelf is gone or for another kind by now.
    fn put(&self, spare: Spare, kind: &Kind) -> Option<Spare> {
        let mut shelves = self.lock();
        match shelves.get_mut(&kind.network.id).filter(|shelf| shelf.kind == *kind) {
            Some(shelf) => {
                shelf.ready.push_back(spare);
                None
            }
            None => Some(spare),
        }
    }

    /// No code panics while it holds the lock; if it did, each shelf is still whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NetworkId, Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Destroys spares at once, so that their addresses are nobody's when they are given to somebody else.
pub(crate) fn destroy(kernel: &mut Kernel, spares: Vec<Spare>) -> Result<(), NetworkError> {
    let links: Vec<_> = spares.iter().map(|spare| spare.host_link().to_owned()).collect();
    let removed = crate::route::remove_all(&mut kernel.route, &links);
    removed.map_err(|source| failed("spares", "remove links that were made ahead", source))?;
    drop(spares);
    Ok(())
}
