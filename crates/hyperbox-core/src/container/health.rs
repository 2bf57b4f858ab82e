// SPDX-License-Identifier: MIT
//! Health checks: the verdict (pure) and the prober that runs the command.
//!
//! A check is a process in the container as an exec is, and clients hear of it as of one. The prober never changes the container: what
//! it finds goes to the actor, which ends it by dropping it whenever the container stops running; a check that is under way is killed
//! then.

use std::sync::Arc;
use std::time::Duration;

use hyperbox_types::run::Streams;
use hyperbox_types::shim::{Stdio, UserSpec};
use hyperbox_types::stream::{HEADER_LEN, parse_header};
use hyperbox_types::{ExecId, Signal};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::command::Command;
use super::{HealthCheck, HealthProbe, HealthState, HealthStatus, HealthTest};
use crate::seam::{AttachIo, Task, TaskError, TaskRuntime};
use crate::time::Timestamp;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_RETRIES: u32 = 3;
/// How many checks are kept.
const KEPT: usize = 5;
/// How much output of a check is kept.
const OUTPUT_LIMIT: usize = 4096;
/// How long a check that was killed may take to be gone.
const DYING: Duration = Duration::from_secs(10);

/// Returns what a check runs, or `None` when there is none.
pub(super) fn command(check: &HealthCheck, shell: &[String]) -> Option<Vec<String>> {
    match &check.test {
        HealthTest::Command(command) if !command.is_empty() => Some(command.clone()),
        HealthTest::Shell(line) => Some(by_shell(shell, std::slice::from_ref(line))),
        HealthTest::Words(words) => match words.split_first() {
            Some((form, words)) if form == "CMD-SHELL" => Some(by_shell(shell, words)),
            _ => None,
        },
        HealthTest::Command(_) | HealthTest::Inherit | HealthTest::Disabled => None,
    }
}

fn by_shell(shell: &[String], words: &[String]) -> Vec<String> {
    let mut command = shell.to_vec();
    if command.is_empty() {
        command = ["/bin/sh", "-c"].map(str::to_owned).to_vec();
    }
    command.extend_from_slice(words);
    command
}

/// Adds the result of a check to a health. `started_at` is the start of the container.
pub(super) fn judge(health: &mut HealthState, check: &HealthCheck, started_at: Timestamp, probe: HealthProbe) {
    let in_start_period =
        probe.started_at.since(started_at) < check.start_period.unwrap_or_default() && is_starting(health);
    if probe.exit_code == 0 {
        health.failing_streak = 0;
        health.status = HealthStatus::Healthy;
    } else if !in_start_period {
        health.failing_streak += 1;
        let retries = check.retries.filter(|retries| *retries > 0).unwrap_or(DEFAULT_RETRIES);
        if health.failing_streak >= retries {
            health.status = HealthStatus::Unhealthy;
        }
    }
    if health.log.len() == KEPT {
        health.log.pop_front();
    }
    health.log.push_back(probe);
}

fn is_starting(health: &HealthState) -> bool {
    health.status == HealthStatus::Starting
}

/// Returns the pause before the next check.
pub(super) fn pause(health: &HealthState, check: &HealthCheck, started_at: Timestamp, now: Timestamp) -> Duration {
    let period = check.start_period.unwrap_or_default();
    if is_starting(health) && now.since(started_at) < period {
        non_zero(check.start_interval, DEFAULT_START_INTERVAL)
    } else {
        non_zero(check.interval, DEFAULT_INTERVAL)
    }
}

fn non_zero(wish: Option<Duration>, default: Duration) -> Duration {
    wish.filter(|wish| !wish.is_zero()).unwrap_or(default)
}

/// Runs checks until the container's actor is gone or ends the prober's task.
pub(super) struct Prober {
    pub task: Arc<dyn Task>,
    /// Makes the streams that checks write to.
    pub tasks: Arc<dyn TaskRuntime>,
    /// Which run of the container it is, so that a late verdict is not taken for one on the next run.
    pub run: u64,
    pub check: HealthCheck,
    /// What is run, as clients are told.
    pub command: Vec<String>,
    /// JSON of the OCI process.
    pub process: String,
    pub user: UserSpec,
    pub started_at: Timestamp,
    pub health: HealthState,
    pub report: mpsc::Sender<Command>,
}

impl Prober {
    /// Checks again and again; the verdicts go to the actor.
    pub(super) async fn run(mut self) {
        loop {
            sleep(pause(&self.health, &self.check, self.started_at, Timestamp::now())).await;
            let started_at = Timestamp::now();
            let limit = non_zero(self.check.timeout, DEFAULT_TIMEOUT);
            let (exit_code, output) = self.probe(limit).await;
            let probe = HealthProbe {
                started_at,
                ended_at: Timestamp::now(),
                exit_code,
                output,
            };
            judge(&mut self.health, &self.check, self.started_at, probe);
            let verdict = Command::Health {
                run: self.run,
                health: self.health.clone(),
            };
            if self.report.send(verdict).await.is_err() {
                return;
            }
        }
    }

    /// Runs the check once. The time that it takes to start its process does not count.
    async fn probe(&self, limit: Duration) -> (i32, String) {
        let exec = match crate::random::bytes() {
            Ok(bytes) => ExecId::from_bytes(bytes),
            Err(error) => return (-1, error.to_string()),
        };
        self.tell("exec_create", &exec).await;
        let io = match self.start(&exec).await {
            Ok(io) => io,
            Err(error) => return (-1, refusal(&error)),
        };
        let mut dying = KilledOnDrop {
            task: Some(Arc::clone(&self.task)),
            exec: exec.clone(),
        };
        let mut output = Collected::default();
        let ended = timeout(limit, self.finish(&exec, io, &mut output)).await;
        let verdict = match ended {
            Ok(Ok(code)) => {
                self.tell_end(&exec, code).await;
                (code, output.into_text())
            }
            Ok(Err(error)) => (-1, error.to_string()),
            Err(_) => {
                dying.kill().await;
                // One that cannot be killed is left to the end of the container.
                if let Ok(Ok(code)) = timeout(DYING, self.task.wait_exec(&exec)).await {
                    self.tell_end(&exec, code).await;
                }
                (-1, out_of_time(limit, &output.into_text()))
            }
        };
        dying.task = None;
        verdict
    }

    async fn start(&self, exec: &ExecId) -> Result<Box<dyn AttachIo>, TaskError> {
        let stdio = Stdio {
            stdin: false,
            stdin_once: false,
            terminal: None,
        };
        let streams = Streams {
            stdin: false,
            stdout: true,
            stderr: true,
        };
        // Attached before the process runs: what a short check says would be gone afterwards.
        let (io, pending) = self.tasks.prepare_attach(streams)?;
        // As with Docker this is told of what cannot be started, too.
        self.tell("exec_start", exec).await;
        self.task
            .exec(exec, self.process.clone(), self.user.clone(), stdio, vec![pending])
            .await?;
        Ok(io)
    }

    async fn finish(&self, exec: &ExecId, io: Box<dyn AttachIo>, output: &mut Collected) -> Result<i32, TaskError> {
        read_output(io, output).await;
        self.task.wait_exec(exec).await
    }

    async fn tell(&self, what: &str, exec: &ExecId) {
        let (program, arguments) = self
            .command
            .split_first()
            .map_or(("", &[][..]), |(program, rest)| (program, rest));
        let action = format!("{what}: {program} {}", arguments.join(" "));
        self.publish(action, vec![("execID", exec.to_string())]).await;
    }

    async fn tell_end(&self, exec: &ExecId, code: i32) {
        let facts = vec![("execID", exec.to_string()), ("exitCode", code.to_string())];
        self.publish("exec_die".to_owned(), facts).await;
    }

    async fn publish(&self, action: String, facts: Vec<(&'static str, String)>) {
        let run = self.run;
        // Without an actor there is nobody who could be told.
        drop(self.report.send(Command::Probe { run, action, facts }).await);
    }
}

/// The process of a check, which does not outlive the interest in it.
struct KilledOnDrop {
    /// `None` when there is nothing to kill any more.
    task: Option<Arc<dyn Task>>,
    exec: ExecId,
}

impl KilledOnDrop {
    async fn kill(&mut self) {
        if let Some(task) = self.task.take() {
            // The process may be gone already; then there is nothing to kill.
            drop(task.signal(Some(&self.exec), Signal::KILL, false).await);
        }
    }
}

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            let exec = self.exec.clone();
            tokio::spawn(async move { drop(task.signal(Some(&exec), Signal::KILL, false).await) });
        }
    }
}

fn refusal(error: &TaskError) -> String {
    format!("OCI runtime exec failed: exec failed: unable to start container process: {error}")
}

fn out_of_time(limit: Duration, output: &str) -> String {
    let limit = go_duration(limit);
    if output.is_empty() {
        format!("Health check exceeded timeout ({limit})")
    } else {
        format!("Health check exceeded timeout ({limit}): {output}")
    }
}

/// What a check has said so far.
#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    /// Something was left out.
    cut: bool,
}

impl Collected {
    fn add(&mut self, bytes: &[u8]) {
        let room = OUTPUT_LIMIT - self.bytes.len();
        self.cut |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn into_text(self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.cut {
            text.push_str("...");
        }
        text
    }
}

/// Reads what a check says to its end. An output that breaks off is as good as a short one.
async fn read_output(mut io: Box<dyn AttachIo>, output: &mut Collected) {
    let mut header = [0; HEADER_LEN];
    let mut bytes = vec![0; OUTPUT_LIMIT];
    while io.read_exact(&mut header).await.is_ok() {
        let Some((_, length)) = parse_header(header) else {
            return;
        };
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        while left > 0 {
            let part = left.min(bytes.len());
            match io.read(&mut bytes[..part]).await {
                Ok(0) | Err(_) => return,
                Ok(read) => {
                    output.add(&bytes[..read]);
                    left -= read;
                }
            }
        }
    }
}

/// Shows a duration as Go does, which clients know from Docker.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = Duration::new(seconds % 60, duration.subsec_nanos());
    match (hours, minutes) {
        (0, 0) => format!("{rest:?}"),
        (0, _) => format!("{minutes}m{}s", rest.as_secs_f64()),
        _ => format!("{hours}h{minutes}m{}s", rest.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> HealthCheck {
        HealthCheck {
            test: HealthTest::Shell("true".to_owned()),
            interval: Some(Duration::from_secs(1)),
            timeout: None,
            start_period: Some(Duration::from_secs(10)),
            start_interval: None,
            retries: Some(2),
        }
    }

    fn probe(at_seconds: i64, exit_code: i32) -> HealthProbe {
        let at = Timestamp(at_seconds * 1_000_000_000);
        HealthProbe {
            started_at: at,
            ended_at: at,
            exit_code,
            output: String::new(),
        }
    }

    #[test]
    fn verdicts() {
        let mut health = HealthState::default();
        let mut verdict = |at, code| {
            judge(&mut health, &check(), Timestamp(0), probe(at, code));
            (health.status, health.failing_streak)
        };
        assert_eq!(
            verdict(1, 1),
            (HealthStatus::Starting, 0),
            "failures in the start period do not count"
        );
        assert_eq!(verdict(11, 1), (HealthStatus::Starting, 1));
        assert_eq!(verdict(12, 0), (HealthStatus::Healthy, 0));
        assert_eq!(verdict(13, 1), (HealthStatus::Healthy, 1));
        assert_eq!(verdict(14, -1), (HealthStatus::Unhealthy, 2));
        assert_eq!(verdict(15, 0), (HealthStatus::Healthy, 0));
        assert_eq!(health.log.len(), KEPT);
    }

    #[test]
    fn a_success_ends_the_start_period() {
        let mut health = HealthState::default();
        judge(&mut health, &check(), Timestamp(0), probe(1, 0));
        judge(&mut health, &check(), Timestamp(0), probe(2, 1));
        assert_eq!(health.failing_streak, 1);
    }

    #[test]
    fn pauses() {
        let starting = HealthState::default();
        let at = |seconds: i64| Timestamp(seconds * 1_000_000_000);
        assert_eq!(pause(&starting, &check(), at(0), at(1)), DEFAULT_START_INTERVAL);
        assert_eq!(pause(&starting, &check(), at(0), at(11)), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn output_is_joined_and_cut() {
        let frame = |stream: u8, bytes: &[u8]| {
            let length = u32::try_from(bytes.len()).expect("short");
            [&[stream, 0, 0, 0][..], &length.to_be_bytes(), bytes].concat()
        };
        let most = "x".repeat(OUTPUT_LIMIT);
        for (frames, expected) in [
            ([frame(1, b"a"), frame(2, b"bc")].concat(), "abc".to_owned()),
            (frame(1, b"abc")[..9].to_vec(), "a".to_owned()),
            (vec![7, 0, 0], String::new()),
            (frame(1, b"a\xffb"), "a\u{fffd}b".to_owned()),
            (frame(1, most.as_bytes()), most.clone()),
            (
                [frame(1, most.as_bytes()), frame(2, b"y")].concat(),
                format!("{most}..."),
            ),
        ] {
            let mut output = Collected::default();
            let (near, mut far) = tokio::io::duplex(1 << 16);
            tokio::io::AsyncWriteExt::write_all(&mut far, &frames)
                .await
                .expect("room");
            drop(far);
            read_output(Box::new(near), &mut output).await;
            assert_eq!(output.into_text(), expected);
        }
    }

    #[test]
    fn what_is_run() {
        let run = |test: HealthTest, shell: &[&str]| {
            let shell: Vec<String> = shell.iter().map(|word| (*word).to_owned()).collect();
            command(&HealthCheck { test, ..check() }, &shell).map(|words| words.join("|"))
        };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (test, shell, expected) in [
            (HealthTest::Shell("a b".to_owned()), &[][..], Some("/bin/sh|-c|a b")),
            (HealthTest::Shell("a b".to_owned()), &["x", "-y"], Some("x|-y|a b")),
            (HealthTest::Words(words("CMD-SHELL a b")), &[], Some("/bin/sh|-c|a|b")),
            (HealthTest::Words(words("HTTP a")), &[], None),
            (HealthTest::Command(words("a b")), &["x"], Some("a|b")),
            (HealthTest::Command(Vec::new()), &[], None),
            (HealthTest::Disabled, &[], None),
        ] {
            assert_eq!(run(test.clone(), shell).as_deref(), expected, "{test:?}");
        }
    }

    #[test]
    fn texts_of_what_took_too_long() {
        for (milliseconds, output, expected) in [
            (500, "", "Health check exceeded timeout (500ms)"),
            (1500, "part\n", "Health check exceeded timeout (1.5s): part\n"),
            (90_000, "", "Health check exceeded timeout (1m30s)"),
            (3_600_000, "", "Health check exceeded timeout (1h0m0s)"),
        ] {
            assert_eq!(out_of_time(Duration::from_millis(milliseconds), output), expected);
        }
    }
}
