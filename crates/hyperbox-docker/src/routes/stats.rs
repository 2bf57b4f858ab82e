// SPDX-License-Identifier: MIT
//! `GET /containers/{id}/stats`: counters once a second, or once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use hyperbox_core::container::{Containers, StatsSample};

use crate::answer::{self, Answer, json};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::router::{Route, route};
use crate::translate::stats::stats as translate;

pub(super) const ROUTES: &[Route] = &[route!(Get "/containers/{id}/stats" => stats)];

/// Clients older than this cannot do without a second sample.
const ONE_SHOT: u16 = 41;
/// Time between samples.
const PERIOD: Duration = Duration::from_secs(1);

async fn stats(call: Call) -> ApiResult<Answer> {
    let containers = call.engine().containers.clone();
    let record = containers.get(call.parameter("id"))?;
    let id = record.id.to_string();
    let stream = call.query.flag_or("stream", true);
    let one_shot = call.version.at_least(ONE_SHOT) && call.query.flag("one-shot");
    if stream && one_shot {
        return Err(ApiError::bad_request("cannot have stream=true and one-shot=true"));
    }
    if stream {
        return Ok(follow(containers, id));
    }
    let before = match one_shot {
        true => None,
        false => {
            let before = containers.stats(&id).await?;
            if before.is_some() {
                tokio::time::sleep(PERIOD).await;
            }
            before
        }
    };
    let now = containers.stats(&id).await?;
    Ok(json(&translate(&record, now.as_ref(), before.as_ref())))
}

/// Where a followed client is.
struct Following {
    containers: Containers,
    id: String,
    before: Option<Arc<StatsSample>>,
    first: bool,
}

fn follow(containers: Containers, id: String) -> Answer {
    let start = Following {
        containers,
        id,
        before: None,
        first: true,
    };
    let pieces = stream::unfold(start, |mut following| async move {
        if !std::mem::take(&mut following.first) {
            tokio::time::sleep(PERIOD).await;
        }
        // The stream ends when the container is removed.
        let record = following.containers.get(&following.id).ok()?;
        let now = following.containers.stats(&following.id).await.ok()?.map(Arc::new);
        let line = translate(&record, now.as_deref(), following.before.as_deref());
        following.before = now;
        let mut line = serde_json::to_vec(&line).ok()?;
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), following))
    });
    answer::stream("application/json", pieces)
}
