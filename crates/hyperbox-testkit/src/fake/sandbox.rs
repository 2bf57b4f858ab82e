// SPDX-License-Identifier: MIT
//! Network namespaces that are all this process's own.

use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hyperbox_core::seam::{NameSockets, NetworkError, Routes, Sandboxes};
use ipnet::IpNet;

use super::fault::lock;
use super::network::{name_sockets, own_namespace};

/// A [`Sandboxes`] that remembers the last routes it was told.
#[derive(Debug, Clone, Default)]
pub struct FakeSandboxes {
    routes: Arc<Mutex<Option<Routes>>>,
}

impl FakeSandboxes {
    /// Returns the default routes that were set last.
    pub fn last_routes(&self) -> Option<Routes> {
        lock(&self.routes).clone()
    }
}

#[async_trait]
impl Sandboxes for FakeSandboxes {
    async fn open(&self) -> Result<OwnedFd, NetworkError> {
        tokio::task::yield_now().await;
        own_namespace()
    }

    async fn set_routes(&self, _namespace: BorrowedFd<'_>, routes: Routes) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        *lock(&self.routes) = Some(routes);
        Ok(())
    }

    async fn add_stand_in(
        &self,
        _namespace: BorrowedFd<'_>,
        _link: &str,
        _addresses: &[IpNet],
    ) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn open_names(&self, _namespace: BorrowedFd<'_>) -> Result<NameSockets, NetworkError> {
        tokio::task::yield_now().await;
        name_sockets()
    }

    fn host_resolver_configuration(&self) -> String {
        "nameserver 192.0.2.53\n".to_owned()
    }

    fn host_servers(&self) -> Vec<IpAddr> {
        vec![[192, 0, 2, 53].into()]
    }
}
