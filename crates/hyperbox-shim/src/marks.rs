// SPDX-License-Identifier: MIT
//! Moments of a start, noted only if the daemon wants to know them; else not even the clock is looked at.

use hyperbox_runtime::Step;
use hyperbox_types::trace::{Mark, Party};

use crate::supervisor::now_ns;

/// What was noted so far, if anything is to be noted.
#[derive(Debug)]
pub(crate) struct Marks(Option<Vec<Mark>>);

impl Marks {
    /// Begins to note if `wanted`.
    pub(crate) fn new(wanted: bool) -> Self {
        Self(wanted.then(Vec::new))
    }

    /// Notes that something has been done just now.
    pub(crate) fn mark(&mut self, party: Party, step: &str) {
        if let Some(marks) = &mut self.0 {
            marks.push(Mark {
                party,
                step: step.to_owned(),
                at_ns: now_ns(),
            });
        }
    }

    /// Notes a step of the embedded runtime.
    pub(crate) fn step(&mut self, step: Step) {
        let (party, text) = match step {
            Step::Planned => (Party::Shim, "start planned"),
            Step::RootMounted => (Party::Shim, "root filesystem mounted"),
            Step::CgroupsMade => (Party::Shim, "cgroups made"),
            Step::Prepared => (Party::Shim, "mounts prepared"),
            Step::Cloned => (Party::Shim, "first process cloned"),
            Step::CgroupsJoined => (Party::Shim, "cgroups joined"),
            Step::Ready => (Party::Container, "mounts made, user set"),
            Step::Executed => (Party::Container, "command executed"),
        };
        self.mark(party, text);
    }

    /// Returns what was noted.
    pub(crate) fn into_list(self) -> Option<Vec<Mark>> {
        self.0
    }
}
