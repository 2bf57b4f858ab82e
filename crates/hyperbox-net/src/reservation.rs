// SPDX-License-Identifier: MIT
//! What the daemons of one machine are about to use.
//!
//! Between choosing a subnet and giving its bridge an address, nothing in the kernel shows the choice. So a choice is made under an
//! exclusive `flock(2)` and noted in the locked file for as long as that may take. A lock ends with its process; a note ends by
//! its time, so a crash leaves nothing that matters. The clock is the one since boot: the directory is emptied at boot.
//!
//! A daemon's own choices are in its records, and what it removed again is free at once: its own notes do not hinder it.
//!
//! Layout of the file: lines of `subnet owner bridge expiry-in-milliseconds`. Lines that do not parse (a torn write) are ignored.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ipnet::IpNet;
use rustix::fs::{FlockOperation, flock};
use rustix::time::{ClockId, clock_gettime};

const FILE: &str = "network-choices";
/// Making a bridge takes milliseconds; a loaded machine may take seconds.
const LIFETIME_MS: u64 = 60_000;

/// A choice that may not be visible in the kernel yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    subnet: IpNet,
    owner: String,
    bridge: String,
    expires_ms: u64,
}

/// The locked notes; dropping it unlocks.
#[derive(Debug)]
pub(crate) struct Reservations {
    file: File,
    notes: Vec<Note>,
    now_ms: u64,
}

impl Reservations {
    /// Locks and reads the notes, waiting for whoever holds the lock.
    pub(crate) fn lock(directory: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(directory.join(FILE))?;
        flock(&file, FlockOperation::LockExclusive)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let now_ms = now_ms();
        let notes = parse(&String::from_utf8_lossy(&bytes), now_ms);
        Ok(Self { file, notes, now_ms })
    }

    /// Returns what others are about to use.
    pub(crate) fn of_others(&self, owner: &str) -> Vec<IpNet> {
        let others = self.notes.iter().filter(|note| note.owner != owner);
        others.map(|note| note.subnet).collect()
    }

    /// Returns what daemons other than this process are about to use.
    pub(crate) fn of_other_processes(&self) -> Vec<IpNet> {
        let own = format!("-{}", std::process::id());
        let others = self.notes.iter().filter(|note| !note.owner.ends_with(&own));
        others.map(|note| note.subnet).collect()
    }

    /// Forgets a choice that the kernel shows by now, or that was given up, and unlocks.
    pub(crate) fn forget(self, owner: &str, bridge: &str) -> io::Result<()> {
        if self
            .notes
            .iter()
            .any(|note| note.bridge == bridge && note.owner == owner)
        {
            return self.note(owner, bridge, []);
        }
        Ok(())
    }

    /// Notes a choice and unlocks.
    pub(crate) fn note(
        mut self,
        owner: &str,
        bridge: &str,
        subnets: impl IntoIterator<Item = IpNet>,
    ) -> io::Result<()> {
        self.notes.retain(|note| note.bridge != bridge || note.owner != owner);
        let expires_ms = self.now_ms.saturating_add(LIFETIME_MS);
        self.notes.extend(subnets.into_iter().map(|subnet| Note {
            subnet,
            owner: owner.to_owned(),
            bridge: bridge.to_owned(),
            expires_ms,
        }));
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(render(&self.notes).as_bytes())
    }
}

fn parse(text: &str, now_ms: u64) -> Vec<Note> {
    let notes = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let note = Note {
            subnet: words.next()?.parse().ok()?,
            owner: words.next()?.to_owned(),
            bridge: words.next()?.to_owned(),
            expires_ms: words.next()?.parse().ok()?,
        };
        // An expiry further away than any note can have is from a clock of another boot.
        let alive = note.expires_ms > now_ms && note.expires_ms <= now_ms.saturating_add(LIFETIME_MS);
        (words.next().is_none() && alive).then_some(note)
    });
    notes.collect()
}

fn render(notes: &[Note]) -> String {
    let lines = notes
        .iter()
        .map(|note| format!("{} {} {} {}\n", note.subnet, note.owner, note.bridge, note.expires_ms));
    lines.collect()
}

fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_end_by_their_time_and_torn_lines_are_ignored() {
        let text = "10.0.0.0/24 a br0 1500\n10.0.1.0/24 a br1 900\n10.0.2.0/24 a br2 999999999\n10.0.3\nx y z\n10.0.4.0/24 a br4 1001 x\n";
        let notes = parse(text, 1000);
        assert_eq!(render(&notes), "10.0.0.0/24 a br0 1500\n");
        assert_eq!(parse(&render(&notes), 1000), notes);
    }

    #[test]
    fn a_choice_is_seen_by_others_and_not_by_oneself() {
        let directory = tempfile::tempdir().unwrap();
        let run = directory.path().join("run");
        let subnet: IpNet = "10.0.0.0/24".parse().unwrap();
        let first = Reservations::lock(&run).unwrap();
        assert_eq!(first.of_others("one"), []);
        first.note("one", "br0", [subnet]).unwrap();
        let second = Reservations::lock(&run).unwrap();
        assert_eq!(second.of_others("two"), [subnet]);
        assert_eq!(second.of_others("one"), []);
        second.note("one", "br0", ["10.0.1.0/24".parse().unwrap()]).unwrap();
        let third = Reservations::lock(&run).unwrap();
        assert_eq!(third.of_others("two").len(), 1);
    }

    #[test]
    fn one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let held = Reservations::lock(directory.path()).unwrap();
        let file = File::open(directory.path().join(FILE)).unwrap();
        assert!(flock(&file, FlockOperation::NonBlockingLockExclusive).is_err());
        drop(held);
        assert!(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
    }
}
