// SPDX-License-Identifier: MIT
//! `GET /containers/{id}/top`: the processes of a container, as `ps` shows them.
//!
//! As with Docker, the machine's own `ps` is run with the client's options, so that all of them can be used, and what does not belong
//! to the container is left out of its table ([`table`]). Where there is no `ps`, what clients usually ask for is [`built_in`].

mod built_in;
mod table;

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use http::StatusCode;
use hyperbox_core::seam::ProcessInfo;
use tokio::process::Command;

use crate::answer::{Answer, json};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::router::{Route, route};
use crate::wire::container::Top;

pub(super) const ROUTES: &[Route] = &[route!(Get "/containers/{id}/top" => top)];

/// What is shown when the client does not say.
const DEFAULT: &str = "-ef";
/// How long `ps` may take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn top(call: Call) -> ApiResult<Answer> {
    let arguments = match call.query.text("ps_args") {
        "" => DEFAULT,
        arguments => arguments,
    };
    table::judge(arguments).map_err(ApiError::bad_request)?;
    let processes = call.engine().containers.processes(call.parameter("id")).await?;
    listed(arguments, &processes).await.map(|top| json(&top))
}

async fn listed(arguments: &str, processes: &[ProcessInfo]) -> ApiResult<Top> {
    let mut pids: Vec<String> = processes.iter().map(|process| process.pid.to_string()).collect();
    // Nothing but these is looked at; options that cannot be used with a list of processes are used without.
    let only = format!("-q{}", pids.join(","));
    let mut output = match ps(arguments, Some(&only)).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return built_in::table(arguments, processes),
        output => output,
    };
    if output.as_ref().is_ok_and(|output| !output.status.success()) {
        output = ps(arguments, None).await;
    }
    let output = output.map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("ps: {error}")))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let reason = words.lines().next().filter(|line| !line.is_empty());
        let reason = reason.map_or_else(|| format!("ps: {}", output.status), str::to_owned);
        return Err(ApiError::bad_request(reason));
    }
    pids.sort_unstable();
    table::read(&String::from_utf8_lossy(&output.stdout), &pids).map_err(ApiError::bad_request)
}

/// Runs `ps`. Dropping the future ends it.
async fn ps(arguments: &str, only: Option<&str>) -> io::Result<Output> {
    let mut command = Command::new("ps");
    command
        .args(arguments.split(' '))
        .args(only)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    ended.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
}
