// SPDX-License-Identifier: MIT
//! A sheet on which everybody who takes part in one start notes when he has done what.
//!
//! Whoever wants a timeline makes a sheet and passes it along; who gets none notes nothing and looks at no clock. A handle that is shared
//! between threads; each note is a lock and a push.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyperbox_types::trace::{Mark, Party};

use crate::time::Timestamp;

/// The sheet.
#[derive(Debug, Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<Mark>>>);

impl Trace {
    /// Notes that the engine has done something just now.
    pub fn mark(&self, step: &str) {
        self.lock().push(Mark {
            party: Party::Daemon,
            step: step.to_owned(),
            at_ns: Timestamp::now().0,
        });
    }

    /// Adds what others have noted.
    pub fn extend(&self, marks: Vec<Mark>) {
        self.lock().extend(marks);
    }

    /// Returns everything in the order of time.
    pub fn marks(&self) -> Vec<Mark> {
        let mut marks = self.lock().clone();
        marks.sort_by_key(|mark| mark.at_ns);
        marks
    }

    /// A list that somebody panicked over is whole all the same.
    fn lock(&self) -> MutexGuard<'_, Vec<Mark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_in_the_order_of_time() {
        let trace = Trace::default();
        let shared = trace.clone();
        trace.mark("begun");
        shared.extend(vec![Mark {
            party: Party::Shim,
            step: "forked".to_owned(),
            at_ns: 1,
        }]);
        let steps: Vec<String> = trace.marks().into_iter().map(|mark| mark.step).collect();
        assert_eq!(steps, ["forked", "begun"]);
    }
}
