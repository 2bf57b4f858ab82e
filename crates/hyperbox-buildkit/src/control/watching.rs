// SPDX-License-Identifier: MIT
//! Watching a build: what was told so far, then what is told, for as many as want it.
//!
//! One watcher reads the course of a build and tells the others; when that one goes, another reads on, so that nobody depends on who came
//! first. One that is too slow misses the middle. The end is that of the reader, who is waited for some seconds.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::builds::Build;
use super::transcript::Transcript;
use crate::status::{Course, Reader};
use crate::transport::frame::frame;

/// So long the reader may read on when a build is over.
const LINGERING: Duration = Duration::from_secs(5);

/// Watches a build to its end, in framed messages.
pub(super) fn watch(build: &Arc<Build>) -> BoxStream<'static, Bytes> {
    let (told, news) = build.transcript.follow();
    let (transcript, course) = (Arc::clone(&build.transcript), Arc::clone(&build.course));
    let (lasting, ending) = (Arc::clone(&transcript), Arc::clone(&course));
    let watcher = Watcher {
        told: told.into(),
        news: Some(news),
        // In this order: what the last reader told is among the news.
        reading: Reading::of(&course, &Arc::downgrade(build)),
        build: Arc::downgrade(build),
        over: Box::pin(async move {
            let late = async {
                ending.ended().await;
                tokio::time::sleep(LINGERING).await;
            };
            tokio::select! {
                () = lasting.sealed() => {}
                () = late => {}
            }
        }),
        transcript,
        course,
    };
    let messages = stream::unfold(watcher, |mut watcher| async move {
        let message = watcher.next().await?;
        Some((message, watcher))
    });
    messages.boxed()
}

/// Whoever watches.
struct Watcher {
    told: VecDeque<Bytes>,
    /// What the reader tells; `None` for the reader, once there is none of an earlier one.
    news: Option<Receiver<Bytes>>,
    reading: Option<Reading>,
    /// Who held the build itself would wait for its own end.
    build: Weak<Build>,
    transcript: Arc<Transcript>,
    course: Arc<Course>,
    /// Nothing more will be told.
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The reader's.
struct Reading {
    reader: Reader,
    /// It is known, and nothing is written down, as long as it is read.
    _build: Option<Arc<Build>>,
}

impl Reading {
    fn of(course: &Arc<Course>, build: &Weak<Build>) -> Option<Self> {
        // Held first: what is read is told before it is over.
        let build = build.upgrade();
        Some(Self {
            reader: course.read()?,
            _build: build,
        })
    }
}

impl Watcher {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(message) = self.told.pop_front() {
            return Some(message);
        }
        loop {
            match (&mut self.reading, &mut self.news) {
                (Some(_), Some(news)) => match news.try_recv() {
                    Ok(message) => return Some(message),
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(TryRecvError::Empty | TryRecvError::Closed) => self.news = None,
                },
                (Some(reading), None) => {
                    let message = reading.reader.next().await?;
                    let framed = frame(&message);
                    self.transcript.add(&message, &framed);
                    return Some(framed);
                }
                (None, Some(news)) => tokio::select! {
                    // What was told before the end comes before it.
                    biased;
                    told = news.recv() => match told {
                        Ok(message) => return Some(message),
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    },
                    () = self.course.left() => self.reading = Reading::of(&self.course, &self.build),
                    // What nobody has read is told before the end.
                    () = &mut self.over => self.reading = Some(Reading::of(&self.course, &self.build)?),
                },
                (None, None) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use prost::Message as _;

    use super::super::builds::{Begun, Builds};
    use super::*;
    use crate::proto::control::{SolveRequest, StatusResponse, VertexLog};
    use crate::transport::frame::payload;

    fn begin(builds: &Builds) -> Begun {
        let request = SolveRequest {
            reference: "1".to_owned(),
            ..SolveRequest::default()
        };
        builds.begin(Arc::new(request)).expect("it begins")
    }

    fn add(build: &Build, text: &str) -> Bytes {
        let log = VertexLog {
            msg: text.as_bytes().to_vec(),
            ..VertexLog::default()
        };
        let message = StatusResponse {
            logs: vec![log],
            ..StatusResponse::default()
        };
        let framed = frame(&message);
        build.transcript.add(&message, &framed);
        framed
    }

    /// The names of what a message tells of.
    fn names(message: &Bytes) -> Vec<String> {
        let message = StatusResponse::decode(payload(message.clone())).expect("a message");
        message.vertexes.into_iter().map(|vertex| vertex.name).collect()
    }

    async fn next(watched: &mut BoxStream<'static, Bytes>) -> Vec<String> {
        names(&watched.next().await.expect("a message"))
    }

    #[tokio::test]
    async fn a_late_watcher_is_told_all_of_it() {
        let builds = Builds::default();
        let begun = begin(&builds);
        let reader = begun.build.course.read().expect("the reader");
        let mut expected = vec![add(&begun.build, "before")];
        let mut followed = watch(&begun.build);
        assert_eq!(followed.next().await.as_ref(), expected.first());
        // More than is kept for those who come when it is over.
        let long = "x".repeat(600_000);
        expected.extend([
            add(&begun.build, &long),
            add(&begun.build, &long),
            add(&begun.build, "after"),
        ]);
        drop(begun);
        let rest: Vec<Bytes> = followed.collect().await;
        assert_eq!(rest, expected[1..]);
        drop(reader);
    }

    #[tokio::test]
    async fn when_the_reader_goes_another_reads_on() {
        let builds = Builds::default();
        let begun = begin(&builds);
        let course = &begun.build.course;
        let mut first = watch(&begun.build);
        let (mut second, mut third) = (watch(&begun.build), watch(&begun.build));
        course.begin("one").done();
        assert_eq!(next(&mut first).await, ["one", "one"]);
        assert_eq!(next(&mut second).await, ["one", "one"]);
        // What nobody has read yet is not lost.
        assert!(second.next().now_or_never().is_none());
        course.begin("two").done();
        drop(first);
        assert_eq!(next(&mut second).await, ["two", "two"]);
        let mut fourth = watch(&begun.build);
        drop(second);
        for watched in [&mut third, &mut fourth] {
            assert_eq!(next(watched).await, ["one", "one"]);
            assert_eq!(next(watched).await, ["two", "two"]);
        }
        course.begin("three").done();
        drop(begun);
        // Whoever of them looks first.
        let (fourth, third) = tokio::join!(fourth.collect::<Vec<_>>(), third.collect::<Vec<_>>());
        for rest in [third, fourth] {
            assert_eq!(rest.iter().flat_map(names).collect::<Vec<_>>(), ["three", "three"]);
        }
        assert!(builds.watch("1", false).is_none());
    }
}
