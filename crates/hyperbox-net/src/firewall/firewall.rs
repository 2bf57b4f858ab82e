// SPDX-License-Identifier: MIT
//! The firewall of one instance: what is wanted, kept in memory, and the table, made to agree with it.
//!
//! # Concurrency
//! One mutex around state and socket; every call does a few exchanges with the kernel under it, well below a millisecond. What others
//! change is looked at by a socket of its own, without that mutex: whoever publishes a port waits for what has to be mended, not for the
//! look. All calls block that long and none needs a runtime. Everything happens in the network namespace of the thread that called
//! [`Firewall::open`].
//!
//! # Crashes
//! The table outlives the process, and containers go on to use it. A new process finds it with more in it than it knows of;
//! until both networks and ports have been adopted such elements stay.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hyperbox_types::ContainerId;
use rustix::io::Errno;

use crate::link_name;
use crate::netlink::{Family, Message, Socket};

use super::change::{change_elements, has_table, made_anew, removal};
use super::element::Element;
use super::foreign::{self, Firewalld};
use super::look::{Known, Look, Strange};
use super::loopback::Loopback;
use super::message::{Verb, commit, found};
use super::network::NetworkRules;
use super::packet::Ip;
use super::state::{PortRule, State};
use super::watch::Watch;
use super::zones::{Wanted, Zones};

/// How often a look is taken again that a change of ours has overtaken, before it is taken while they wait.
const LOOKS_ASIDE: usize = 4;

/// The rules of one instance.
#[derive(Debug)]
pub struct Firewall {
    table: String,
    inner: Mutex<Inner>,
    /// For looks that nobody waits for.
    aside: Mutex<Socket>,
    watch: OnceLock<Watch>,
    zones: Zones,
}

#[derive(Debug)]
struct Inner {
    socket: Socket,
    state: State,
    /// Unset where the table has to be looked at.
    known: Option<Known>,
    loopback: Loopback,
    /// The bridges whose way back to `::1` is missing.
    waiting: BTreeSet<String>,
    adopted_networks: bool,
    adopted_ports: bool,
}

impl Firewall {
    /// Opens the firewall of an instance in the network namespace of the calling thread, and starts the threads that restore what
    /// others remove and that speak to firewalld by `system_bus`, the socket of the machine's message bus. Changes nothing.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(instance: &str, system_bus: PathBuf) -> io::Result<Arc<Self>> {
        let table = link_name::table(instance);
        let firewall = Arc::new(Self {
            inner: Mutex::new(Inner {
                socket: Socket::open(Family::Netfilter)?,
                state: State::default(),
                known: None,
                loopback: Loopback::open(&table)?,
                waiting: BTreeSet::new(),
                adopted_networks: false,
                adopted_ports: false,
            }),
            aside: Mutex::new(Socket::open(Family::Netfilter)?),
            table,
            watch: OnceLock::new(),
            zones: Zones::start(system_bus)?,
        });
        let watch = Watch::start(&firewall)?;
        firewall.watch.get_or_init(|| watch);
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
        self.alter(&mut inner, Strange::MayBeAdopted, |state| state.insert_network(network))?;
        if inner.state.loopback_bridges(Ip::V6).contains(bridge.as_str()) {
            self.open_ipv6_of(&mut inner, &[&bridge])?;
        }
        let on_loopback = inner.state.loopback_bridges(Ip::V4).contains(bridge.as_str());
        let asked = inner.pass_elsewhere(&self.table).map(|wanted| self.zones.set(wanted));
        drop(inner);
        foreign::warn_of_what_cannot_be_passed(&bridge);
        if on_loopback {
            open_loopback(&bridge);
        }
        if let Some(asked) = asked {
            asked.wait();
        }
        Ok(())
    }

    /// Takes a network out, and removes the table when it was the last user.
    pub(crate) fn forget(&self, bridge: &str) -> io::Result<()> {
        let mut inner = self.lock();
        self.alter(&mut inner, Strange::Removed, |state| state.remove_network(bridge))?;
        inner.close_ipv6(Some(bridge))?;
        self.pass_elsewhere(&mut inner);
        Ok(())
    }

    /// Takes over networks: exactly these are there.
    pub(crate) fn adopt(&self, networks: Vec<NetworkRules>) -> io::Result<()> {
        let mut inner = self.lock();
        inner.state.replace_networks(networks);
        inner.adopted_networks = true;
        self.restore(&mut inner, Strange::MayBeAdopted)?;
        inner.forget_stale_exceptions(&self.table);
        self.pass_elsewhere(&mut inner);
        Ok(())
    }

    /// Publishes ports of a container: one transaction.
    pub(crate) fn add_ports(&self, container: &ContainerId, ports: Vec<PortRule>) -> io::Result<()> {
        let mut inner = self.lock();
        let closed = inner.state.closed_bridges(&ports);
        if !closed.is_empty() {
            let closed: Vec<_> = closed.iter().map(String::as_str).collect();
            self.open_ipv6_of(&mut inner, &closed)?;
        }
        let on_loopback = ports.iter().filter(|port| port.is_on_loopback(Ip::V4));
        let on_loopback: BTreeSet<_> = on_loopback.map(|port| port.bridge.clone()).collect();
        let added = inner.state.insert_ports(container, ports);
        if !added.is_empty() {
            let result = self.change(&mut inner, Verb::NewElement, &added);
            if result.is_err() {
                inner.state.remove_ports(container);
            }
            result?;
        }
        drop(inner);
        on_loopback.iter().for_each(|bridge| open_loopback(bridge));
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
            self.restore(&mut inner, Strange::Removed)?;
        } else {
            self.change(&mut inner, Verb::DeleteElement, &removed)?;
        }
        inner.close_ipv6(None)
    }

    /// Takes over ports: exactly these are published.
    pub(crate) fn adopt_ports(&self, ports: BTreeMap<ContainerId, Vec<PortRule>>) -> io::Result<()> {
        let mut inner = self.lock();
        inner.state.replace_ports(ports);
        inner.adopted_ports = true;
        // First: the ways and their elements are there usually.
        inner.make_all_ways();
        self.restore(&mut inner, Strange::MayBeAdopted)?;
        inner.retain_ipv6()?;
        let on_loopback = inner.bridges_on_loopback();
        drop(inner);
        on_loopback.iter().for_each(|bridge| open_loopback(bridge));
        Ok(())
    }

    /// Returns whether the table is exactly as wanted: rules in their versions and order, and the content of all sets.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn still_intact(&self) -> io::Result<bool> {
        let mut inner = self.lock();
        let look = Look::take(&mut inner.socket, &self.table)?;
        Ok(look.agrees(&inner.state.elements(), inner.effective(Strange::MayBeAdopted)))
    }

    /// Makes the table anew if it is not as wanted, and adds again what is missing in other firewalls. Returns whether the table was
    /// made anew.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn reassert(&self) -> io::Result<bool> {
        let (mut inner, look) = self.look_aside()?;
        let restored = self.apply(&mut inner, Strange::MayBeAdopted, &look)?;
        self.open_ipv6(&mut inner)?;
        self.pass_elsewhere(&mut inner);
        let on_loopback = inner.bridges_on_loopback();
        drop(inner);
        on_loopback.iter().for_each(|bridge| open_loopback(bridge));
        Ok(restored)
    }

    /// Looks at the table while others may change what is wanted, until nobody has meanwhile.
    fn look_aside(&self) -> io::Result<(MutexGuard<'_, Inner>, Look)> {
        for _ in 0..LOOKS_ASIDE {
            let batches = self.lock().socket.batches();
            let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
            let look = Look::take(&mut aside, &self.table)?;
            drop(aside);
            let inner = self.lock();
            if inner.socket.batches() == batches {
                return Ok((inner, look));
            }
        }
        let mut inner = self.lock();
        let look = Look::take(&mut inner.socket, &self.table)?;
        Ok((inner, look))
    }

    /// Restores the ways back to `::1`, when routes have gone. Until then, or where it fails, the forwarder serves new connections.
    pub(crate) fn restore_loopback(&self) -> io::Result<()> {
        self.open_ipv6(&mut self.lock())
    }

    /// Returns whether the way back to `::1` is missing behind that bridge.
    pub(crate) fn waits_for(&self, bridge: &str) -> bool {
        self.lock().waiting.contains(bridge)
    }

    /// Does what [`Inner::pass_elsewhere`] does; firewalld has its time.
    fn pass_elsewhere(&self, inner: &mut Inner) {
        if let Some(wanted) = inner.pass_elsewhere(&self.table) {
            drop(self.zones.set(wanted));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, inner: &mut Inner, verb: Verb, elements: &[Element]) -> io::Result<()> {
        let messages = change_elements(&self.table, verb, elements);
        self.commit_or_restore(inner, messages, Strange::MayBeAdopted)
    }

    /// Makes the ways back to `::1` that known ports need, as far as it can be done, and has the ports use them.
    fn open_ipv6(&self, inner: &mut Inner) -> io::Result<()> {
        let (come, gone) = inner.make_all_ways();
        self.change(inner, Verb::DeleteElement, &gone)?;
        self.change(inner, Verb::NewElement, &come)
    }

    /// [`Self::open_ipv6`] for some bridges only.
    fn open_ipv6_of(&self, inner: &mut Inner, bridges: &[&str]) -> io::Result<()> {
        let (come, gone) = inner.make_ways(bridges);
        self.change(inner, Verb::DeleteElement, &gone)?;
        self.change(inner, Verb::NewElement, &come)
    }

    /// Changes what is wanted and the table with it: by the difference where the table is known to be as it was wanted, else by a look.
    fn alter(&self, inner: &mut Inner, strange: Strange, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let before = inner.state.elements();
        let known = !before.is_empty() && inner.is_known(strange)?;
        change(&mut inner.state);
        let after = inner.state.elements();
        if !known || after.is_empty() {
            return self.restore(inner, strange).map(drop);
        }
        let mut messages = change_elements(&self.table, Verb::DeleteElement, before.difference(&after));
        messages.extend(change_elements(
            &self.table,
            Verb::NewElement,
            after.difference(&before),
        ));
        self.commit_or_restore(inner, messages, strange)
    }

    fn commit_or_restore(&self, inner: &mut Inner, messages: Vec<Message>, strange: Strange) -> io::Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        match commit(&mut inner.socket, messages) {
            // The table is not what it should be: missing, or with something else under the same key.
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::EXIST)) => {
                self.restore(inner, strange).map(drop)
            }
            result => result,
        }
    }

    /// Looks at the table and makes it as wanted; returns whether anything had to be done.
    fn restore(&self, inner: &mut Inner, strange: Strange) -> io::Result<bool> {
        let look = Look::take(&mut inner.socket, &self.table)?;
        self.apply(inner, strange, &look)
    }

    /// Makes the table as wanted if the look says that it is not; returns whether anything had to be done. No change of ours came
    /// behind the look.
    fn apply(&self, inner: &mut Inner, strange: Strange, look: &Look) -> io::Result<bool> {
        let strange = inner.effective(strange);
        let mut wanted = inner.state.elements();
        inner.known = look.known(inner.socket.batches(), strange);
        if look.agrees(&wanted, strange) {
            return Ok(false);
        }
        if wanted.is_empty() {
            return Ok(found(commit(&mut inner.socket, vec![removal(&self.table)]))?.is_some());
        }
        if strange == Strange::MayBeAdopted {
            keep_strange(look, &mut wanted);
        }
        let messages = made_anew(&self.table, &wanted);
        if let Err(error) = commit(&mut inner.socket, messages) {
            inner.known = None;
            return Err(error);
        }
        tracing::debug!(
            table = self.table,
            elements = wanted.len(),
            "made the nftables table anew"
        );
        Ok(true)
    }
}

/// Adds what is in the table and not known, so that ports that live on from before a restart work until they are adopted.
fn keep_strange(look: &Look, wanted: &mut BTreeSet<Element>) {
    let known: BTreeSet<_> = wanted.iter().map(Element::place).collect();
    let present = look.present.iter().flatten();
    let strange: Vec<_> = present
        .filter(|element| !known.contains(&element.place()))
        .cloned()
        .collect();
    wanted.extend(strange);
}

/// Lets the machine's own loopback addresses be translated on a bridge that needs it
/// (<https://docs.kernel.org/networking/ip-sysctl.html>, `route_localnet`). It is never turned off: it does no harm behind our rules,
/// and goes with the bridge.
fn open_loopback(bridge: &str) {
    let path = format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet");
    let result = match std::fs::read_to_string(&path) {
        Ok(value) if value.trim() == "1" => return,
        Ok(_) => std::fs::write(&path, "1"),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::warn!(bridge, %error, "ports are not reachable at loopback addresses without the forwarder");
    }
}

impl Inner {
    /// Returns what is to be made of strange elements now.
    fn effective(&self, strange: Strange) -> Strange {
        if self.adopted_networks && self.adopted_ports {
            Strange::Removed
        } else {
            strange
        }
    }

    /// Returns whether the table is known to be as wanted, without a look at it.
    fn is_known(&mut self, strange: Strange) -> io::Result<bool> {
        let strange = self.effective(strange);
        match self.known {
            Some(known) => known.still_holds(&mut self.socket, strange),
            None => Ok(false),
        }
    }

    fn bridges_on_loopback(&self) -> BTreeSet<String> {
        let bridges = self.state.loopback_bridges(Ip::V4);
        bridges.into_iter().map(str::to_owned).collect()
    }

    /// Removes the exceptions of instances whose tables are gone: they could not change others' tables then, or did not live to do it.
    fn forget_stale_exceptions(&mut self, own: &str) {
        let tables = match foreign::tables(&mut self.socket) {
            Ok(tables) => tables,
            Err(error) => {
                tracing::warn!(%error, "cannot look for exceptions of others that are gone in other firewalls");
                return;
            }
        };
        for table in tables.iter().filter(|table| *table != own) {
            if has_table(&mut self.socket, table).is_ok_and(|there| !there) {
                self.forget_elsewhere(table);
                tracing::debug!(
                    table,
                    "removed the exceptions of a table that is gone from another firewall"
                );
            }
        }
    }

    /// Removes exceptions from other firewalls. A failure is no failure of ours: a later start tries it again.
    fn forget_elsewhere(&mut self, table: &str) {
        if let Err(error) = foreign::forget(&mut self.socket, table) {
            tracing::warn!(table, %error, "exceptions that nobody needs stay in another firewall");
        }
    }

    /// Adds our exceptions to other firewalls, or removes them when there is no network; theirs is the last word, so a failure is no failure of
    /// ours. Returns what firewalld is to be asked for.
    fn pass_elsewhere(&mut self, table: &str) -> Option<Wanted> {
        let bridges: BTreeSet<_> = self.state.bridges().map(str::to_owned).collect();
        if bridges.is_empty() {
            self.forget_elsewhere(table);
            return Some(Wanted {
                bridges,
                excepted: true,
            });
        }
        match foreign::accept(&mut self.socket, table) {
            Ok(Firewalld::Absent) => None,
            Ok(found) => Some(Wanted {
                bridges,
                excepted: found == Firewalld::Excepted,
            }),
            Err(error) => {
                tracing::warn!(%error, "another firewall may drop the packets of networks");
                None
            }
        }
    }

    /// Makes the ways back to `::1` that known ports need, as far as it can be done. Returns the elements that come with them, and those
    /// that go.
    fn make_all_ways(&mut self) -> (Vec<Element>, Vec<Element>) {
        let bridges = self.state.loopback_bridges(Ip::V6);
        let bridges: BTreeSet<_> = bridges.into_iter().map(str::to_owned).collect();
        let open = self.loopback.ensure(&mut self.socket, &bridges);
        self.waiting = &bridges - &open;
        self.state.set_open(open)
    }

    /// [`Self::make_all_ways`] for some bridges, known or not.
    fn make_ways(&mut self, bridges: &[&str]) -> (Vec<Element>, Vec<Element>) {
        let bridges: BTreeSet<_> = bridges.iter().map(|bridge| (*bridge).to_owned()).collect();
        let open = self.loopback.ensure(&mut self.socket, &bridges);
        self.waiting.retain(|bridge| !bridges.contains(bridge));
        self.waiting.extend(&bridges - &open);
        let others = self.state.open().filter(|bridge| !bridges.contains(*bridge));
        let open = others.map(str::to_owned).chain(open.iter().cloned()).collect();
        self.state.set_open(open)
    }

    /// Removes the ways back to `::1` that no port needs any more; that of a network that goes in any case.
    fn close_ipv6(&mut self, removed: Option<&str>) -> io::Result<()> {
        let needed = self.state.loopback_bridges(Ip::V6);
        let is_needed = |bridge: &str| needed.contains(bridge) && removed != Some(bridge);
        let made = self.state.open().chain(self.waiting.iter().map(String::as_str));
        let idle = made.filter(|bridge| !is_needed(bridge)).map(str::to_owned);
        let idle: BTreeSet<_> = idle.collect();
        if idle.is_empty() {
            return Ok(());
        }
        self.waiting.retain(|bridge| !idle.contains(bridge));
        let open = self
            .state
            .open()
            .filter(|bridge| !idle.contains(*bridge))
            .map(str::to_owned);
        let open = open.collect();
        // None of their ports has elements any more.
        self.state.set_open(open);
        self.loopback.remove(&mut self.socket, &idle)
    }

    /// Removes the ways back to `::1` that somebody left who had this instance before.
    fn retain_ipv6(&mut self) -> io::Result<()> {
        let needed = self.state.loopback_bridges(Ip::V6);
        let needed = needed.into_iter().map(str::to_owned).collect();
        self.loopback.retain(&mut self.socket, &needed)
    }
}
