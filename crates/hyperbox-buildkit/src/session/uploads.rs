// SPDX-License-Identifier: MIT
//! Archives that come in a request of their own, beside the build whose context they are: joined by the build's name, whoever comes first.
//!
//! An archive is taken once. Who brings it waits until the build has read it, or has dropped it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use hyperbox_core::seam::FileStream;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::transport::status::{Code, Status};

/// Who waits longer than this for the other is alone.
const PATIENCE: Duration = Duration::from_secs(30);

/// More archives than this are for no builds.
const MOST: usize = 256;

/// Archives that no build has taken yet.
#[derive(Debug)]
pub(crate) struct Uploads {
    patience: Duration,
    waiting: Mutex<HashMap<String, Waiting>>,
    /// Tells offers of one name from each other.
    next: AtomicU64,
    /// Told when one was added.
    added: watch::Sender<()>,
}

struct Waiting {
    number: u64,
    archive: FileStream,
    taken: oneshot::Sender<()>,
    read: oneshot::Sender<()>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Waiting")
    }
}

impl Default for Uploads {
    fn default() -> Self {
        Self::with_patience(PATIENCE)
    }
}

impl Uploads {
    fn with_patience(patience: Duration) -> Self {
        Self {
            patience,
            waiting: Mutex::default(),
            next: AtomicU64::default(),
            added: watch::Sender::default(),
        }
    }

    /// Offers an archive to a build until it was read.
    ///
    /// # Errors
    /// Why nobody takes it.
    pub(crate) async fn offer(&self, build: &str, archive: FileStream) -> Result<(), Status> {
        let (taken, was_taken) = oneshot::channel();
        let (read, was_read) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        {
            let mut waiting = lock(&self.waiting);
            if waiting.contains_key(build) || waiting.len() >= MOST {
                let message = format!("there is an upload for the build {build:?} already, or there are too many");
                return Err(Status::new(Code::AlreadyExists, message));
            }
            let offer = Waiting {
                number,
                archive,
                taken,
                read,
            };
            waiting.insert(build.to_owned(), offer);
        }
        let _offered = Offered {
            uploads: self,
            build,
            number,
        };
        self.added.send_replace(());
        if timeout(self.patience, was_taken).await.is_err() {
            return Err(Status::new(
                Code::NotFound,
                format!("no build {build:?} wants the upload"),
            ));
        }
        // The sender goes with the archive: what it never says is how one learns of its end.
        let _end = was_read.await;
        Ok(())
    }

    /// Takes the archive of a build.
    ///
    /// # Errors
    /// [`Code::NotFound`] when none comes.
    pub(crate) async fn take(&self, build: &str) -> Result<FileStream, Status> {
        let mut added = self.added.subscribe();
        let coming = async {
            loop {
                if let Some(waiting) = lock(&self.waiting).remove(build) {
                    return waiting;
                }
                // The sender lives as long as this.
                if added.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let Ok(waiting) = timeout(self.patience, coming).await else {
            return Err(Status::new(
                Code::NotFound,
                format!("nothing was uploaded for the build {build:?}"),
            ));
        };
        // Who offered it may be gone: the archive says so itself.
        let _gone = waiting.taken.send(());
        let read = waiting.read;
        Ok(Box::pin(waiting.archive.inspect(move |_| {
            let _until_the_archive_goes = &read;
        })))
    }
}

/// An archive that nobody has taken, and that goes when who brings it does.
struct Offered<'u> {
    uploads: &'u Uploads,
    build: &'u str,
    number: u64,
}

impl Drop for Offered<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.uploads.waiting);
        // Once it was taken, what has the name is another one.
        if waiting.get(self.build).is_some_and(|offer| offer.number == self.number) {
            waiting.remove(self.build);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::{FutureExt as _, TryStreamExt as _, stream};

    use super::*;

    fn archive(text: &'static str) -> FileStream {
        Box::pin(stream::iter([Ok(Bytes::from_static(text.as_bytes()))]))
    }

    #[tokio::test]
    async fn whoever_comes_first() {
        let uploads = Uploads::default();
        for offer_first in [true, false] {
            let offering = uploads.offer("b", archive("x"));
            let taking = async {
                let pieces: Vec<Bytes> = uploads
                    .take("b")
                    .await
                    .expect("archive")
                    .try_collect()
                    .await
                    .expect("pieces");
                pieces.concat()
            };
            let read = match offer_first {
                true => {
                    let (offered, read) = tokio::join!(offering, taking);
                    offered.expect("offered");
                    read
                }
                false => {
                    let (read, offered) = tokio::join!(taking, offering);
                    offered.expect("offered");
                    read
                }
            };
            assert_eq!(read, b"x");
        }
        assert!(lock(&uploads.waiting).is_empty());
    }

    #[tokio::test]
    async fn who_offers_waits_until_it_was_read() {
        let uploads = Uploads::default();
        let mut offering = Box::pin(uploads.offer("b", archive("x")));
        assert!(offering.as_mut().now_or_never().is_none());
        let taken = uploads.take("b").await.expect("archive");
        assert!(offering.as_mut().now_or_never().is_none());
        drop(taken);
        offering.await.expect("offered");
    }

    #[tokio::test]
    async fn who_goes_takes_only_what_is_its_own() {
        let uploads = Uploads::default();
        let mut first = Box::pin(uploads.offer("b", archive("x")));
        assert!(first.as_mut().now_or_never().is_none());
        let taken = uploads.take("b").await.expect("archive");
        let mut second = Box::pin(uploads.offer("b", archive("y")));
        assert!(second.as_mut().now_or_never().is_none());
        // It has not noticed that it was taken.
        drop(first);
        assert!(lock(&uploads.waiting).contains_key("b"));
        drop((taken, second));
        assert!(lock(&uploads.waiting).is_empty());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let uploads = Uploads::with_patience(Duration::from_millis(20));
        assert_eq!(
            uploads.offer("b", archive("x")).await.expect_err("alone").code,
            Code::NotFound
        );
        assert_eq!(
            uploads.take("b").await.err().map(|status| status.code),
            Some(Code::NotFound)
        );
        // One that is given up is not there any more.
        drop(Box::pin(uploads.offer("b", archive("x"))).as_mut().now_or_never());
        assert!(lock(&uploads.waiting).is_empty());
        let (first, second) = (uploads.offer("b", archive("x")), uploads.offer("b", archive("y")));
        let (first, second) = tokio::join!(first, second);
        assert_eq!(first.expect_err("alone").code, Code::NotFound);
        assert_eq!(second.expect_err("twice").code, Code::AlreadyExists);
    }
}
