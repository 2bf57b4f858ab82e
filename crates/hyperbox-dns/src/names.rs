// SPDX-License-Identifier: MIT
//! The name service of the engine.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use hyperbox_core::seam::{Announcement, NameService, NameSockets, NetworkError, ResolverSettings};
use hyperbox_types::{ContainerId, ErrorKind, NetworkId};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::configuration::Configuration;
use crate::resolver::{Resolver, Shared};
use crate::serve::{connections, datagrams};
use crate::zones::Zones;

/// The name service of the engine; dropping it ends answering.
#[derive(Debug)]
pub struct Names {
    runtime: Handle,
    shared: Arc<Shared>,
    served: Mutex<HashMap<ContainerId, Served>>,
}

/// A container that is answered, until this is dropped.
#[derive(Debug)]
struct Served {
    resolver: Arc<Resolver>,
    tasks: [AbortHandle; 2],
}

impl Drop for Served {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Names {
    /// Makes a service that answers on tasks of `runtime`.
    pub fn new(runtime: Handle, configuration: Configuration) -> Self {
        let questions = Arc::new(Semaphore::new(configuration.questions));
        Self {
            runtime,
            shared: Arc::new(Shared {
                configuration,
                zones: RwLock::default(),
                sockets: Arc::default(),
                questions,
                answered: AtomicUsize::default(),
            }),
            served: Mutex::default(),
        }
    }

    fn served(&self) -> MutexGuard<'_, HashMap<ContainerId, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn zones(&self) -> RwLockWriteGuard<'_, Zones> {
        self.shared.zones.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, sockets: NameSockets) -> io::Result<(UdpSocket, TcpListener)> {
        let _runtime = self.runtime.enter();
        sockets.datagrams.set_nonblocking(true)?;
        sockets.connections.set_nonblocking(true)?;
        let datagrams = UdpSocket::from_std(sockets.datagrams)?;
        let connections = TcpListener::from_std(sockets.connections)?;
        Ok((datagrams, connections))
    }
}

impl NameService for Names {
    fn serve(
        &self,
        container: &ContainerId,
        sockets: NameSockets,
        namespace: OwnedFd,
        settings: ResolverSettings,
    ) -> Result<(), NetworkError> {
        let (datagrams, connections) = self.register(sockets).map_err(|error| NetworkError {
            network: String::new(),
            message: format!("cannot answer names for container {}", container.short()),
            kind: ErrorKind::Internal,
            source: Some(error),
        })?;
        let resolver = Arc::new(Resolver::new(self.shared.clone(), namespace, &settings));
        let tasks = [
            self.runtime.spawn(datagrams::serve(datagrams, resolver.clone())),
            self.runtime.spawn(connections::serve(connections, resolver.clone())),
        ];
        let served = Served {
            resolver,
            tasks: tasks.map(|task| task.abort_handle()),
        };
        let replaced = self.served().insert(container.clone(), served);
        drop(replaced);
        Ok(())
    }

    fn change(&self, container: &ContainerId, settings: ResolverSettings) {
        let resolver = self.served().get(container).map(|served| served.resolver.clone());
        if let Some(resolver) = resolver {
            resolver.change(&settings);
        }
    }

    fn announce(&self, announcement: Announcement) {
        self.zones().announce(announcement);
    }

    fn withdraw(&self, network: &NetworkId, container: &ContainerId) {
        self.zones().withdraw(network, container);
    }

    fn stop(&self, container: &ContainerId) {
        let stopped = self.served().remove(container);
        drop(stopped);
    }
}
