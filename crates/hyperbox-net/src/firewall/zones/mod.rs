// SPDX-License-Identifier: MIT
//! Our bridges in a zone of firewalld: it rejects what comes from interfaces of zones that do not accept it, and its newer versions own their
//! table, which the kernel lets nobody else change.
//!
//! As Docker does it: a zone that accepts everything, and a policy that lets everything into it; both are made once, in its permanent
//! configuration, and loaded. Our own rules go on to say what may pass. Bridges are added to the zone as long as firewalld runs,
//! not to its configuration; the firewall's watch notices when it has loaded its rules anew. An administrator who has put a bridge into another zone
//! is left alone.
//!
//! One thread speaks to firewalld, and has the time that it takes; it ends with the firewall. When this process dies, bridges stay in the zone
//! until firewalld restarts, which does no harm.

mod bus;
mod wire;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use self::bus::{Bus, CallError};
use self::wire::{Argument, Method, Setting};

/// Name of the zone.
const ZONE: &str = "hyperbox";
/// Name of the policy.
const POLICY: &str = "hyperbox-forwarding";
/// How long a network waits until its bridge is in the zone. After that it goes on without.
const PATIENCE: Duration = Duration::from_secs(5);
/// Until firewalld is asked again that was not there or refused, and how often it is asked.
const AGAIN: Duration = Duration::from_millis(500);
const ATTEMPTS: u32 = 60;
const STACK: usize = 256 * 1024;

const WALL: &str = "org.fedoraproject.FirewallD1";
const ON_ZONES: &str = "org.fedoraproject.FirewallD1.zone";
const ON_POLICIES: &str = "org.fedoraproject.FirewallD1.policy";
const ON_CONFIGURATION: &str = "org.fedoraproject.FirewallD1.config";

const fn method(interface: &'static str, member: &'static str) -> Method {
    Method {
        destination: WALL,
        path: "/org/fedoraproject/FirewallD1",
        interface,
        member,
    }
}

const fn configuration(member: &'static str) -> Method {
    Method {
        path: "/org/fedoraproject/FirewallD1/config",
        ..method(ON_CONFIGURATION, member)
    }
}

/// What is to be in the zone.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The bridges of ours that are to be there, and no others of ours.
    pub(super) bridges: BTreeSet<String>,
    /// Whether firewalld's table has an exception for their packets, so that they pass without the zone.
    pub(super) excepted: bool,
}

#[derive(Debug)]
struct Wish {
    wanted: Wanted,
    /// Told when it has been done, or has failed.
    done: Sender<()>,
}

/// A handle of the thread.
#[derive(Debug)]
pub(super) struct Zones {
    wishes: Sender<Wish>,
    /// Whether somebody waited in vain, and nothing was answered since.
    is_slow: Arc<AtomicBool>,
}

impl Zones {
    /// Starts the thread, which connects to this bus whenever there is something to do.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(bus: PathBuf) -> std::io::Result<Self> {
        let (wishes, wished) = channel();
        let is_slow = Arc::default();
        let told = Arc::clone(&is_slow);
        let thread = std::thread::Builder::new()
            .name("net-firewalld".to_owned())
            .stack_size(STACK);
        thread.spawn(move || run(&bus, &wished, &told))?;
        Ok(Self { wishes, is_slow })
    }

    /// Has the zone made as it is wanted, in the background: the last who calls this says how. Does not block; what comes back can be
    /// waited for.
    pub(super) fn set(&self, wanted: Wanted) -> Asked {
        let (done, waiting) = channel();
        let needless = wanted.excepted || self.is_slow.load(Ordering::Relaxed);
        // Nobody receives it only if the thread has panicked.
        drop(self.wishes.send(Wish { wanted, done }));
        Asked {
            waiting: (!needless).then_some(waiting),
            is_slow: Arc::clone(&self.is_slow),
        }
    }
}

/// What the thread has been asked for.
#[derive(Debug)]
#[must_use = "wait, or drop it to go on at once"]
pub(super) struct Asked {
    /// Unset where packets pass all the same, or where nobody is to wait for a firewalld that let others wait in vain.
    waiting: Option<Receiver<()>>,
    is_slow: Arc<AtomicBool>,
}

impl Asked {
    /// Returns when it has been done, has failed or takes too long.
    pub(super) fn wait(self) {
        let Some(waiting) = self.waiting else { return };
        if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            self.is_slow.store(true, Ordering::Relaxed);
            tracing::warn!("firewalld takes its time: a network may have no way out until its bridge is in a zone");
        }
    }
}

fn run(bus: &Path, wishes: &Receiver<Wish>, is_slow: &AtomicBool) {
    let mut ours = BTreeSet::new();
    let mut attempt: Option<Attempt> = None;
    loop {
        let received = match attempt {
            None => wishes.recv().map_err(RecvTimeoutError::from),
            Some(_) => wishes.recv_timeout(AGAIN),
        };
        let waiting = match received {
            Ok(wish) => {
                // Only the newest counts.
                let all = std::iter::once(wish).chain(wishes.try_iter());
                let (mut wanted, waiting): (Vec<_>, Vec<_>) = all.map(|wish| (wish.wanted, wish.done)).unzip();
                attempt = wanted.pop().map(|wanted| Attempt { wanted, failures: 0 });
                waiting
            }
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        attempt = attempt.and_then(|attempt| attempt.make(bus, &mut ours));
        // It has answered, or there is nobody to answer.
        is_slow.store(false, Ordering::Relaxed);
        for done in waiting {
            // Most do not wait.
            let _stopped = done.send(());
        }
    }
}

/// What is wanted and has not been reached yet: firewalld that starts loads its rules before it is on the bus.
#[derive(Debug)]
struct Attempt {
    wanted: Wanted,
    failures: u32,
}

impl Attempt {
    /// Tries it; returns itself when it has failed and is worth another time.
    fn make(mut self, bus: &Path, ours: &mut BTreeSet<String>) -> Option<Self> {
        let error = agree(bus, &self.wanted.bridges, ours).err()?;
        self.failures += 1;
        if self.failures < ATTEMPTS {
            tracing::debug!(%error, "firewalld is asked again");
            return Some(self);
        }
        complain(&error, self.wanted.excepted);
        None
    }
}

fn complain(error: &CallError, excepted: bool) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    if excepted {
        tracing::debug!(%error, cause, "firewalld has no zone for our bridges");
    } else {
        tracing::warn!(
            %error,
            cause,
            "firewalld rejects what containers send to the outside. Run for each bridge: \
             firewall-cmd --zone=trusted --add-interface=BRIDGE"
        );
    }
}

/// Makes the zone and what is in it agree with what is wanted. `ours` is what this process has put there.
fn agree(bus: &Path, wanted: &BTreeSet<String>, ours: &mut BTreeSet<String>) -> Result<(), CallError> {
    if wanted.is_empty() && ours.is_empty() {
        return Ok(());
    }
    let mut bus = Bus::connect(bus)?;
    if !wanted.is_empty() {
        make_zone(&mut bus)?;
    }
    let zone = Argument::Text(ZONE);
    let present = bus.call(method(ON_ZONES, "getInterfaces"), &[zone]);
    let present: BTreeSet<_> = match present {
        Ok(names) => names.into_iter().collect(),
        // Without the zone there is nothing to be removed.
        Err(CallError::Refused { .. }) if wanted.is_empty() => BTreeSet::new(),
        Err(error) => return Err(error),
    };
    for bridge in wanted - &present {
        match bus.call(method(ON_ZONES, "addInterface"), &[zone, Argument::Text(&bridge)]) {
            Ok(_) => {
                tracing::debug!(bridge, "added a bridge to firewalld's zone");
                ours.insert(bridge);
            }
            Err(CallError::Refused { text, .. }) if is_taken(&text) => {
                tracing::info!(
                    bridge,
                    text,
                    "somebody has put a bridge into a zone of firewalld: it stays there"
                );
            }
            Err(error) => return Err(error),
        }
    }
    for bridge in &*ours - wanted {
        if present.contains(&bridge) {
            bus.call(method(ON_ZONES, "removeInterface"), &[zone, Argument::Text(&bridge)])?;
        }
        ours.remove(&bridge);
    }
    // Also those that were there already: an earlier daemon has added them.
    ours.clone_from(wanted);
    Ok(())
}

/// Makes the zone and the policy known to firewalld, if they are not.
fn make_zone(bus: &mut Bus) -> Result<(), CallError> {
    let has = |names: Vec<String>, name| names.iter().any(|known| known == name);
    let has_zone = has(bus.call(method(ON_ZONES, "getZones"), &[])?, ZONE);
    // Versions before 0.9 know no policies: there it has to do without.
    let policies = match bus.call(method(ON_POLICIES, "getPolicies"), &[]) {
        Ok(names) => Some(names),
        Err(CallError::Refused { .. }) => None,
        Err(error) => return Err(error),
    };
    let lacks_policy = policies.is_some_and(|names| !has(names, POLICY));
    if has_zone && !lacks_policy {
        return Ok(());
    }
    if !has_zone {
        let settings = [
            ("short", Setting::Text(ZONE)),
            (
                "description",
                Setting::Text("Bridges of HyperBox, which has rules of its own for them"),
            ),
            ("target", Setting::Text("ACCEPT")),
        ];
        add(bus, configuration("addZone2"), ZONE, &settings)?;
    }
    if lacks_policy {
        let settings = [
            (
                "description",
                Setting::Text("What HyperBox's rules let into containers"),
            ),
            ("ingress_zones", Setting::List(&["ANY"])),
            ("egress_zones", Setting::List(&[ZONE])),
            ("target", Setting::Text("ACCEPT")),
        ];
        add(bus, configuration("addPolicy"), POLICY, &settings)?;
    }
    bus.call(method(WALL, "reload"), &[]).map(drop)
}

/// Adds to the permanent configuration; that it is there already, from another daemon, is success.
fn add(bus: &mut Bus, method: Method, name: &str, settings: &[(&str, Setting<'_>)]) -> Result<(), CallError> {
    match bus.call(method, &[Argument::Text(name), Argument::Settings(settings)]) {
        Err(CallError::Refused { text, .. }) if text.contains("NAME_CONFLICT") => Ok(()),
        result => result.map(drop),
    }
}

/// Returns whether a refusal says that the bridge is in a zone already: another one, or this one by somebody who was faster.
fn is_taken(text: &str) -> bool {
    text.contains("ZONE_CONFLICT") || text.contains("ZONE_ALREADY_SET") || text.contains("ALREADY_ENABLED")
}
