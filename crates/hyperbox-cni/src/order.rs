// SPDX-License-Identifier: MIT
//! Who waits for whom.
//!
//! Plugins are never called for one container at the same time (specification, section 2), and an address that was given back is free
//! for whoever asks next. So everything for one container happens in the order in which it was asked for, and what makes an attachment
//! waits for the releases in the same network that were asked for before. A turn only ever waits for earlier ones: there is no cycle.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyperbox_types::{ContainerId, NetworkId};
use tokio::sync::watch;

/// What a turn is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Something that needs what releases give back.
    Make,
    /// Giving back.
    Release,
}

/// All turns that are not over.
#[derive(Debug, Default)]
pub(crate) struct Order(Mutex<Turns>);

#[derive(Debug, Default)]
struct Turns {
    last: BTreeMap<ContainerId, watch::Receiver<()>>,
    releases: BTreeMap<NetworkId, Vec<watch::Receiver<()>>>,
}

/// A place in the order; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    before: Vec<watch::Receiver<()>>,
    _over: watch::Sender<()>,
}

impl Order {
    /// Takes a place behind everything that was asked for before.
    pub(crate) fn enter(&self, container: &ContainerId, network: &NetworkId, purpose: Purpose) -> Turn {
        let (sender, receiver) = watch::channel(());
        let mut turns = self.lock();
        turns.forget_what_is_over();
        let mut before: Vec<_> = turns
            .last
            .insert(container.clone(), receiver.clone())
            .into_iter()
            .collect();
        match purpose {
            Purpose::Make => before.extend(turns.releases.get(network).into_iter().flatten().cloned()),
            Purpose::Release => turns.releases.entry(network.clone()).or_default().push(receiver),
        }
        Turn { before, _over: sender }
    }

    /// Takes a place behind the releases in a network that were asked for before, and before everything that is made in it later.
    pub(crate) fn enter_network(&self, network: &NetworkId) -> Turn {
        let (sender, receiver) = watch::channel(());
        let mut turns = self.lock();
        turns.forget_what_is_over();
        let releases = turns.releases.entry(network.clone()).or_default();
        let before = releases.clone();
        releases.push(receiver);
        Turn { before, _over: sender }
    }

    /// Waits for the releases in a network that were asked for before.
    pub(crate) async fn released(&self, network: &NetworkId) {
        let before = self.lock().releases.get(network).cloned().unwrap_or_default();
        wait(before).await;
    }

    /// Every change is one call of a collection, so a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    fn forget_what_is_over(&mut self) {
        let lives = |receiver: &watch::Receiver<()>| receiver.has_changed().is_ok();
        self.last.retain(|_, receiver| lives(receiver));
        self.releases.retain(|_, receivers| {
            receivers.retain(lives);
            !receivers.is_empty()
        });
    }
}

impl Turn {
    /// Waits until it is this turn. Cancelling leaves the place.
    pub(crate) async fn wait(&mut self) {
        wait(std::mem::take(&mut self.before)).await;
    }
}

async fn wait(turns: Vec<watch::Receiver<()>>) {
    for mut turn in turns {
        // Nothing is ever sent: the channel closes when the turn is over.
        while turn.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_ready(future: impl Future) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn containers_wait_for_themselves_and_makers_for_releases() {
        let order = Order::default();
        let (one, two) = (ContainerId::from_bytes([1; 32]), ContainerId::from_bytes([2; 32]));
        let (here, there) = (NetworkId::from_bytes([3; 32]), NetworkId::from_bytes([4; 32]));
        let release = order.enter(&one, &here, Purpose::Release);
        assert!(is_ready(order.enter(&two, &there, Purpose::Make).wait()));
        assert!(is_ready(order.enter(&two, &here, Purpose::Release).wait()));
        assert!(!is_ready(order.enter(&two, &here, Purpose::Make).wait()));
        assert!(!is_ready(order.enter(&one, &there, Purpose::Release).wait()));
        assert!(!is_ready(order.released(&here)));
        let whole = order.enter_network(&here);
        assert!(!is_ready(order.enter(&two, &here, Purpose::Make).wait()));
        drop(release);
        assert!(!is_ready(order.enter(&two, &here, Purpose::Make).wait()));
        drop(whole);
        assert!(is_ready(order.released(&here)));
        assert!(is_ready(order.enter(&two, &here, Purpose::Make).wait()));
        order.lock().forget_what_is_over();
        assert!(order.lock().last.is_empty() && order.lock().releases.is_empty());
    }
}
