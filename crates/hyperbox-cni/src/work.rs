// SPDX-License-Identifier: MIT
//! What the driver does in tasks of their own: adding, deleting, checking; and what it knows meanwhile.
//!
//! An attachment is *held* from when its ADD has succeeded until its DEL begins. Only held attachments are released, so a late release
//! of an endpoint does not harm the next one of the same container and link, which has another serial. The namespace is kept open as
//! long: plugins such as `bridge` find the addresses there whose rules they remove.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hyperbox_core::failpoint;
use hyperbox_core::seam::{Endpoint, EndpointRequest, NetworkError, NetworkSettings, Sandboxes};
use hyperbox_types::{ContainerId, ErrorKind, NetworkId};
use tokio::sync::Semaphore;

use crate::chain::{Chain, Place};
use crate::choice::{self, Network};
use crate::config::Config;
use crate::endpoint;
use crate::failure::{failed, refused};
use crate::invocation::Attachment;
use crate::journal::{Entry, Journal};
use crate::list::List;
use crate::namespace::{self, Namespace};
use crate::order::{Order, Purpose, Turn};
use crate::result::Success;
use crate::stand_in;

/// How many releases and checks run at the same time.
const BEHIND: usize = 4;

/// One container has one link of a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    network: NetworkId,
    container: ContainerId,
    link: String,
}

impl Key {
    /// Returns the key of an attachment.
    pub(crate) fn of(network: &NetworkId, attachment: &Attachment) -> Self {
        Self {
            network: network.clone(),
            container: attachment.container.clone(),
            link: attachment.link.clone(),
        }
    }
}

/// Everything that tasks share.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) config: Config,
    pub(crate) order: Order,
    pub(crate) sandboxes: Arc<dyn Sandboxes>,
    journal: Journal,
    state: Mutex<State>,
    behind: Semaphore,
    serials: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    networks: BTreeMap<NetworkId, Known>,
    held: BTreeMap<Key, Held>,
}

#[derive(Debug, Clone)]
struct Held {
    attachment: Attachment,
    /// Unknown after a restart when no process lives in it any more.
    namespace: Option<Arc<Namespace>>,
}

#[derive(Debug, Clone)]
struct Known {
    name: String,
    network: Network,
}

impl Work {
    /// Starts with no network and no attachment.
    pub(crate) fn new(config: Config, journal: Journal, sandboxes: Arc<dyn Sandboxes>) -> Self {
        // Serials need only differ from those of earlier daemons, whose clocks were earlier.
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            config,
            order: Order::default(),
            sandboxes,
            journal,
            state: Mutex::default(),
            behind: Semaphore::new(BEHIND),
            serials: AtomicU64::new(u64::try_from(now.as_nanos()).unwrap_or_default()),
        }
    }

    /// Makes a serial that no other attachment has.
    pub(crate) fn serial(&self) -> String {
        format!("{:x}", self.serials.fetch_add(1, Ordering::Relaxed))
    }

    /// Reads a network's settings and remembers them.
    pub(crate) fn know(&self, settings: &NetworkSettings) -> Result<Network, NetworkError> {
        let network = choice::network(settings, &self.config.plugin_dirs)?;
        let known = Known {
            name: settings.name.clone(),
            network: network.clone(),
        };
        self.lock().networks.insert(settings.id.clone(), known);
        Ok(network)
    }

    /// Makes a network's list ready to be run.
    pub(crate) fn chain(&self, name: &str, network: &Network) -> Chain {
        Chain {
            network: name.to_owned(),
            list: Arc::clone(&network.list),
            plugin_dirs: network.plugin_dirs.clone(),
            search_path: self.config.search_path.clone(),
            timeout: self.config.plugin_timeout,
        }
    }

    /// Makes an attachment, or leaves nothing.
    pub(crate) async fn add(
        &self,
        mut turn: Turn,
        network: Network,
        mut attachment: Attachment,
        namespace: Arc<Namespace>,
        request: EndpointRequest,
    ) -> Result<Endpoint, NetworkError> {
        turn.wait().await;
        let settings = &request.network;
        let chain = self.chain(&settings.name, &network);
        self.clear_stale(&settings.id, &attachment, &settings.name).await?;
        let mut entry = Entry {
            network: settings.id.clone(),
            name: settings.name.clone(),
            list: network.list.to_text(),
            plugin_dirs: network.plugin_dirs.clone(),
            attachment: attachment.clone(),
        };
        self.write(&entry).await?;
        failpoint!("cni.after-note");
        let added = self.add_all(&chain, &mut entry, &namespace.path()).await;
        let added = added.and_then(|result| {
            attachment.result = Some(result.clone().into_value());
            let endpoint = endpoint::of(&settings.id, &attachment, &result);
            match endpoint::unmet_wish(&request, &endpoint) {
                Some(message) => Err(refused(&settings.name, ErrorKind::InvalidArgument, message)),
                None => Ok(endpoint),
            }
        });
        if added.is_err() {
            // The failure of ADD is what is told; that of DEL is in the log, and the entry stays for the next start.
            drop(self.undo(&chain, &entry, Some(&namespace)).await);
        } else {
            let key = Key::of(&settings.id, &attachment);
            let namespace = Some(namespace);
            self.lock().held.insert(key, Held { attachment, namespace });
        }
        drop(turn);
        added
    }

    /// Runs ADD of all plugins. Each answer is noted before the next one runs: what a plugin has made by then is known to whoever undoes it.
    async fn add_all(&self, chain: &Chain, entry: &mut Entry, namespace: &str) -> Result<Success, NetworkError> {
        let mut last: Option<Success> = None;
        for plugin in &chain.list.plugins {
            let result = chain.add(plugin, &entry.attachment, namespace, last.as_ref()).await?;
            failpoint!("cni.after-plugin");
            entry.attachment.result = Some(result.clone().into_value());
            self.write(entry).await?;
            failpoint!("cni.after-answer");
            last = Some(result);
        }
        last.ok_or_else(|| refused(&chain.network, ErrorKind::InvalidArgument, "the list has no plugins"))
    }

    /// Removes an attachment if it is held; in the caller's turn.
    pub(crate) async fn delete(&self, network: &NetworkId, attachment: &Attachment) -> Result<(), NetworkError> {
        let Some(held) = self.let_go(network, attachment) else {
            return Ok(());
        };
        let Some(known) = self.lock().networks.get(network).cloned() else {
            tracing::warn!(%network, container = %held.attachment.container, "cannot remove an attachment of an unknown network");
            return Ok(());
        };
        let entry = Entry {
            network: network.clone(),
            name: known.name.clone(),
            list: String::new(),
            plugin_dirs: Vec::new(),
            attachment: held.attachment,
        };
        self.undo(
            &self.chain(&known.name, &known.network),
            &entry,
            held.namespace.as_deref(),
        )
        .await
    }

    /// Releases an endpoint behind the caller; its place in the order is taken at once.
    pub(crate) fn release_later(self: &Arc<Self>, endpoint: &Endpoint) {
        let Some(attachment) = endpoint::recall(endpoint) else {
            return;
        };
        if self.is_held(&endpoint.network, &attachment) {
            let mut turn = self
                .order
                .enter(&attachment.container, &endpoint.network, Purpose::Release);
            let (work, network) = (Arc::clone(self), endpoint.network.clone());
            tokio::spawn(async move {
                turn.wait().await;
                let permit = work.behind.acquire().await;
                // The chain has logged each failure; the entry in the journal stays for the next start.
                drop(work.delete(&network, &attachment).await);
                drop((permit, turn));
            });
        }
    }

    /// Takes over what lives and undoes, behind the caller, what does not.
    pub(crate) async fn adopt(self: &Arc<Self>, living: &[(NetworkId, Attachment)]) -> Result<(), NetworkError> {
        self.hold_again(living).await;
        let journal = self.journal.clone();
        let read = tokio::task::spawn_blocking(move || journal.read_all()).await;
        let error = |source| failed("cni", "read the notes of attachments", source);
        let entries = read.map_err(|panic| error(panic.into()))?.map_err(error)?;
        for entry in entries {
            let key = Key::of(&entry.network, &entry.attachment);
            let lives = self
                .lock()
                .held
                .get(&key)
                .is_some_and(|held| held.attachment.serial == entry.attachment.serial);
            if !lives {
                self.undo_later(entry);
            }
        }
        Ok(())
    }

    /// The namespaces of living containers are found by the processes in them.
    async fn hold_again(&self, living: &[(NetworkId, Attachment)]) {
        if living.is_empty() {
            return;
        }
        let mut found: BTreeMap<_, Arc<Namespace>> = BTreeMap::new();
        if let Ok(namespaces) = tokio::task::spawn_blocking(namespace::of_processes).await {
            let wanted = |namespace: &Namespace| living.iter().any(|(_, known)| known.identity == namespace.identity());
            let namespaces = namespaces.into_iter().filter(|(_, namespace)| wanted(namespace));
            found.extend(namespaces.map(|(identity, namespace)| (identity, Arc::new(namespace))));
        }
        let mut state = self.lock();
        for (network, attachment) in living {
            let held = Held {
                attachment: attachment.clone(),
                namespace: found.get(&attachment.identity).cloned(),
            };
            state.held.insert(Key::of(network, attachment), held);
        }
    }

    /// Asks the plugins about attachments whose containers live, and logs what they do not like.
    pub(crate) async fn check(&self, attachments: &[(NetworkId, Attachment)]) {
        for (network, attachment) in attachments {
            let mut turn = self.order.enter(&attachment.container, network, Purpose::Make);
            turn.wait().await;
            let (known, held) = {
                let state = self.lock();
                let held = state.held.get(&Key::of(network, attachment)).cloned();
                (state.networks.get(network).cloned(), held)
            };
            let held = held.filter(|held| held.attachment.serial == attachment.serial);
            let (Some(known), Some(namespace)) = (known, held.and_then(|held| held.namespace)) else {
                continue;
            };
            let checked = self
                .chain(&known.name, &known.network)
                .check(attachment, &namespace.path())
                .await;
            if let Err(error) = checked {
                tracing::warn!(network = %known.name, container = %attachment.container, link = %attachment.link, %error, "the endpoint of a running container is broken");
            }
        }
    }

    /// Tells plugins that can hear it which attachments live, behind the caller but before any new attachment: they would take one that
    /// is being made for garbage.
    pub(crate) fn collect_garbage_later(self: Arc<Self>, settings: &NetworkSettings) {
        let id = settings.id.clone();
        let Some(known) = self.lock().networks.get(&id).cloned() else {
            return;
        };
        let mut turn = self.order.enter_network(&id);
        tokio::spawn(async move {
            turn.wait().await;
            let valid: Vec<_> = self
                .lock()
                .held
                .keys()
                .filter(|key| key.network == id)
                .map(|key| (key.container.clone(), key.link.clone()))
                .collect();
            if let Err(error) = self.chain(&known.name, &known.network).collect_garbage(&valid).await {
                tracing::warn!(network = %known.name, %error, "plugins cannot collect garbage");
            }
            drop(turn);
        });
    }

    /// Undoes all attachments of a network and forgets it.
    pub(crate) async fn remove(self: &Arc<Self>, network: &NetworkId) {
        let held: Vec<Attachment> = {
            let state = self.lock();
            let of_network = state.held.iter().filter(|(key, _)| key.network == *network);
            of_network.map(|(_, held)| held.attachment.clone()).collect()
        };
        for attachment in held {
            let mut turn = self.order.enter(&attachment.container, network, Purpose::Release);
            let (work, network) = (Arc::clone(self), network.clone());
            tokio::spawn(async move {
                turn.wait().await;
                drop(work.delete(&network, &attachment).await);
                drop(turn);
            });
        }
        self.order.released(network).await;
        self.lock().networks.remove(network);
    }

    /// An attachment of the same container and link that was never released: one in another namespace is left from an earlier life of
    /// the container, one in the same is in use.
    async fn clear_stale(&self, network: &NetworkId, attachment: &Attachment, name: &str) -> Result<(), NetworkError> {
        let held = self.lock().held.get(&Key::of(network, attachment)).cloned();
        let Some(held) = held else { return Ok(()) };
        if held.attachment.identity == attachment.identity {
            let message = format!("the container has a link {} in network {name} already", attachment.link);
            return Err(refused(name, ErrorKind::Conflict, message));
        }
        self.delete(network, &held.attachment).await
    }

    fn undo_later(self: &Arc<Self>, entry: Entry) {
        let list = match List::parse(entry.list.as_bytes()) {
            Ok(list) => Arc::new(list),
            Err(error) => {
                tracing::warn!(network = %entry.name, %error, "cannot remove an attachment: its list is damaged");
                return;
            }
        };
        let network = Network {
            list,
            plugin_dirs: entry.plugin_dirs.clone(),
        };
        let mut turn = self
            .order
            .enter(&entry.attachment.container, &entry.network, Purpose::Release);
        let work = Arc::clone(self);
        tokio::spawn(async move {
            turn.wait().await;
            let permit = work.behind.acquire().await;
            tracing::info!(network = %entry.name, container = %entry.attachment.container, "removing an attachment that no container has");
            drop(work.undo(&work.chain(&entry.name, &network), &entry, None).await);
            drop((permit, turn));
        });
    }

    /// Runs DEL and forgets the attachment when all plugins have done it.
    async fn undo(&self, chain: &Chain, entry: &Entry, namespace: Option<&Namespace>) -> Result<(), NetworkError> {
        let stand_in = match namespace {
            None if chain.needs_stand_in() => self.stand_in(chain, &entry.attachment).await,
            _ => None,
        };
        let place = match (namespace, &stand_in) {
            (Some(namespace), _) => Place::Living(namespace),
            (None, Some(namespace)) => Place::StandIn(namespace),
            (None, None) => Place::Gone,
        };
        chain.delete(&entry.attachment, &place).await?;
        failpoint!("cni.after-delete");
        let (journal, entry, name) = (self.journal.clone(), entry.clone(), entry.name.clone());
        let removed = tokio::task::spawn_blocking(move || journal.remove(&entry.network, &entry.attachment)).await;
        let error = |source| failed(&name, "remove the note of an attachment", source);
        removed.map_err(|panic| error(panic.into()))?.map_err(error)
    }

    /// Makes a namespace that looks like the one that is gone; nothing if that fails, since DEL without it does most of its work.
    async fn stand_in(&self, chain: &Chain, attachment: &Attachment) -> Option<Namespace> {
        let (list, of) = (Arc::clone(&chain.list), attachment.clone());
        let addresses = tokio::task::spawn_blocking(move || stand_in::addresses(&list, &of)).await;
        let made = async {
            let descriptor = self.sandboxes.open().await?;
            let addresses = addresses.unwrap_or_default();
            self.sandboxes
                .add_stand_in(descriptor.as_fd(), &attachment.link, &addresses)
                .await?;
            let kept = Namespace::of(&descriptor);
            kept.map_err(|source| failed(&chain.network, "keep the network namespace open", source))
        };
        made.await
            .inspect_err(|error| tracing::warn!(network = %chain.network, container = %attachment.container, %error, "plugins may leave rules: no namespace can stand in for the one that is gone"))
            .ok()
    }

    async fn write(&self, entry: &Entry) -> Result<(), NetworkError> {
        let (journal, entry, name) = (self.journal.clone(), entry.clone(), entry.name.clone());
        let written = tokio::task::spawn_blocking(move || journal.write(&entry)).await;
        let error = |source| failed(&name, "note an attachment", source);
        written.map_err(|panic| error(panic.into()))?.map_err(error)
    }

    fn is_held(&self, network: &NetworkId, attachment: &Attachment) -> bool {
        let state = self.lock();
        let held = state.held.get(&Key::of(network, attachment));
        held.is_some_and(|held| held.attachment.serial == attachment.serial)
    }

    fn let_go(&self, network: &NetworkId, attachment: &Attachment) -> Option<Held> {
        let key = Key::of(network, attachment);
        let mut state = self.lock();
        let same = state
            .held
            .get(&key)
            .is_some_and(|held| held.attachment.serial == attachment.serial);
        if same { state.held.remove(&key) } else { None }
    }

    /// Every change is one call of a collection, so a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
