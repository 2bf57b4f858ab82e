// SPDX-License-Identifier: MIT
//! Builds that are over, on the disk: `ROOT/N.build`, one file for each ([`super::history_file`]).
//!
//! In memory is what tells them apart, some hundred bytes for each; records and logs are read when somebody asks. As with BuildKit
//! (`solver/llbsolver/history.go`, `gc`) a build goes when it is older than 48 h and 50 younger ones are there; unlike there, never more than
//! [`MOST`] builds and [`MOST_BYTES`] stay. What is pinned stays until it is removed. Everything here blocks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyperbox_core::time::Timestamp;

use super::history_file::{self, logs_of, messages_of};
use crate::proto::control::BuildHistoryRecord;

/// So many stay, however old they are.
const YOUNG: usize = 50;
/// So long stay all.
const AGE: Duration = Duration::from_secs(48 * 60 * 60);
/// Never more than this.
const MOST: usize = 500;
/// Nor more bytes than this.
const MOST_BYTES: u64 = 64 << 20;
/// So many may be pinned.
const MOST_PINNED: usize = 100;

/// Builds that are over.
#[derive(Debug)]
pub(super) struct Shelf {
    root: PathBuf,
    content: Mutex<Content>,
}

#[derive(Debug)]
struct Content {
    next: u64,
    /// The oldest first.
    builds: Vec<Entry>,
}

/// A build.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    number: u64,
    reference: String,
    /// When it was over, in seconds since the epoch.
    completed: i64,
    pinned: bool,
    size: u64,
    /// The digest of its logs, where there are any.
    logs: String,
}

impl Entry {
    fn of(number: u64, record: &BuildHistoryRecord, size: u64) -> Self {
        Self {
            number,
            reference: record.reference.clone(),
            completed: record.completed_at.map(|time| time.seconds).unwrap_or_default(),
            pinned: record.pinned,
            size,
            logs: record.logs.as_ref().map(|logs| logs.digest.clone()).unwrap_or_default(),
        }
    }
}

impl Shelf {
    /// Opens the builds of a directory, which is made if it is not there; what does not belong there is removed.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        rustix::fs::chmod(root, rustix::fs::Mode::RWXU)?;
        let mut builds = Vec::new();
        for entry in std::fs::read_dir(root)? {
            let path = entry?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            let is_build = path.extension().is_some_and(|extension| extension == "build");
            let read = match number.filter(|_| is_build) {
                Some(number) => found(number, &path),
                None => Ok(None),
            };
            match read {
                Ok(Some(build)) => builds.push(build),
                Ok(None) => std::fs::remove_file(&path)?,
                Err(error) => tracing::warn!(path = %path.display(), %error, "a build is not remembered"),
            }
        }
        builds.sort_by_key(|build| build.number);
        let next = builds.last().map_or(1, |last| last.number.saturating_add(1));
        let shelf = Self {
            root: root.to_path_buf(),
            content: Mutex::new(Content { next, builds }),
        };
        shelf.drop_replaced();
        shelf.sweep();
        Ok(shelf)
    }

    /// Removes what a crash left beside what replaced it.
    fn drop_replaced(&self) {
        let replaced: Vec<Entry> = {
            let mut content = lock(&self.content);
            let all = content.builds.clone();
            let is_replaced = |build: &mut Entry| {
                all.iter()
                    .any(|other| other.reference == build.reference && other.number > build.number)
            };
            content.builds.extract_if(.., is_replaced).collect()
        };
        replaced.iter().for_each(|build| self.remove_file(build));
    }

    /// Adds a build, in place of an earlier one of the same reference.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn add(&self, mut record: BuildHistoryRecord, messages: &[Bytes]) -> io::Result<()> {
        let number = {
            let mut content = lock(&self.content);
            content.next += 1;
            content.next - 1
        };
        let size = history_file::write(&self.path(number), &mut record, &logs_of(messages))?;
        let entry = Entry::of(number, &record, size);
        let replaced: Vec<Entry> = {
            let mut content = lock(&self.content);
            let same = |build: &mut Entry| build.reference == entry.reference;
            let replaced = content.builds.extract_if(.., same).collect();
            content.builds.push(entry);
            replaced
        };
        replaced.iter().for_each(|build| self.remove_file(build));
        self.sweep();
        Ok(())
    }

    /// Removes a build; returns what was known of it.
    pub(super) fn remove(&self, reference: &str) -> Option<BuildHistoryRecord> {
        let removed = {
            let mut content = lock(&self.content);
            let position = content.builds.iter().position(|build| build.reference == reference)?;
            content.builds.remove(position)
        };
        let record = self.read(&removed);
        self.remove_file(&removed);
        record
    }

    /// Reads what is known of all builds, the oldest first, or of the one with this reference.
    pub(super) fn records(&self, reference: Option<&str>) -> Vec<BuildHistoryRecord> {
        let wanted: Vec<Entry> = {
            let content = lock(&self.content);
            let wanted = content.builds.iter();
            wanted
                .filter(|build| reference.is_none_or(|reference| build.reference == reference))
                .cloned()
                .collect()
        };
        wanted.iter().filter_map(|build| self.read(build)).collect()
    }

    /// Reads what was told of a build, framed; `None` for one that is not here.
    pub(super) fn messages(&self, reference: &str) -> Option<Vec<Bytes>> {
        let build = self.find(|build| build.reference == reference)?;
        Some(self.logs(&build).map(messages_of).unwrap_or_default())
    }

    /// Reads logs as a blob.
    pub(super) fn blob(&self, digest: &str) -> Option<Bytes> {
        let build = self.find(|build| !digest.is_empty() && build.logs == digest)?;
        self.logs(&build)
    }

    /// Says whether a build stays until it is removed; `false` when it is not here.
    ///
    /// # Errors
    /// I/O classes; [`io::ErrorKind::QuotaExceeded`] when too many are pinned.
    pub(super) fn pin(&self, reference: &str, pinned: bool) -> io::Result<bool> {
        let Some(build) = self.find(|build| build.reference == reference) else {
            return Ok(false);
        };
        if pinned && lock(&self.content).builds.iter().filter(|build| build.pinned).count() >= MOST_PINNED {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "too many builds are pinned",
            ));
        }
        let Some(mut record) = self.read(&build) else {
            return Ok(false);
        };
        record.pinned = pinned;
        let logs = self.logs(&build).unwrap_or_default();
        history_file::write(&self.path(build.number), &mut record, &logs)?;
        let mut content = lock(&self.content);
        let known = content.builds.iter_mut().find(|known| known.number == build.number);
        let Some(known) = known else {
            drop(content);
            // It was removed meanwhile.
            self.remove_file(&build);
            return Ok(false);
        };
        known.pinned = pinned;
        Ok(true)
    }

    /// Tells whether a build is here; from memory.
    pub(super) fn has(&self, reference: &str) -> bool {
        self.find(|build| build.reference == reference).is_some()
    }

    fn find(&self, wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let content = lock(&self.content);
        content.builds.iter().find(|build| wanted(build)).cloned()
    }

    fn read(&self, build: &Entry) -> Option<BuildHistoryRecord> {
        told(build, history_file::read_record(&self.path(build.number)))
    }

    fn logs(&self, build: &Entry) -> Option<Bytes> {
        told(build, history_file::read_logs(&self.path(build.number)))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.root.join(format!("{number}.build"))
    }

    fn remove_file(&self, build: &Entry) {
        match std::fs::remove_file(self.path(build.number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(number = build.number, %error, "what is remembered of a build stays");
            }
            _ => {}
        }
    }

    /// Removes what is too old or too much.
    fn sweep(&self) {
        let gone: Vec<Entry> = {
            let mut content = lock(&self.content);
            let doomed = doomed(&content.builds, Timestamp::now().seconds());
            content
                .builds
                .extract_if(.., |build| doomed.contains(&build.number))
                .collect()
        };
        gone.iter().for_each(|build| self.remove_file(build));
    }
}

fn found(number: u64, path: &Path) -> io::Result<Option<Entry>> {
    let size = std::fs::metadata(path)?.len();
    Ok(history_file::read_record(path)?.map(|record| Entry::of(number, &record, size)))
}

/// Says what cannot be read.
fn told<T>(build: &Entry, read: io::Result<Option<T>>) -> Option<T> {
    match read {
        // It may have been removed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(reference = build.reference, %error, "cannot read what is remembered of a build");
            None
        }
        Ok(read) => read,
    }
}

/// Chooses what goes, by number. Pure.
fn doomed(builds: &[Entry], now: i64) -> Vec<u64> {
    let oldest_allowed = now.saturating_sub_unsigned(AGE.as_secs());
    let mut bytes = builds
        .iter()
        .filter(|build| build.pinned)
        .map(|build| build.size)
        .sum::<u64>();
    let mut kept = 0;
    let mut doomed = Vec::new();
    for build in builds.iter().rev().filter(|build| !build.pinned) {
        bytes += build.size;
        let is_old = build.completed < oldest_allowed;
        if (kept >= YOUNG && is_old) || kept >= MOST || bytes > MOST_BYTES {
            bytes -= build.size;
            doomed.push(build.number);
        } else {
            kept += 1;
        }
    }
    doomed
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::control::StatusResponse;
    use crate::proto::rpc;
    use crate::transport::frame::frame;

    const NOW: i64 = 1_000_000;

    fn entry(number: u64, hours_ago: i64) -> Entry {
        Entry {
            number,
            reference: number.to_string(),
            completed: NOW - hours_ago * 3600,
            pinned: false,
            size: 1,
            logs: String::new(),
        }
    }

    #[test]
    fn what_is_old_and_not_among_the_youngest_goes() {
        let old: Vec<Entry> = (0..60).map(|number| entry(number, 100)).collect();
        assert_eq!(doomed(&old, NOW), (0..10).rev().collect::<Vec<u64>>());
        assert_eq!(doomed(&old[..50], NOW), [0; 0]);
        let young: Vec<Entry> = (0..60).map(|number| entry(number, 47)).collect();
        assert_eq!(doomed(&young, NOW), [0; 0]);
        let mut pinned = old.clone();
        pinned[3].pinned = true;
        assert!(!doomed(&pinned, NOW).contains(&3));
        let many: Vec<Entry> = (0..600).map(|number| entry(number, 0)).collect();
        assert_eq!(doomed(&many, NOW).len(), 600 - MOST);
        let large = |number| Entry {
            size: MOST_BYTES / 2,
            ..entry(number, 0)
        };
        assert_eq!(doomed(&[large(1), large(2), large(3)], NOW), [1]);
    }

    fn record(reference: &str, seconds: i64) -> BuildHistoryRecord {
        BuildHistoryRecord {
            reference: reference.to_owned(),
            completed_at: Some(rpc::Timestamp { seconds, nanos: 0 }),
            ..BuildHistoryRecord::default()
        }
    }

    fn names(shelf: &Shelf) -> Vec<String> {
        let records = shelf.records(None).into_iter();
        records.map(|record| record.reference).collect()
    }

    #[test]
    fn the_next_daemon_knows_the_builds() {
        let directory = tempfile::tempdir().expect("directory");
        let now = Timestamp::now().seconds();
        let shelf = Shelf::open(directory.path()).expect("a shelf");
        let messages = [frame(&StatusResponse::default())];
        for reference in ["a", "b", "c", "a"] {
            shelf.add(record(reference, now), &messages).expect("added");
        }
        assert_eq!(names(&shelf), ["b", "c", "a"]);
        assert!(shelf.pin("b", true).expect("pinned") && !shelf.pin("x", true).expect("nothing"));
        assert_eq!(shelf.remove("c").expect("removed").reference, "c");
        assert!(shelf.remove("c").is_none());
        // As a crash leaves it between two files.
        let first = directory.path().join("1.build");
        let second = directory.path().join("2.build");
        assert!(!first.exists());
        std::fs::copy(&second, &first).expect("copied");
        std::fs::write(directory.path().join("99.build"), "no build").expect("written");
        std::fs::write(directory.path().join("100.new"), "half").expect("written");
        drop(shelf);

        let shelf = Shelf::open(directory.path()).expect("a shelf");
        assert_eq!(names(&shelf), ["b", "a"]);
        let pinned = shelf.records(Some("b")).pop().expect("a build");
        let logs = pinned.logs.expect("logs");
        assert!(pinned.pinned);
        assert_eq!(shelf.messages("b").expect("a build"), messages);
        assert_eq!(shelf.blob(&logs.digest).expect("logs").len(), 4);
        assert!(shelf.messages("x").is_none() && shelf.blob("").is_none());
        assert_eq!(std::fs::read_dir(directory.path()).expect("listing").count(), 2);
        shelf.add(record("d", now), &[]).expect("added");
        assert_eq!(names(&shelf), ["b", "a", "d"]);
    }

    #[test]
    fn what_is_too_old_goes_when_it_is_opened() {
        let directory = tempfile::tempdir().expect("directory");
        let shelf = Shelf::open(directory.path()).expect("a shelf");
        for number in 0..YOUNG + 5 {
            shelf.add(record(&number.to_string(), 1), &[]).expect("added");
        }
        assert_eq!(names(&shelf).len(), YOUNG);
        drop(shelf);
        let shelf = Shelf::open(directory.path()).expect("a shelf");
        assert_eq!(names(&shelf).first().map(String::as_str), Some("5"));
        assert_eq!(std::fs::read_dir(directory.path()).expect("listing").count(), YOUNG);
    }
}
