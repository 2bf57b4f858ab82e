// SPDX-License-Identifier: MIT
//! A count of everything that an engine makes on a machine, before and after, to prove that nothing was left.
//!
//! Tests run in parallel, so a [`Scope`] says what belongs to one of them: directories, container ids, a network namespace, and a
//! marker in the environment of its processes. Nothing is changed by looking.

mod network;
mod processes;
mod sources;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

/// What belongs to the test.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Mounts below these directories, and files in them, are counted. Empty: all mounts and no files.
    pub roots: Vec<PathBuf>,
    /// Cgroups whose path contains one of these are counted, such as container ids. Empty: all below `hyperbox…`.
    pub cgroups: Vec<String>,
    /// A process in the network namespace whose links and rules are counted; `None`: this process's.
    pub network_of: Option<u32>,
    /// `NAME=value` in the environment of processes that are counted, with their descendants; so are containers whose root
    /// filesystem is below `roots`, and their supervisors. `None`: all processes whose executable is called `hyperbox…`.
    pub marker: Option<String>,
    /// Whether the files below `roots` are counted.
    pub files: bool,
}

/// What was there at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    found: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Census {
    /// Looks at the machine.
    pub fn take(scope: &Scope) -> Self {
        let processes = processes::in_scope(scope);
        let found = BTreeMap::from([
            ("mount", sources::mounts(&scope.roots)),
            ("cgroup", sources::cgroups(&scope.cgroups)),
            ("link", network::links(scope.network_of)),
            ("nft", network::rules(scope.network_of)),
            ("network namespace", processes::network_namespaces(&processes)),
            ("process", processes::describe(&processes)),
            (
                "file",
                if scope.files {
                    sources::files(&scope.roots)
                } else {
                    BTreeSet::new()
                },
            ),
        ]);
        Self { found }
    }

    /// Returns the ids of the processes in scope, parents before children where the kernel numbers them so.
    pub fn processes(scope: &Scope) -> Vec<u32> {
        processes::in_scope(scope).iter().map(processes::Process::pid).collect()
    }

    /// Returns what there is of one kind: `mount`, `cgroup`, `link`, `nft`, `network namespace`, `process`, `file`.
    pub fn of(&self, kind: &str) -> Vec<&str> {
        self.found.get(kind).into_iter().flatten().map(String::as_str).collect()
    }

    /// Lists what is there now (`+`) and was not in `before`, and what is gone (`-`); empty when nothing changed.
    pub fn difference(&self, before: &Self) -> String {
        let mut text = String::new();
        let nothing = BTreeSet::new();
        for (kind, now) in &self.found {
            let then = before.found.get(kind).unwrap_or(&nothing);
            for (sign, items) in [('+', now.difference(then)), ('-', then.difference(now))] {
                for item in items {
                    writeln!(text, "{sign} {kind}: {item}").expect("writing to memory");
                }
            }
        }
        text
    }

    /// Lists what is there now and was not in `before`.
    pub fn added(&self, before: &Self) -> String {
        let difference = self.difference(before);
        let added = difference.lines().filter(|line| line.starts_with('+'));
        added.flat_map(|line| [line, "\n"]).collect()
    }
}
