// SPDX-License-Identifier: MIT
//! What happens when a project's files change: `develop.watch` of its Compose files and the rules of `hyperbox.toml`.
//!
//! ```text
//! files ──notify──▶ paths ──debounce──▶ a batch ──rule──▶ work for each service ──refresh──▶ containers
//! ```
//! `debounce` and `rule` are pure. One batch is worked off at a time; what changes meanwhile is the next one, so nothing is lost. A failure is told and
//! watching goes on. When a file changes that the project itself is described by, it is read again first (`reload`), and brought up when it
//! says something else, or did not come up the last time.
//!
//! Source: <https://docs.docker.com/reference/compose-file/develop/>; what it leaves open is what Docker Compose does.

mod debounce;
mod files;
mod refresh;
mod reload;
mod rule;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Instant;

use hyperbox_project::model::WatchAction;

use self::debounce::Debounce;
use self::files::Watcher;
use self::refresh::Refresher;
use self::reload::{Read, read_again};
pub(crate) use self::reload::{Reload, Watched};
pub(crate) use self::rule::Rules;
use self::rule::{Work, works};
use crate::context::Context;
use crate::dialect::Dialect;
use crate::error::CliError;

/// What a watcher tells.
#[derive(Debug)]
enum Seen {
    /// These files are not what they were.
    Changed(Vec<PathBuf>),
    /// Changes were lost: anything may have changed.
    Everything,
}

/// Watches until the program ends. `remark` tells the user what happens.
///
/// # Errors
/// When files cannot be watched.
pub(crate) fn watch(
    context: &Context,
    mut watched: Watched,
    reload: &dyn Reload,
    remark: &dyn Fn(&str),
) -> Result<(), CliError> {
    let (sender, receiver) = channel();
    let began = Instant::now();
    let mut debounce = Debounce::default();
    let mut applied = Applied::Yes;
    loop {
        let mut watcher = Watcher::start(&watched, sender.clone())?;
        let refresher = Refresher::new(context, &watched.opened, remark)?;
        initial_sync(&refresher, &watched.rules, remark);
        remark(&match watched.rules.services().join(", ") {
            nothing if nothing.is_empty() => "watching the files of the project only".to_owned(),
            services => format!("watching files of {services}"),
        });
        // Ends with the project as it is from now on.
        let next = loop {
            let seen = match debounce.wait(began.elapsed()) {
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(time) => receiver.recv_timeout(time),
            };
            match seen {
                Ok(seen) => note(&mut debounce, &mut watcher, &watched, seen, began),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(CliError::new("files cannot be watched any more")),
            }
            let Some(paths) = debounce.due(began.elapsed()) else {
                continue;
            };
            if let Some(next) = reloaded(reload, &watched, &paths, &mut applied, remark) {
                // What changed with the project's files is worked off by its new rules.
                for path in paths {
                    // The files of a project that could not be applied wait to be saved again.
                    if applied == Applied::Yes || !next.sources.contains(&path) {
                        debounce.add(path, began.elapsed());
                    }
                }
                break next;
            }
            for work in works(&watched.rules, &paths) {
                report(refresher.work(&watched.rules, &work), remark);
            }
        };
        watched = next;
    }
}

/// Takes in what the operating system has seen.
fn note(debounce: &mut Debounce, watcher: &mut Watcher, watched: &Watched, seen: Seen, began: Instant) {
    let now = began.elapsed();
    match seen {
        Seen::Changed(paths) => {
            for path in paths {
                watcher.entered(&watched.rules, &path);
                if watched.rules.concern(&path) || watched.sources.contains(&path) {
                    debounce.add(path, now);
                }
            }
        }
        Seen::Everything => {
            let rules = watched.rules.list.iter().map(|rule| rule.path.clone());
            for path in rules.chain(watched.sources.iter().cloned()) {
                debounce.add(path, now);
            }
        }
    }
}

/// Whether the project is as its files describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Applied {
    Yes,
    /// The last attempt failed.
    No,
}

/// Reads the project again when its own files are among those that changed, and brings it up if need be. `None` when it says what it
/// said, or cannot be read.
fn reloaded(
    reload: &dyn Reload,
    watched: &Watched,
    paths: &BTreeSet<PathBuf>,
    applied: &mut Applied,
    remark: &dyn Fn(&str),
) -> Option<Watched> {
    if paths.is_disjoint(&watched.sources) {
        return None;
    }
    let apply = |opened| {
        let outcome = reload.apply(opened);
        let applied = if outcome.is_ok() { Applied::Yes } else { Applied::No };
        report(outcome, remark);
        applied
    };
    match read_again(reload, watched) {
        Ok(Read::Same) if *applied == Applied::Yes => None,
        Ok(Read::Same) => {
            remark("the project's files were saved, trying again");
            *applied = apply(&watched.opened);
            None
        }
        Ok(Read::Different(next)) => {
            remark("the project's files changed, reading them again");
            *applied = apply(&next.opened);
            Some(*next)
        }
        Err(error) => {
            report(Err(error), remark);
            None
        }
    }
}

fn initial_sync(refresher: &Refresher<'_>, rules: &Rules, remark: &dyn Fn(&str)) {
    for rule in rules.list.iter().filter(|rule| rule.initial_sync) {
        let work = Work {
            action: WatchAction::Sync,
            paths: vec![rule.path.clone()],
            ..Work::of(rule)
        };
        report(refresher.work(rules, &work), remark);
    }
}

fn report(outcome: Result<(), CliError>, remark: &dyn Fn(&str)) {
    if let Err(error) = outcome {
        remark(error.report(Dialect::Own).trim_end());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use serde_json::json;

    use super::*;
    use crate::project::Opened;

    /// A project that has one text, and comes up or not.
    struct Project {
        text: Cell<u32>,
        comes_up: Cell<bool>,
        applied: RefCell<Vec<u32>>,
    }

    impl Project {
        fn watched(&self) -> Watched {
            let opened = Opened {
                name: "shop".to_owned(),
                directory: "/shop".into(),
                files: Vec::new(),
                document: json!(self.text.get()),
                model: hyperbox_project::model::Model::default(),
                limits: hyperbox_types::project::ProjectLimits::default(),
                contents: std::collections::BTreeMap::new(),
                unset: None,
                warnings: Vec::new(),
                detection: None,
            };
            Watched {
                opened,
                sources: BTreeSet::from(["/shop/compose.yaml".into()]),
                rules: Rules::default(),
            }
        }
    }

    impl Reload for Project {
        fn read(&self) -> Result<Watched, CliError> {
            Ok(self.watched())
        }

        fn apply(&self, opened: &Opened) -> Result<(), CliError> {
            let text = u32::try_from(opened.document.as_u64().expect("a number"));
            self.applied.borrow_mut().push(text.expect("a small one"));
            if self.comes_up.get() {
                Ok(())
            } else {
                Err(CliError::new("the port is taken"))
            }
        }
    }

    #[test]
    fn what_did_not_come_up_is_tried_again_when_its_files_are_saved() {
        let project = Project {
            text: Cell::new(1),
            comes_up: Cell::new(true),
            applied: RefCell::default(),
        };
        let mut watched = project.watched();
        let mut applied = Applied::Yes;
        // What the files say, whether that comes up, and what is brought up when they are saved.
        for (step, (text, comes_up, expected)) in [
            (1, true, &[][..]),
            (2, false, &[2]),
            (2, false, &[2]),
            (2, true, &[2]),
            (2, true, &[]),
            (3, true, &[3]),
        ]
        .into_iter()
        .enumerate()
        {
            project.text.set(text);
            project.comes_up.set(comes_up);
            let paths = watched.sources.clone();
            if let Some(next) = reloaded(&project, &watched, &paths, &mut applied, &|_| {}) {
                watched = next;
            }
            assert_eq!(project.applied.take(), expected, "step {step}");
        }
        project.comes_up.set(false);
        let others = BTreeSet::from(["/shop/main.rs".into()]);
        assert!(reloaded(&project, &watched, &others, &mut applied, &|_| {}).is_none());
        assert!(project.applied.take().is_empty());
    }
}
