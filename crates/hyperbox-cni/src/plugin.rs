// SPDX-License-Identifier: MIT
//! Runs one plugin, with bounds on time and output.
//!
//! # Cancellation
//! A plugin whose future is dropped is killed, with everything in its process group.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// Most bytes that are read from standard output.
pub(crate) const MOST_OUTPUT: usize = 1024 * 1024;
/// Most bytes that are kept from standard error; the rest is read and dropped.
const MOST_COMPLAINT: usize = 16 * 1024;
/// How long a killed plugin may take to vanish before it is left to be reaped later.
const REAPING: Duration = Duration::from_secs(5);
const BUSY_TRIES: usize = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// What a plugin printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) succeeded: bool,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Why a plugin has no output.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoOutput {
    #[error("it cannot be started")]
    Start(#[source] io::Error),
    #[error("its output cannot be read")]
    Read(#[source] io::Error),
    #[error("it printed more than {MOST_OUTPUT} bytes and was killed")]
    TooMuch,
    #[error("it did not end within {} seconds and was killed", .0.as_secs_f32())]
    Timeout(Duration),
}

/// A child that is killed with its group when this is dropped before it was reaped.
#[derive(Debug)]
struct Running(Child);

impl Running {
    /// The leader is not reaped before all output was read, so its number cannot mean another group.
    fn kill(&self) {
        let id = self
            .0
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(group) = id {
            // It fails only when nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program to its end.
pub(crate) async fn run(
    program: &Path,
    environment: Vec<(&'static str, String)>,
    input: &[u8],
    timeout: Duration,
) -> Result<Output, NoOutput> {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = Running(start(&mut command).await.map_err(NoOutput::Start)?);
    let result = match tokio::time::timeout(timeout, converse(&mut running.0, input)).await {
        Ok(result) => result,
        Err(_) => Err(NoOutput::Timeout(timeout)),
    };
    if result.is_err() {
        running.kill();
        if tokio::time::timeout(REAPING, running.0.wait()).await.is_err() {
            tracing::warn!(program = %program.display(), "a killed plugin has not ended yet");
        }
    }
    result
}

/// Starts a program; one that is being replaced at this moment is tried again a few times (`ETXTBSY`, execve(2)).
async fn start(command: &mut Command) -> io::Result<Child> {
    for _ in 0..BUSY_TRIES {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => tokio::time::sleep(BUSY_PAUSE).await,
            result => return result,
        }
    }
    command.spawn()
}

async fn converse(child: &mut Child, input: &[u8]) -> Result<Output, NoOutput> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A plugin need not read what it is given.
            drop(stdin.write_all(input).await);
        }
    };
    let read = async {
        let mut bytes = Vec::new();
        read_up_to(stdout, MOST_OUTPUT + 1, &mut bytes)
            .await
            .map_err(NoOutput::Read)?;
        if bytes.len() > MOST_OUTPUT {
            Err(NoOutput::TooMuch)
        } else {
            Ok(bytes)
        }
    };
    let complain = async {
        let mut bytes = Vec::new();
        let Some(mut stderr) = stderr else { return Ok(bytes) };
        read_up_to(Some(&mut stderr), MOST_COMPLAINT, &mut bytes)
            .await
            .map_err(NoOutput::Read)?;
        tokio::io::copy(&mut stderr, &mut tokio::io::sink())
            .await
            .map_err(NoOutput::Read)?;
        Ok(bytes)
    };
    let written = async {
        write.await;
        Ok(())
    };
    let ((), stdout, stderr) = tokio::try_join!(written, read, complain)?;
    let status = child.wait().await.map_err(NoOutput::Read)?;
    Ok(Output {
        succeeded: status.success(),
        stdout,
        stderr,
    })
}

async fn read_up_to(stream: Option<impl AsyncRead + Unpin>, most: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    if let Some(stream) = stream {
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        stream.take(most).read_to_end(bytes).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    use super::*;

    async fn shell(script: &str, input: &str, timeout: Duration) -> Result<Output, NoOutput> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plugin");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        run(
            &path,
            vec![("PATH", "/bin:/usr/bin".to_owned())],
            input.as_bytes(),
            timeout,
        )
        .await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn both_streams_and_the_outcome() {
        let output = shell("read a; echo \"got $a\"; echo bad >&2; exit 3", "hello", LONG)
            .await
            .unwrap();
        assert!(!output.succeeded);
        assert_eq!(
            (output.stdout.as_slice(), output.stderr.as_slice()),
            (&b"got hello\n"[..], &b"bad\n"[..])
        );
        assert!(shell("exit 0", "", LONG).await.unwrap().succeeded);
    }

    #[tokio::test]
    async fn a_plugin_that_hangs_is_killed_with_its_children() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", mark.display());
        let begin = Instant::now();
        let refused = shell(&script, "", Duration::from_millis(500)).await.unwrap_err();
        assert_eq!(refused.to_string(), "it did not end within 0.5 seconds and was killed");
        assert!(begin.elapsed() < REAPING);
        let child: u32 = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
        hyperbox_testkit::wait_for("the end of the plugin's child", || {
            let status = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            if status.is_empty() || status.contains(") Z ") {
                Ok(())
            } else {
                Err(status)
            }
        });
    }

    #[tokio::test]
    async fn too_much_output_is_refused() {
        let refused = shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", "", LONG)
            .await
            .unwrap_err();
        assert!(matches!(refused, NoOutput::TooMuch), "{refused}");
        let quiet = shell("head -c 3000000 /dev/zero >&2", "", LONG).await.unwrap();
        assert!(quiet.succeeded && quiet.stderr.len() == MOST_COMPLAINT);
    }

    #[tokio::test]
    async fn what_is_not_there_cannot_be_started() {
        let refused = run(Path::new("/nonexistent"), Vec::new(), b"", LONG).await.unwrap_err();
        assert!(matches!(refused, NoOutput::Start(_)));
    }
}
