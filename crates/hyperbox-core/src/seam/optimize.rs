// SPDX-License-Identifier: MIT
//! Storing files that several layers have once: what a snapshotter may be able to do besides.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hyperbox_types::{ByteSize, DiffId};

use super::snapshot::SnapshotError;

/// The longest pause for others; then a piece of work is done, so that a long build cannot hold it up for good.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Keeps files that several layers have once, and undoes that.
///
/// Each layer is replaced in one step: its tree stays the same byte for byte, containers that run on it keep what they have mounted,
/// later ones see the new form. After an interruption, by a crash too, each layer is whole in one of both forms; what was stored for
/// nothing is given back by the next run, or after the next start.
#[async_trait]
pub trait LayerOptimizer: Send + Sync + std::fmt::Debug {
    /// Brings together the files of those layers that are worth it; the others, and those that are not there, stay as they are. When the
    /// caller stops waiting, the work goes on until [`Pace::stop`].
    ///
    /// # Errors
    /// I/O classes; `ResourceExhausted` when there is no room for a layer in both forms. Layers that were changed until then stay so.
    async fn optimize(&self, layers: &[DiffId], pace: Arc<Pace>) -> Result<Optimized, SnapshotError>;

    /// Gives layers back a form of their own, each verified by its diff id.
    ///
    /// # Errors
    /// As [`LayerOptimizer::optimize`]; `InvalidArgument` for a layer that is damaged.
    async fn restore(&self, layers: &[DiffId], pace: Arc<Pace>) -> Result<Optimized, SnapshotError>;

    /// Tells how much is shared.
    fn shared(&self) -> SharedUsage;

    /// Tells of each layer how many bytes no other layer has.
    ///
    /// # Errors
    /// I/O classes.
    async fn own(&self) -> Result<HashMap<DiffId, ByteSize>, SnapshotError>;
}

/// What became of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Optimized {
    /// So many changed their form.
    pub layers: usize,
    /// What all layers occupied on the disk.
    pub before: ByteSize,
    /// What they occupy.
    pub after: ByteSize,
}

/// What layers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SharedUsage {
    /// Layers whose files are shared.
    pub layers: usize,
    /// Bytes of those files, counted in each layer that has them.
    pub referenced: ByteSize,
    /// What they occupy on the disk.
    pub stored: ByteSize,
}

/// How fast background work may go: it pauses while something else is going on, and ends when it should.
#[derive(Debug, Default)]
pub struct Pace {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    busy: usize,
    stopped: bool,
}

/// Something is going on; until dropped.
#[derive(Debug)]
pub struct Busy(Arc<Pace>);

impl Pace {
    /// Tells that something is going on that background work should not disturb.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.state().busy += 1;
        Busy(Arc::clone(self))
    }

    /// Ends background work after the piece it is at.
    pub fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    /// Tells whether something is going on.
    pub fn is_busy(&self) -> bool {
        self.state().busy > 0
    }

    /// Called by background work between two pieces of at most some megabytes: waits while something else goes on, a few seconds at
    /// most, and tells whether to go on.
    pub fn breathe(&self) -> ControlFlow<()> {
        let end = Instant::now() + LONGEST_PAUSE;
        let mut state = self.state();
        while state.busy > 0 && !state.stopped {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.stopped {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.state().busy -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_waits_while_something_goes_on_and_ends_when_told() {
        let pace = Arc::new(Pace::default());
        assert_eq!(pace.breathe(), ControlFlow::Continue(()));
        let (one, other) = (pace.busy(), pace.busy());
        drop(one);
        assert!(pace.is_busy());
        let waiting = Arc::clone(&pace);
        let worker = std::thread::spawn(move || waiting.breathe());
        drop(other);
        assert_eq!(worker.join().unwrap(), ControlFlow::Continue(()));
        let _busy = pace.busy();
        pace.stop();
        assert_eq!(pace.breathe(), ControlFlow::Break(()), "without waiting");
    }
}
