// SPDX-License-Identifier: MIT
//! Failures that a fake was told to make.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A queue of failures; each is taken by one call. Clones share the queue.
#[derive(Debug)]
pub(super) struct Faults<E>(Arc<Mutex<VecDeque<E>>>);

impl<E> Faults<E> {
    /// Adds a failure for a later call.
    pub(super) fn push(&self, error: E) {
        lock(&self.0).push_back(error);
    }

    /// Fails if a failure is due.
    pub(super) fn check(&self) -> Result<(), E> {
        match lock(&self.0).pop_front() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl<E> Default for Faults<E> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<E> Clone for Faults<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Locks, also after a panic elsewhere: the panic is the test's failure, not this lock.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
