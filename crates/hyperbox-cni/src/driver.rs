// SPDX-License-Identifier: MIT
//! The driver: core's `NetworkDriver` by plugins.
//!
//! # Concurrency
//! Plugins run as children, for different containers at the same time; `order` says who waits for whom. Releases run behind their
//! callers, a few at a time. The driver works in the network namespace that the runtime's threads are in.
//!
//! # Cancellation
//! ADD and DEL run in tasks of their own: a caller that goes away does not stop them, and an attachment that nobody waits for any more is
//! undone.
//!
//! # Crashes
//! See `journal`: what no endpoint stands for is undone by [`NetworkDriver::adopt`].

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use async_trait::async_trait;
use hyperbox_core::seam::{
    Endpoint, EndpointRequest, NetworkDriver, NetworkError, NetworkSettings, NetworkWish, Sandbox, SandboxRequest,
    Sandboxes,
};
use hyperbox_types::{ContainerId, ErrorKind, NetworkId};
use tokio::sync::oneshot;

use crate::choice;
use crate::config::Config;
use crate::endpoint;
use crate::failure::{failed, refused};
use crate::invocation::{self, Attachment};
use crate::journal::Journal;
use crate::namespace::Namespace;
use crate::order::Purpose;
use crate::source::{self, NoList};
use crate::work::{Key, Work};

/// Networks of CNI plugins.
#[derive(Debug)]
pub struct CniDriver {
    work: Arc<Work>,
}

impl CniDriver {
    /// Opens the driver's state directory. `sandboxes` makes the namespaces that plugins are called for. Blocks shortly.
    ///
    /// # Errors
    /// What the system says about the state directory.
    pub fn open(config: Config, sandboxes: Arc<dyn Sandboxes>) -> Result<Self, NetworkError> {
        let journal = Journal::open(&config.state_dir);
        let journal = journal.map_err(|source| failed("cni", "make the state directory of the cni driver", source))?;
        Ok(Self {
            work: Arc::new(Work::new(config, journal, sandboxes)),
        })
    }

    async fn add(
        &self,
        namespace: Namespace,
        container: &ContainerId,
        request: EndpointRequest,
    ) -> Result<Endpoint, NetworkError> {
        let settings = &request.network;
        let name = settings.name.clone();
        let invalid = |message: String| refused(&name, ErrorKind::InvalidArgument, message);
        let network = self.work.know(settings)?;
        if !endpoint::is_link_name(&request.link) {
            return Err(invalid(format!("invalid name of a link: {:?}", request.link)));
        }
        if !request.link_local.is_empty() {
            return Err(invalid("the cni driver cannot give link-local addresses".to_owned()));
        }
        let (capabilities, arguments) = invocation::wishes(&network.list, &request).map_err(invalid)?;
        let attachment = Attachment {
            container: container.clone(),
            link: request.link.clone(),
            serial: self.work.serial(),
            namespace: namespace.path(),
            identity: namespace.identity(),
            capabilities,
            arguments,
            result: None,
        };
        let turn = self.work.order.enter(container, &settings.id, Purpose::Make);
        let (sender, receiver) = oneshot::channel();
        let work = Arc::clone(&self.work);
        tokio::spawn(async move {
            let added = work.add(turn, network, attachment, Arc::new(namespace), request).await;
            if let Err(Ok(endpoint)) = sender.send(added) {
                work.release_later(&endpoint);
            }
        });
        received(&name, receiver).await
    }
}

#[async_trait]
impl NetworkDriver for CniDriver {
    fn name(&self) -> &'static str {
        "cni"
    }

    /// The options are `conflist` (or `cni.conflist`): the absolute path of a list, the name of one in the directory of lists, or a list
    /// itself; and `cni.path`: the directories of plugins.
    async fn choose(&self, mut wish: NetworkWish, others: &[NetworkSettings]) -> Result<NetworkSettings, NetworkError> {
        let option = choice::take_list(&wish.name, &mut wish.options)?;
        let directory = self.work.config.list_dir.clone();
        let loaded = tokio::task::spawn_blocking(move || source::load(&option, &directory)).await;
        let loaded = loaded.map_err(|error| failed(&wish.name, "read the list", error.into()))?;
        let list = loaded.map_err(|error| no_list(&wish.name, error))?;
        let settings = choice::settings(wish, &list, others)?;
        let network = choice::network(&settings, &self.work.config.plugin_dirs)?;
        self.work.chain(&settings.name, &network).validate().await?;
        Ok(settings)
    }

    /// Plugins make what they need with the first attachment; those that know the question are asked whether they can.
    async fn ensure(&self, network: &NetworkSettings) -> Result<(), NetworkError> {
        let known = self.work.know(network)?;
        self.work.chain(&network.name, &known).status().await
    }

    async fn open(&self, request: SandboxRequest) -> Result<Sandbox, NetworkError> {
        let name = request.endpoint.network.name.clone();
        let descriptor = self.work.sandboxes.open().await?;
        let namespace = keep_open(&name, descriptor.as_fd())?;
        let names = match request.names {
            true => Some(self.work.sandboxes.open_names(descriptor.as_fd()).await?),
            false => None,
        };
        let endpoint = self.add(namespace, &request.container, request.endpoint).await?;
        Ok(Sandbox {
            namespace: descriptor,
            endpoint,
            names,
        })
    }

    async fn attach(
        &self,
        namespace: BorrowedFd<'_>,
        container: &ContainerId,
        request: EndpointRequest,
    ) -> Result<Endpoint, NetworkError> {
        let namespace = keep_open(&request.network.name, namespace)?;
        self.add(namespace, container, request).await
    }

    /// The driver has kept the namespace open.
    async fn detach(
        &self,
        _namespace: BorrowedFd<'_>,
        container: &ContainerId,
        endpoint: &Endpoint,
    ) -> Result<(), NetworkError> {
        let Some(attachment) = endpoint::recall(endpoint).filter(|attachment| attachment.container == *container)
        else {
            return Ok(());
        };
        let mut turn = self.work.order.enter(container, &endpoint.network, Purpose::Release);
        let (sender, receiver) = oneshot::channel();
        let (work, network) = (Arc::clone(&self.work), endpoint.network.clone());
        tokio::spawn(async move {
            turn.wait().await;
            let deleted = work.delete(&network, &attachment).await;
            drop(turn);
            // Nobody has to wait for it.
            drop(sender.send(deleted));
        });
        received("cni", receiver).await
    }

    async fn release(&self, container: &ContainerId, endpoint: &Endpoint) -> Result<(), NetworkError> {
        if endpoint::recall(endpoint).is_some_and(|attachment| attachment.container == *container) {
            self.work.release_later(endpoint);
        }
        Ok(())
    }

    /// Undoes behind the caller what no endpoint stands for, and asks the plugins about the endpoints: one that they say is broken is
    /// logged. Must be called before the first endpoint is made.
    async fn adopt(
        &self,
        networks: &[NetworkSettings],
        endpoints: &[(ContainerId, Endpoint)],
    ) -> Result<(), NetworkError> {
        for network in networks {
            if let Err(error) = self.work.know(network) {
                tracing::warn!(network = %network.id, %error, "cannot adopt a network");
            }
        }
        let mut living: BTreeMap<Key, (NetworkId, Attachment)> = BTreeMap::new();
        for (container, endpoint) in endpoints {
            match endpoint::recall(endpoint).filter(|attachment| attachment.container == *container) {
                Some(attachment) => {
                    living.insert(
                        Key::of(&endpoint.network, &attachment),
                        (endpoint.network.clone(), attachment),
                    );
                }
                None => {
                    tracing::warn!(%container, network = %endpoint.network, "cannot adopt an endpoint: its record is damaged");
                }
            }
        }
        let attachments: Vec<_> = living.into_values().collect();
        self.work.adopt(&attachments).await?;
        if !attachments.is_empty() {
            let work = Arc::clone(&self.work);
            tokio::spawn(async move { work.check(&attachments).await });
        }
        for network in networks {
            Arc::clone(&self.work).collect_garbage_later(network);
        }
        Ok(())
    }

    /// Undoes the attachments that are left. What plugins made for the network as a whole, such as a bridge, stays: the specification has
    /// no word for its removal.
    async fn remove(&self, network: &NetworkSettings) -> Result<(), NetworkError> {
        self.work.remove(&network.id).await;
        Ok(())
    }
}

fn keep_open(network: &str, descriptor: BorrowedFd<'_>) -> Result<Namespace, NetworkError> {
    Namespace::of(descriptor).map_err(|source| failed(network, "keep the network namespace open", source))
}

async fn received<T>(network: &str, receiver: oneshot::Receiver<Result<T, NetworkError>>) -> Result<T, NetworkError> {
    let stopped = |_| refused(network, ErrorKind::Cancelled, "the daemon is stopping");
    receiver.await.map_err(stopped)?
}

fn no_list(network: &str, error: NoList) -> NetworkError {
    let message = error.to_string();
    let kind = match &error {
        NoList::Unknown { .. } => ErrorKind::NotFound,
        NoList::Given(_) | NoList::File { .. } | NoList::Read { .. } | NoList::NotAPath(_) => {
            ErrorKind::InvalidArgument
        }
    };
    let source = match error {
        NoList::Read { source, .. } => Some(source),
        _ => None,
    };
    NetworkError {
        source,
        ..refused(network, kind, message)
    }
}
