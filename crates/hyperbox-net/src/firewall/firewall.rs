// SPDX-License-Identifier: MIT
//! The firewall of one instance: what is wanted, kept in memory, and the table, made to agree with it.
//!
//! # Concurrency
//! One mutex around state and socket; every call does a few exchanges with the kernel under it, well below a millisecond. All calls block
//! that long and none needs a runtime. Everything happens in the network namespace of the thread that called [`Firewall::open`].
//!
//! # Crashes
//! The table outlives the process, and containers go on to use it. A new process finds it with more in it than it knows of;
//! until both networks and ports have been adopted such elements stay.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hyperbox_types::ContainerId;
use rustix::io::Errno;

use crate::link_name;
use crate::netlink::{Family, Socket};

use super::change::{change_elements, elements, has_our_rules, made_anew, removal};
use super::element::Element;
use super::foreign;
use super::message::{Verb, commit, found};
use super::network::NetworkRules;
use super::state::{PortRule, State};
use super::watch::Watch;

/// The rules of one instance.
#[derive(Debug)]
pub struct Firewall {
    table: String,
    inner: Mutex<Inner>,
    watch: OnceLock<Watch>,
}

/// What to make of elements that are not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strange {
    /// They stay until networks and ports have been adopted.
    MayBeAdopted,
    /// They go.
    Removed,
}

#[derive(Debug)]
struct Inner {
    socket: Socket,
    state: State,
    adopted_networks: bool,
    adopted_ports: bool,
}

impl Firewall {
    /// Opens the firewall of an instance in the network namespace of the calling thread, and starts the thread that restores what
    /// others remove. Changes nothing.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(instance: &str) -> io::Result<Arc<Self>> {
        let firewall = Arc::new(Self {
            table: link_name::table(instance),
            inner: Mutex::new(Inner {
                socket: Socket::open(Family::Netfilter)?,
                state: State::default(),
                adopted_networks: false,
                adopted_ports: false,
            }),
            watch: OnceLock::new(),
        });
        let watch = Watch::start(&firewall)?;
        firewall.watch.get_or_init(|| watch);
        foreign::warn_of_what_cannot_be_passed();
        Ok(firewall)
    }

    /// Name of the table.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Makes sure that the network's packets pass as they should; repairs whatever is missing. Idempotent.
    pub(crate) fn ensure(&self, network: NetworkRules) -> io::Result<()> {
        let mut inner = self.lock();
        let bridge = network.bridge.clone();
        inner.state.insert_network(network);
        self.restore(&mut inner, Strange::MayBeAdopted)?;
        inner.accept_elsewhere(&bridge);
        inner.open_loopback();
        Ok(())
    }

    /// Takes a network out, and removes the table when it was the last user.
    pub(crate) fn forget(&self, bridge: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.state.remove_network(bridge);
        self.restore(&mut inner, Strange::Removed)?;
        foreign::forget(&mut inner.socket, bridge)
    }

    /// Takes over networks: exactly these are there.
    pub(crate) fn adopt(&self, networks: Vec<NetworkRules>) -> io::Result<()> {
        let mut inner = self.lock();
        inner.state.replace_networks(networks);
        inner.adopted_networks = true;
        self.restore(&mut inner, Strange::MayBeAdopted).map(|_| ())
    }

    /// Publishes ports of a container: one transaction.
    pub(crate) fn add_ports(&self, container: &ContainerId, ports: Vec<PortRule>) -> io::Result<()> {
        let mut inner = self.lock();
        let added = inner.state.insert_ports(container, ports);
        if !added.is_empty() {
            let result = self.change(&mut inner, Verb::NewElement, &added);
            if result.is_err() {
                inner.state.remove_ports(container);
            }
            result?;
        }
        inner.open_loopback();
        Ok(())
    }

    /// Withdraws the ports of a container; not knowing it is success.
    pub(crate) fn remove_ports(&self, container: &ContainerId) -> io::Result<()> {
        let mut inner = self.lock();
        let removed = inner.state.remove_ports(container);
        if removed.is_empty() {
            return Ok(());
        }
        if inner.state.is_empty() {
            return self.restore(&mut inner, Strange::Removed).map(|_| ());
        }
        self.change(&mut inner, Verb::DeleteElement, &removed)
    }

    /// Takes over ports: exactly these are published.
    pub(crate) fn adopt_ports(&self, ports: BTreeMap<ContainerId, Vec<PortRule>>) -> io::Result<()> {
        let mut inner = self.lock();
        inner.state.replace_ports(ports);
        inner.adopted_ports = true;
        self.restore(&mut inner, Strange::MayBeAdopted)?;
        inner.open_loopback();
        Ok(())
    }

    /// Returns whether the table is exactly as wanted: rules in their versions and order, and the content of all sets.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn still_intact(&self) -> io::Result<bool> {
        self.is_intact(&mut self.lock(), Strange::MayBeAdopted)
    }

    /// Makes the table anew if it is not as wanted, and adds again what is missing in other firewalls. Returns whether the table was
    /// made anew.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn reassert(&self) -> io::Result<bool> {
        let mut inner = self.lock();
        let restored = self.restore(&mut inner, Strange::MayBeAdopted)?;
        let bridges: Vec<_> = inner.state.bridges().map(str::to_owned).collect();
        bridges.iter().for_each(|bridge| inner.accept_elsewhere(bridge));
        inner.open_loopback();
        Ok(restored)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, inner: &mut Inner, verb: Verb, elements: &[Element]) -> io::Result<()> {
        let messages = change_elements(&self.table, verb, elements);
        match commit(&mut inner.socket, messages) {
            // The table is not what it should be: missing, or with something else under the same key.
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::EXIST)) => {
                self.restore(inner, Strange::MayBeAdopted).map(|_| ())
            }
            result => result,
        }
    }

    /// Returns whether anything had to be done.
    fn restore(&self, inner: &mut Inner, strange: Strange) -> io::Result<bool> {
        if self.is_intact(inner, strange)? {
            return Ok(false);
        }
        if inner.state.is_empty() {
            return Ok(found(commit(&mut inner.socket, vec![removal(&self.table)]))?.is_some());
        }
        let mut wanted = inner.state.elements();
        if inner.is_tolerant(strange) {
            self.keep_strange(inner, &mut wanted)?;
        }
        let messages = made_anew(&self.table, &wanted);
        commit(&mut inner.socket, messages)?;
        tracing::debug!(
            table = self.table,
            elements = wanted.len(),
            "made the nftables table anew"
        );
        Ok(true)
    }

    /// Adds what is in the table and not known, so that ports that live on from before a restart work until they are adopted.
    fn keep_strange(&self, inner: &mut Inner, wanted: &mut BTreeSet<Element>) -> io::Result<()> {
        let present = elements(&mut inner.socket, &self.table)?.unwrap_or_default();
        let known: BTreeSet<_> = wanted.iter().map(Element::place).collect();
        let strange = present.into_iter().filter(|element| !known.contains(&element.place()));
        let strange: Vec<_> = strange.collect();
        wanted.extend(strange);
        Ok(())
    }

    fn is_intact(&self, inner: &mut Inner, strange: Strange) -> io::Result<bool> {
        let tolerant = inner.is_tolerant(strange);
        let nothing_wanted = inner.state.is_empty();
        let Some(present) = elements(&mut inner.socket, &self.table)? else {
            return Ok(nothing_wanted);
        };
        if nothing_wanted {
            return Ok(tolerant);
        }
        let wanted = inner.state.elements();
        let complete = if tolerant {
            present.is_superset(&wanted)
        } else {
            present == wanted
        };
        Ok(complete && has_our_rules(&mut inner.socket, &self.table)?)
    }
}

impl Inner {
    fn is_tolerant(&self, strange: Strange) -> bool {
        strange == Strange::MayBeAdopted && !(self.adopted_networks && self.adopted_ports)
    }

    /// Adds our exceptions to other firewalls; theirs is the last word, so a failure is no failure of ours.
    fn accept_elsewhere(&mut self, bridge: &str) {
        if let Err(error) = foreign::accept(&mut self.socket, bridge) {
            tracing::warn!(bridge, %error, "another firewall may drop this network's packets");
        }
    }

    /// Lets the machine's own loopback addresses be translated on the bridges that need it
    /// (<https://docs.kernel.org/networking/ip-sysctl.html>, `route_localnet`). It is never turned off: it does no harm behind our rules,
    /// and goes with the bridge.
    fn open_loopback(&self) {
        for bridge in self.state.loopback_bridges() {
            let path = format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet");
            let result = match std::fs::read_to_string(&path) {
                Ok(value) if value.trim() == "1" => continue,
                Ok(_) => std::fs::write(&path, "1"),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                tracing::warn!(bridge, %error, "ports are not reachable at loopback addresses without the forwarder");
            }
        }
    }
}
