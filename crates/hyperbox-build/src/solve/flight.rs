// SPDX-License-Identifier: MIT
//! Steps that are being carried out: each once, however many builds wait for it.
//!
//! A flight is a task of its own. Who waits for it holds a [`Seat`]; when the last one is dropped the flight is told to stop, and a
//! build that wants the same step after that begins another flight. So a build that goes away stops exactly what nobody else needs.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyperbox_core::ServiceError;
use hyperbox_types::Digest;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cache::Record;
use crate::{EventSender, StepError, StepReporter};

/// What came of a flight.
pub(crate) type Outcome = Result<Record, Arc<StepError>>;

/// All flights. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flights {
    open: Arc<Mutex<HashMap<Digest, Flight>>>,
    /// Numbers flights, so that nobody mistakes one for an earlier one of the same step.
    next: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Flight {
    number: u64,
    reporter: StepReporter,
    cancel: CancellationToken,
    waiting: usize,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// Somebody who waits.
struct Seat {
    flights: Flights,
    key: Digest,
    number: u64,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Flights {
    /// Waits for a step; begins it if nobody has. Dropping the future stops the step, unless others wait for it.
    pub(crate) async fn join<F>(
        &self,
        key: &Digest,
        watcher: (EventSender, Digest),
        step: impl Fn(StepReporter, CancellationToken) -> F,
    ) -> Outcome
    where
        F: Future<Output = Result<Record, StepError>> + Send + 'static,
    {
        loop {
            let mut seat = self.seat(key, watcher.clone(), &step);
            let ended = seat
                .outcome
                .wait_for(Option::is_some)
                .await
                .map(|outcome| outcome.clone());
            match ended {
                // It was stopped before this build came to it.
                Ok(Some(Err(error))) if matches!(*error, StepError::Cancelled) => drop(seat),
                Ok(Some(outcome)) => return outcome,
                Ok(None) | Err(_) => {
                    let error = ServiceError::internal("a step of a build was interrupted");
                    return Err(Arc::new(StepError::Service(error)));
                }
            }
        }
    }

    fn seat<F>(
        &self,
        key: &Digest,
        watcher: (EventSender, Digest),
        step: &impl Fn(StepReporter, CancellationToken) -> F,
    ) -> Seat
    where
        F: Future<Output = Result<Record, StepError>> + Send + 'static,
    {
        let mut open = self.lock();
        if let Some(flight) = open.get_mut(key)
            && !flight.cancel.is_cancelled()
        {
            flight.waiting += 1;
            flight.reporter.watch(watcher.0, watcher.1);
            return self.seat_of(key, flight);
        }
        let (sender, outcome) = watch::channel(None);
        let flight = Flight {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            reporter: StepReporter::new(watcher.0, watcher.1),
            cancel: CancellationToken::new(),
            waiting: 1,
            outcome,
        };
        let work = step(flight.reporter.clone(), flight.cancel.clone());
        let (flights, own_key, number) = (self.clone(), key.clone(), flight.number);
        tokio::spawn(async move {
            let outcome = work.await.map_err(Arc::new);
            flights.land(&own_key, number);
            sender.send_replace(Some(outcome));
        });
        let seat = self.seat_of(key, &flight);
        open.insert(key.clone(), flight);
        seat
    }

    fn seat_of(&self, key: &Digest, flight: &Flight) -> Seat {
        Seat {
            flights: self.clone(),
            key: key.clone(),
            number: flight.number,
            outcome: flight.outcome.clone(),
        }
    }

    /// Takes a flight off the table, unless another one has taken its place.
    fn land(&self, key: &Digest, number: u64) {
        let mut open = self.lock();
        if open.get(key).is_some_and(|flight| flight.number == number) {
            open.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Flight>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.flights.lock();
        if let Some(flight) = open.get_mut(&self.key)
            && flight.number == self.number
        {
            flight.waiting -= 1;
            if flight.waiting == 0 {
                flight.cancel.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use hyperbox_core::image::ImageLayer;
    use hyperbox_core::seam::Descriptor;
    use hyperbox_core::time::Timestamp;
    use hyperbox_types::{ByteSize, DiffId};

    use super::*;

    fn record() -> Record {
        let digest = Digest::from_sha256([1; 32]);
        Record {
            layer: ImageLayer {
                diff_id: DiffId(digest.clone()),
                blob: Descriptor {
                    media_type: String::new(),
                    digest,
                    size: ByteSize(1),
                    annotations: std::collections::BTreeMap::new(),
                },
            },
            created_at: Timestamp(1),
            used_at: Timestamp(1),
            uses: 0,
            description: String::new(),
        }
    }

    fn watcher() -> (EventSender, Digest) {
        (EventSender::channel().0, Digest::from_sha256([2; 32]))
    }

    #[tokio::test]
    async fn a_step_is_carried_out_once_for_all_who_wait() {
        let (flights, key) = (Flights::default(), Digest::from_sha256([3; 32]));
        let begun = Arc::new(AtomicUsize::new(0));
        let go = CancellationToken::new();
        let step = |_, _| {
            let (begun, go) = (Arc::clone(&begun), go.clone());
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                go.cancelled().await;
                Ok(record())
            }
        };
        let one = flights.join(&key, watcher(), step);
        let other = flights.join(&key, watcher(), step);
        let release = async {
            while begun.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            go.cancel();
        };
        let (one, other, ()) = tokio::join!(one, other, release);
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn only_the_last_who_goes_stops_it_and_who_comes_then_begins_anew() {
        let (flights, key) = (Flights::default(), Digest::from_sha256([3; 32]));
        let stopped = Arc::new(AtomicUsize::new(0));
        let step = |_: StepReporter, cancel: CancellationToken| {
            let stopped = Arc::clone(&stopped);
            async move {
                cancel.cancelled().await;
                stopped.fetch_add(1, Ordering::SeqCst);
                Err(StepError::Cancelled)
            }
        };
        let begin = || {
            let (flights, key, step) = (flights.clone(), key.clone(), step);
            let seat = flights.seat(&key, watcher(), &step);
            drop((flights, key));
            seat
        };
        let (one, other) = (begin(), begin());
        drop(one);
        tokio::task::yield_now().await;
        assert_eq!(stopped.load(Ordering::SeqCst), 0);
        drop(other);
        let joined = flights.join(&key, watcher(), |_, _| async { Ok(record()) });
        assert!(joined.await.is_ok());
        while stopped.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }
}
