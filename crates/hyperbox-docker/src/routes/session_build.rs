// SPDX-License-Identifier: MIT
//! `POST /build?version=2`: builds for clients whose files come by a session (docker 18.09 to 22, and what embeds them).
//!
//! The build runs on its own: it ends when it is done, when its client is gone, or when `/build/cancel` names it.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyperbox_build::SessionBuildNews;
use hyperbox_core::seam::FileStream;
use tokio::sync::mpsc;

use super::build_connections::connections;
use crate::answer::{self, Answer};
use crate::build::by_session::{self, message};
use crate::build::running::Running;
use crate::call::Call;
use crate::error::{ApiError, ApiResult};

/// How many messages wait for the client.
const QUEUE: usize = 64;

pub(super) async fn build(call: Call) -> ApiResult<Answer> {
    let connections = connections(&call)?;
    let (door, query) = (Arc::clone(&call.door), call.query);
    let body: FileStream = Box::pin(call.body.into_data_stream().map_err(std::io::Error::other));
    if let Some(build) = by_session::uploaded_to(&query) {
        let taken = connections.upload(build.to_owned(), body).await;
        return match taken {
            Ok(()) => Ok(answer::stream(
                "application/json",
                stream::empty::<Result<Bytes, Infallible>>(),
            )),
            Err(reason) => Err(ApiError::new(StatusCode::NOT_FOUND, reason)),
        };
    }
    let session = query.text("session").to_owned();
    let refused = |error: ApiError| {
        if !session.is_empty() {
            door.spawn(connections.give_up(session.clone()));
        }
        error
    };
    let wanted = by_session::wanted(&query).map_err(refused)?;
    let context = by_session::has_context(&query).then_some(body);
    let running = door.builds.begin(&wanted.id);
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let news = connections.build(wanted, context);
    door.spawn(run(news, running, sender));
    let quiet = query.flag("q");
    let mut next = async move || loop {
        let news = receiver.recv().await?;
        if let Some(message) = message(&news, quiet) {
            return Some((news, Bytes::from(format!("{message}\r\n"))));
        }
    };
    // What is wrong before anything was said is an answer of its own.
    let first = match next().await {
        Some((SessionBuildNews::Failed(reason), _)) => {
            return Err(refused(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, reason)));
        }
        first => first.map(|(_, line)| line),
    };
    let rest = stream::unfold(next, async |mut next| {
        let (_, line) = next().await?;
        Some((line, next))
    });
    let lines = stream::iter(first).chain(rest);
    Ok(answer::stream("application/json", lines.map(Ok::<_, Infallible>)))
}

/// Tells what happens until the end, until the client is gone, or until somebody cancels it, whether the client reads or not.
async fn run(mut news: BoxStream<'static, SessionBuildNews>, running: Running, sender: mpsc::Sender<SessionBuildNews>) {
    let last = tokio::select! {
        biased;
        () = running.cancelled.cancelled() => Some(SessionBuildNews::Failed("context canceled".to_owned())),
        () = sender.closed() => None,
        last = tell(&mut news, &sender) => last,
    };
    // That stops it.
    drop((news, running));
    if let Some(last) = last {
        // Who is gone needs no answer.
        let _gone = sender.send(last).await;
    }
}

/// Tells what happens; returns how it ended.
async fn tell(
    news: &mut BoxStream<'static, SessionBuildNews>,
    sender: &mpsc::Sender<SessionBuildNews>,
) -> Option<SessionBuildNews> {
    loop {
        let told = news.next().await?;
        if !matches!(told, SessionBuildNews::Status(_)) {
            return Some(told);
        }
        sender.send(told).await.ok()?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::build::running::RunningBuilds;

    #[tokio::test]
    async fn a_build_whose_client_does_not_read_is_cancelled() {
        let (builds, stopped) = (RunningBuilds::default(), CancellationToken::new());
        let guard = stopped.clone().drop_guard();
        let news = stream::repeat_with(move || {
            let _going_on = &guard;
            SessionBuildNews::Status(Bytes::new())
        });
        let (sender, mut receiver) = mpsc::channel(1);
        let running = tokio::spawn(run(news.boxed(), builds.begin("x"), sender));
        while receiver.is_empty() {
            tokio::task::yield_now().await;
        }
        builds.cancel("x");
        let stopped = tokio::time::timeout(Duration::from_secs(60), stopped.cancelled());
        stopped.await.expect("the build stops although nobody reads");
        let mut last = None;
        while let Some(told) = receiver.recv().await {
            last = Some(told);
        }
        assert_eq!(last, Some(SessionBuildNews::Failed("context canceled".to_owned())));
        running.await.expect("the end");
    }
}
