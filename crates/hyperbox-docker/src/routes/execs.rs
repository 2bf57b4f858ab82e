// SPDX-License-Identifier: MIT
//! Execs: additional processes of a running container.

use http::StatusCode;
use hyperbox_core::ServiceError;
use hyperbox_core::exec::{ExecSpec, ExecView, Execs};
use hyperbox_types::run::{Streams, TerminalSize};

use super::attach::size;
use super::create::terminal_size;
use crate::answer::{Answer, json, json_with, status};
use crate::call::Call;
use crate::client_io::ClientIo;
use crate::detach_keys::DetachKeys;
use crate::error::{ApiError, ApiResult};
use crate::hijack::{self, Input};
use crate::router::{Route, route};
use crate::wire::exec::{ExecCreateBody, ExecInspect, ExecStartBody, IdResponse, ProcessConfig};

pub(super) const ROUTES: &[Route] = &[
    route!(Post "/containers/{id}/exec" => create),
    route!(Post "/exec/{id}/start" => start),
    route!(Post "/exec/{id}/resize" => resize),
    route!(Get "/exec/{id}/json" => inspect),
];

async fn create(mut call: Call) -> ApiResult<Answer> {
    let body: ExecCreateBody = call.json_or_default().await?;
    DetachKeys::parse(&body.detach_keys)?;
    let spec = ExecSpec {
        command: body.cmd,
        env: body.env,
        working_dir: body.working_dir,
        user: body.user,
        terminal: body.tty,
        size: terminal_size(&body.console_size),
        privileged: body.privileged,
        streams: Streams {
            stdin: body.attach_stdin,
            stdout: body.attach_stdout,
            stderr: body.attach_stderr,
        },
        detach_keys: body.detach_keys,
    };
    let id = call.engine().execs.create(call.parameter("id"), spec).await?;
    Ok(json_with(StatusCode::CREATED, &IdResponse { id: id.to_string() }))
}

async fn start(mut call: Call) -> ApiResult<Answer> {
    let body: ExecStartBody = call.json_or_default().await?;
    let view = call.engine().execs.startable(call.parameter("id"))?;
    let size = terminal_size(&body.console_size);
    if body.detach {
        let started = call.engine().execs.start(view.id.as_str(), true, size).await;
        return match started {
            Ok(_) => Ok(status(StatusCode::OK)),
            Err(error) => Err(detached_refusal(error)),
        };
    }
    let detach_keys = DetachKeys::parse(&view.spec.detach_keys)?;
    let media_type = hijack::media_type(&call, view.spec.terminal);
    let execs = call.engine().execs.clone();
    // The head goes out first, as with Docker: clients that read it through a buffer would lose output that comes along with it.
    hijack::hijack(call, media_type, move |client| async move {
        serve(&execs, view, size, detach_keys, client).await;
    })
    .await
}

/// Starts an exec for a client that was answered already, and moves its streams.
///
/// When the client goes meanwhile, the exec is started and goes on all the same.
async fn serve(execs: &Execs, view: ExecView, size: Option<TerminalSize>, detach_keys: DetachKeys, client: ClientIo) {
    let attached = match execs.start(view.id.as_str(), false, size).await {
        Ok(Some(attached)) => attached,
        Ok(None) => return,
        Err(error) => {
            // The client is told on the stream and finds the exit code by inspecting the exec; one that is gone needs no explanation.
            let message = exec_text(ApiError::from(error).message());
            drop(hijack::refuse(client, view.spec.terminal, &message).await);
            return;
        }
    };
    let takes_input = view.spec.streams.stdin;
    let input = Input {
        attached: takes_input,
        closes: true,
        detach_keys: (attached.terminal && takes_input).then_some(detach_keys),
    };
    let ending = hijack::pump(client, attached.io, input).await;
    tracing::debug!(exec = %view.id, ?ending, "exec's client left");
}

/// Returns the answer to a start without streams that failed.
fn detached_refusal(error: ServiceError) -> ApiError {
    let unexecutable = error.command_fault().is_some();
    let error = ApiError::from(error);
    let message = exec_text(error.message());
    if unexecutable {
        ApiError::bad_request(message)
    } else {
        error.with_message(message)
    }
}

/// Docker's words for a process that cannot be started in a running container.
fn exec_text(message: &str) -> String {
    const PREFIXES: [&str; 2] = [
        "failed to create task for container: failed to create shim task: OCI runtime create failed: ",
        "OCI runtime exec failed: ",
    ];
    let Some(cause) = PREFIXES.iter().find_map(|prefix| message.strip_prefix(prefix)) else {
        return message.to_owned();
    };
    // The engine itself says this, not the runtime.
    if cause.starts_with("unable to find ") || cause.starts_with("exec failed: ") {
        return match cause.starts_with("unable") {
            true => cause.to_owned(),
            false => format!("{}{cause}", PREFIXES[1]),
        };
    }
    let missing = cause
        .strip_prefix("cannot change to the working directory ")
        .and_then(|rest| rest.split_once(": No such file or directory"));
    let cause = match missing {
        Some((path, _)) => format!("chdir to cwd ({path}) set in config.json failed: no such file or directory"),
        None => cause.to_owned(),
    };
    format!("OCI runtime exec failed: exec failed: unable to start container process: {cause}")
}

async fn resize(call: Call) -> ApiResult<Answer> {
    let size = size(&call)?;
    let (id, execs) = (call.parameter("id"), &call.engine().execs);
    let exec = execs.get(id)?;
    // As for containers.
    if exec.spec.terminal || !exec.running {
        execs.resize(id, size).await?;
    }
    Ok(status(StatusCode::OK))
}

async fn inspect(call: Call) -> ApiResult<Answer> {
    let view = call.engine().execs.get(call.parameter("id"))?;
    let mut command = view.spec.command.into_iter();
    Ok(json(&ExecInspect {
        id: view.id.to_string(),
        running: view.running,
        exit_code: view.exit_code,
        process_config: ProcessConfig {
            tty: view.spec.terminal,
            entrypoint: command.next().unwrap_or_default(),
            arguments: command.collect(),
            privileged: view.spec.privileged,
            user: view.spec.user,
        },
        open_stdin: view.spec.streams.stdin,
        open_stderr: view.spec.streams.stderr,
        open_stdout: view.spec.streams.stdout,
        can_remove: false,
        container_id: view.container.to_string(),
        detach_keys: view.spec.detach_keys,
        pid: view.pid,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_dockers() {
        for (ours, dockers) in [
            (
                "OCI runtime exec failed: exec: \"/x\": stat /x: no such file or directory",
                "OCI runtime exec failed: exec failed: unable to start container process: exec: \"/x\": stat /x: no such file or directory",
            ),
            (
                "OCI runtime exec failed: cannot change to the working directory \"/x\": No such file or directory (os error 2)",
                "OCI runtime exec failed: exec failed: unable to start container process: chdir to cwd (\"/x\") set in config.json failed: no such file or directory",
            ),
            (
                "OCI runtime exec failed: unable to find user x: no matching entries in passwd file",
                "unable to find user x: no matching entries in passwd file",
            ),
            ("exec command 1 has already run", "exec command 1 has already run"),
        ] {
            assert_eq!(exec_text(ours), dockers);
        }
    }
}
