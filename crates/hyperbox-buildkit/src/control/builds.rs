// SPDX-License-Identifier: MIT
//! Builds that are going on, by the references that clients make up.
//!
//! A build is known from the first call that names it, whichever that is, until the last such call ends. Nobody owns a build: calls hold
//! it, and it goes with them. A call that is not `Control.Solve` waits some seconds for that, and ends with an error when it does not
//! come: nothing that is held would ever end otherwise. References that ended are remembered for a while, so that a watcher who comes late
//! does not wait at all.
//!
//! A reference names one build at a time (`NewJob` in `solver/jobs.go`); when that is over, the next one may have it, also while somebody
//! still reads what the first one told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::transcript::Transcript;
use crate::proto::control::SolveRequest;
use crate::solve::Finished;
use crate::status::Course;
use crate::transport::status::{Code, Status};

/// So many ended builds are remembered.
const REMEMBERED: usize = 1024;
/// `Control.Solve` may come so much later than what refers to it.
const LATE: Duration = Duration::from_secs(15);

/// How a build ended.
pub(super) type Outcome = Result<HashMap<String, String>, Status>;

/// A build.
#[derive(Debug)]
pub(crate) struct Build {
    /// What happens in it.
    pub(super) course: Arc<Course>,
    /// What was told of it.
    pub(super) transcript: Arc<Transcript>,
    request: watch::Sender<Option<Arc<SolveRequest>>>,
    outcome: watch::Sender<Option<Outcome>>,
    /// What its solves made, by reference.
    finished: Mutex<HashMap<String, Arc<Finished>>>,
    /// So long it is waited for.
    late: Duration,
}

impl Build {
    fn new(reference: &str, late: Duration) -> Self {
        Self {
            course: Arc::new(Course::new(reference)),
            transcript: Arc::default(),
            request: watch::Sender::new(None),
            outcome: watch::Sender::new(None),
            finished: Mutex::default(),
            late,
        }
    }

    /// Says what was asked for; only the first time counts, and is answered with `true`.
    fn ask(&self, request: Arc<SolveRequest>) -> bool {
        self.request.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(request);
            first
        })
    }

    /// Waits some seconds until it is known what was asked for; `None` when nobody does.
    pub(super) async fn asked(&self) -> Option<Arc<SolveRequest>> {
        let mut request = self.request.subscribe();
        let known = timeout(self.late, request.wait_for(Option::is_some)).await;
        known.ok()?.ok()?.clone()
    }

    fn has_begun(&self) -> bool {
        self.request.borrow().is_some()
    }

    /// Says how it ended; only the first time counts.
    pub(super) fn finish(&self, outcome: Outcome) {
        self.outcome.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(outcome);
            first
        });
    }

    /// Waits for the end.
    pub(super) async fn outcome(&self) -> Outcome {
        let mut outcome = self.outcome.subscribe();
        match outcome.wait_for(Option::is_some).await.map(|known| known.clone()) {
            Ok(Some(outcome)) => outcome,
            // The sender is here.
            _ => Err(crate::transport::server::interrupted()),
        }
    }

    /// Keeps what a solve made.
    pub(super) fn keep(&self, id: &str, finished: Arc<Finished>) {
        lock(&self.finished).insert(id.to_owned(), finished);
    }

    /// Returns what a solve made.
    pub(super) fn kept(&self, id: &str) -> Option<Arc<Finished>> {
        lock(&self.finished).get(id).cloned()
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        // Nobody watches it, and nothing happens in it any more.
        self.transcript.seal();
    }
}

/// All builds. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Builds {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug)]
struct Known {
    builds: HashMap<String, Weak<Build>>,
    ended: VecDeque<String>,
    late: Duration,
}

impl Default for Builds {
    fn default() -> Self {
        Self::with_patience(LATE)
    }
}

impl Known {
    fn living(&self, reference: &str) -> Option<Arc<Build>> {
        self.builds.get(reference).and_then(Weak::upgrade)
    }

    /// Finds a build that may begin or goes on, or makes one known.
    fn get(&mut self, reference: &str) -> Arc<Build> {
        if let Some(build) = self.living(reference).filter(|build| !build.course.is_over()) {
            return build;
        }
        self.builds.retain(|_, build| build.strong_count() > 0);
        let build = Arc::new(Build::new(reference, self.late));
        self.builds.insert(reference.to_owned(), Arc::downgrade(&build));
        build
    }
}

/// A build whose `Control.Solve` goes on; its end ends the course.
#[derive(Debug)]
pub(super) struct Begun {
    builds: Builds,
    reference: String,
    pub(super) build: Arc<Build>,
}

impl Builds {
    /// Knows none yet; `Control.Solve` may come so much later than what refers to it.
    pub(super) fn with_patience(late: Duration) -> Self {
        let known = Known {
            builds: HashMap::new(),
            ended: VecDeque::new(),
            late,
        };
        Self {
            known: Arc::new(Mutex::new(known)),
        }
    }

    /// Finds a build to be watched, which may not have begun; `None` for one that has ended here, or `before` this daemon began.
    pub(super) fn watch(&self, reference: &str, before: bool) -> Option<Arc<Build>> {
        let mut known = lock(&self.known);
        // In one step: a build that ends between two would be made known again.
        match known.living(reference) {
            // What it told may not have been read yet.
            Some(build) if build.has_begun() => Some(build),
            _ if before || known.ended.iter().any(|ended| ended == reference) => None,
            _ => Some(known.get(reference)),
        }
    }

    /// Finds a build that a client has begun, and what it asked for; waits some seconds for `Control.Solve`, which other calls of the
    /// build may overtake.
    ///
    /// # Errors
    /// [`Code::NotFound`] when it does not come, or has ended.
    pub(super) async fn begun(&self, reference: &str) -> Result<(Arc<Build>, Arc<SolveRequest>), Status> {
        // Held while waiting: what a call says of a build that nobody holds would be lost.
        let build = lock(&self.known).get(reference);
        match build.asked().await {
            Some(request) => Ok((build, request)),
            None => Err(unknown(reference)),
        }
    }

    /// Begins a build.
    ///
    /// # Errors
    /// When a build of this reference goes on.
    pub(super) fn begin(&self, request: Arc<SolveRequest>) -> Result<Begun, Status> {
        let reference = request.reference.clone();
        let mut known = lock(&self.known);
        let build = known.get(&reference);
        // In one step with finding it: one that is over meanwhile would be begun, and interrupted at once.
        if !build.ask(request) {
            return Err(Status::new(Code::Unknown, format!("job ID {reference} exists")));
        }
        drop(known);
        Ok(Begun {
            builds: self.clone(),
            reference,
            build,
        })
    }
}

/// What is said of a build that nobody begins (`NewUnknownJobError` in `solver/errdefs`).
pub(super) fn unknown(reference: &str) -> Status {
    Status::new(Code::NotFound, format!("no such job {reference}"))
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut known = lock(&self.builds.known);
        self.build.course.end();
        if known.ended.len() >= REMEMBERED {
            known.ended.pop_front();
        }
        let reference = std::mem::take(&mut self.reference);
        known.ended.push_back(reference);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn request(reference: &str) -> Arc<SolveRequest> {
        Arc::new(SolveRequest {
            reference: reference.to_owned(),
            ..SolveRequest::default()
        })
    }

    fn begin(builds: &Builds, reference: &str) -> Begun {
        builds.begin(request(reference)).expect("it begins")
    }

    #[tokio::test]
    async fn calls_of_a_build_meet_in_any_order() {
        let builds = Builds::default();
        let early = builds.watch("1", false).expect("it may come");
        let begun = begin(&builds, "1");
        assert!(Arc::ptr_eq(&early, &begun.build));
        assert_eq!(early.asked().await.expect("known").reference, "1");
        early.finish(Err(Status::new(Code::Unknown, "first")));
        early.finish(Ok(HashMap::new()));
        assert_eq!(begun.build.outcome().await.expect_err("first").message, "first");
    }

    #[tokio::test]
    async fn calls_wait_for_the_build_they_are_about() {
        let builds = Builds::default();
        let early = async {
            let (build, request) = builds.begun("1").await.expect("it comes");
            build.finish(Ok(HashMap::new()));
            request
        };
        let late = async {
            tokio::task::yield_now().await;
            let begun = begin(&builds, "1");
            // What was said of it before it came is not lost.
            begun.build.outcome().await.expect("finished");
        };
        let (early, ()) = tokio::join!(early, late);
        assert_eq!(early.reference, "1");
        assert!(builds.begun("2").now_or_never().is_none());
        assert_eq!(lock(&builds.known).builds.values().filter_map(Weak::upgrade).count(), 0);
    }

    #[tokio::test]
    async fn what_does_not_come_is_not_waited_for_for_ever() {
        let builds = Builds::with_patience(Duration::from_millis(20));
        // One that never was, and one that is over.
        drop(begin(&builds, "1"));
        for reference in ["1", "2"] {
            let error = builds.begun(reference).await.expect_err("nobody begins it");
            assert_eq!(
                (error.code, error.message),
                (Code::NotFound, format!("no such job {reference}"))
            );
        }
        let watched = builds.watch("2", false).expect("it may come");
        assert!(watched.asked().await.is_none());
    }

    #[tokio::test]
    async fn a_reference_names_one_build_at_a_time() {
        let builds = Builds::default();
        let first = begin(&builds, "1");
        let error = builds.begin(request("1")).expect_err("it goes on");
        assert_eq!(error.message, "job ID 1 exists");
        assert!(!first.build.course.is_over());
        // Somebody reads what it told when the next one begins.
        let read = builds.watch("1", false).expect("it goes on");
        drop(first);
        assert!(Arc::ptr_eq(&read, &builds.watch("1", false).expect("it is read")));
        let next = begin(&builds, "1");
        assert!(read.course.is_over() && !next.build.course.is_over());
        let (found, _) = builds.begun("1").await.expect("the next one");
        assert!(Arc::ptr_eq(&found, &next.build));
        drop(read);
        assert!(Arc::ptr_eq(&found, &builds.watch("1", false).expect("it goes on")));
    }

    #[tokio::test]
    async fn a_call_that_overtakes_the_next_build_of_a_name_is_not_about_the_last_one() {
        let builds = Builds::default();
        let first = begin(&builds, "1");
        let read = builds.watch("1", false).expect("it goes on");
        drop(first);
        let mut early = Box::pin(builds.begun("1"));
        assert!(early.as_mut().now_or_never().is_none());
        // Whoever watches the name meanwhile is told of the build that was.
        assert!(builds.watch("1", false).is_none());
        let next = begin(&builds, "1");
        let (found, _) = early.await.expect("the next one");
        assert!(Arc::ptr_eq(&found, &next.build) && !Arc::ptr_eq(&found, &read));
    }

    #[test]
    fn who_comes_at_the_end_does_not_wait() {
        let builds = Builds::default();
        let together = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..2000 {
                    together.wait();
                    drop(begin(&builds, &number.to_string()));
                    together.wait();
                }
            });
            // Whoever watches it before, while or after it goes on is told of its end.
            let mut waiting = 0;
            for number in 0..2000 {
                together.wait();
                let watched = builds.watch(&number.to_string(), false);
                together.wait();
                waiting += usize::from(watched.is_some_and(|build| build.course.ended().now_or_never().is_none()));
            }
            assert_eq!(waiting, 0);
        });
    }

    #[tokio::test]
    async fn who_comes_late_does_not_wait() {
        let builds = Builds::default();
        let begun = begin(&builds, "1");
        let watched = builds.watch("1", false).expect("going on");
        drop(begun);
        watched.course.ended().await;
        drop(watched);
        assert!(builds.watch("1", false).is_none());
        assert!(builds.watch("2", false).is_some());
        assert!(builds.watch("of another daemon", true).is_none());
        for number in 0..2 * REMEMBERED {
            drop(begin(&builds, &number.to_string()));
        }
        assert_eq!(lock(&builds.known).ended.len(), REMEMBERED);
        assert!(lock(&builds.known).builds.len() < 3);
    }
}
