// SPDX-License-Identifier: MIT
//! Connecting and disconnecting a container that runs.
//!
//! Only the container's actor calls this, so a container's endpoints change one at a time. An endpoint that was made but not recorded
//! when the daemon died is taken for a leak by the next one and removed; one that was recorded as gone but not taken out likewise.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use super::join::{JoinRequest, endpoint_request};
use super::plan::{self, Planned};
use super::{NetworkRecord, Networks, failure};
use crate::container::EndpointWish;
use crate::seam::{DefaultRoutes, Endpoint, PublishedPort};
use crate::{Result, failpoint};

/// A container that runs, in its networks.
#[derive(Debug)]
pub(crate) struct Presence<'a> {
    pub request: JoinRequest<'a>,
    pub namespace: OwnedFd,
    pub endpoints: &'a [Endpoint],
}

impl Networks {
    /// Makes an endpoint for a container that runs. The caller records it and then calls [`Networks::settle`].
    pub(crate) async fn connect(
        &self,
        presence: &Presence<'_>,
        network: &Arc<NetworkRecord>,
        wish: &EndpointWish,
    ) -> Result<Endpoint> {
        let container = presence.request.container;
        self.ensure(network).await?;
        self.enter(network, container, presence.request.name)?;
        let taken: Vec<_> = presence
            .endpoints
            .iter()
            .map(|endpoint| endpoint.link.clone())
            .collect();
        let planned = Planned {
            link: plan::free_link(&network.settings.options, &wish.options, &taken),
            network: Arc::clone(network),
            wish: wish.clone(),
            default_routes: DefaultRoutes::default(),
        };
        let attached = match self.driver(network) {
            Ok(driver) => driver
                .attach(presence.namespace.as_fd(), container, endpoint_request(planned))
                .await
                .map_err(failure),
            Err(error) => Err(error),
        };
        failpoint!("network.after-connect");
        if attached.is_err() {
            self.inner.attached.leave(&network.id, container);
        }
        attached
    }

    /// Takes an endpoint out of a container that runs. The caller has recorded that it is gone and then calls [`Networks::settle`].
    pub(crate) async fn disconnect(&self, presence: &Presence<'_>, endpoint: &Endpoint) -> Result<()> {
        let container = presence.request.container;
        let mut result = Ok(());
        if let Some(record) = self.by_id(&endpoint.network) {
            let driver = self.driver(&record)?;
            result = driver
                .detach(presence.namespace.as_fd(), container, endpoint)
                .await
                .map_err(failure);
        }
        failpoint!("network.after-detach");
        self.release_one(container, endpoint).await;
        result
    }

    /// Makes default routes, names and published ports fit the endpoints that a container has now; returns the ports. Those whose
    /// way has not changed since `before` are left alone, with their connections.
    pub(crate) async fn settle(
        &self,
        presence: &Presence<'_>,
        before: &[Endpoint],
        ports: &[PublishedPort],
    ) -> Result<Vec<PublishedPort>> {
        let request = &presence.request;
        let with = &self.inner.with;
        let existing = self.existing(request.spec, presence.endpoints);
        let routes = plan::routes(&existing);
        let routed = with.sandboxes.set_routes(presence.namespace.as_fd(), routes).await;
        routed.map_err(failure)?;
        if self.has_names(presence.endpoints) {
            let sockets = with.sandboxes.open_names(presence.namespace.as_fd()).await;
            self.serve_names(
                request,
                sockets.map_err(failure)?,
                &presence.namespace,
                presence.endpoints,
            )?;
        }
        self.announce(request, presence.endpoints);
        let way = |endpoints| self.way_out(request.spec, endpoints).map(|endpoint| &endpoint.network);
        if way(before) == way(presence.endpoints) {
            return Ok(ports.to_vec());
        }
        with.ports.withdraw(request.container).await.map_err(failure)?;
        self.publish_ports(request, presence.endpoints).await
    }

    /// Tells whether a container with these endpoints is answered by the engine's name service.
    pub(crate) fn has_names(&self, endpoints: &[Endpoint]) -> bool {
        let mut networks = endpoints.iter().filter_map(|endpoint| self.by_id(&endpoint.network));
        networks.any(|network| network.has_names())
    }
}
