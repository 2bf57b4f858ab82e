// SPDX-License-Identifier: MIT
//! Whose turn it is to do something to a project's containers: one run after another, by the project's name.
//!
//! A turn belongs to the name, not to what is recorded under it: a project that is removed and opened anew meanwhile is still worked on by
//! one run at a time, and so are containers whose project nobody opened. A name that nobody works on or waits for costs nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The turns of all names.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl Turns {
    /// Returns what is held while something is done to the containers of a project.
    pub(crate) fn of(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(name.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Tells whether something is being done.
    pub(crate) fn is_taken(&self, name: &str) -> bool {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.get(name).and_then(Weak::upgrade);
        turn.is_some_and(|turn| turn.try_lock().is_err())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_turn_and_goes_with_the_last_who_wants_it() {
        let turns = Turns::default();
        let waits = turns.of("a");
        {
            let works = turns.of("a");
            let _turn = works.try_lock().unwrap();
            assert!(turns.is_taken("a") && waits.try_lock().is_err());
            assert!(
                turns.of("b").try_lock().is_ok(),
                "names have nothing to do with each other"
            );
        }
        assert!(!turns.is_taken("a") && waits.try_lock().is_ok());
        drop(waits);
        drop(turns.of("c"));
        assert_eq!(turns.turns.lock().unwrap().len(), 1);
        assert!(!turns.is_taken("a"));
    }
}
