// SPDX-License-Identifier: MIT
//! Builds that run under an id that their client chose, so that somebody can cancel them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// All of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunningBuilds {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Numbers builds: several can have had the same id.
    next: u64,
    tokens: HashMap<String, (u64, CancellationToken)>,
}

/// A build as long as it runs.
#[derive(Debug)]
pub(crate) struct Running {
    builds: RunningBuilds,
    id: String,
    number: u64,
    /// Cancelled when somebody asks for it.
    pub cancelled: CancellationToken,
}

impl RunningBuilds {
    /// Registers a build; one without an id cannot be cancelled by others. A later one of the same id takes its place.
    pub(crate) fn begin(&self, id: &str) -> Running {
        let cancelled = CancellationToken::new();
        let mut known = self.lock();
        known.next += 1;
        let number = known.next;
        if !id.is_empty() {
            known.tokens.insert(id.to_owned(), (number, cancelled.clone()));
        }
        drop(known);
        Running {
            builds: self.clone(),
            id: id.to_owned(),
            number,
            cancelled,
        }
    }

    /// Cancels a build; one that is not there has ended.
    pub(crate) fn cancel(&self, id: &str) {
        if let Some((_, token)) = self.lock().tokens.remove(id) {
            token.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut known = self.builds.lock();
        let own = known
            .tokens
            .get(&self.id)
            .is_some_and(|(number, _)| *number == self.number);
        if own {
            known.tokens.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_cancelled_by_their_id() {
        let builds = RunningBuilds::default();
        let one = builds.begin("one");
        let nameless = builds.begin("");
        builds.cancel("one");
        builds.cancel("");
        builds.cancel("unknown");
        assert!(one.cancelled.is_cancelled() && !nameless.cancelled.is_cancelled());
        drop(one);
        assert!(builds.lock().tokens.is_empty());
    }

    #[test]
    fn a_build_takes_only_its_own_entry_with_it() {
        let builds = RunningBuilds::default();
        let (first, second) = (builds.begin("same"), builds.begin("same"));
        drop(first);
        builds.cancel("same");
        assert!(second.cancelled.is_cancelled());
        drop(second);
        assert!(builds.lock().tokens.is_empty());
    }
}
