// SPDX-License-Identifier: MIT
//! Health checks: the verdict (pure) and the prober that runs the command.

use std::sync::Arc;
use std::time::Duration;

use getrandom::fill;
use hyperbox_types::run::Streams;
use hyperbox_types::shim::{Stdio, UserSpec};
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

/// Returns what a check runs, or `None` when there is none.
pub(super) fn command(check: &HealthCheck) -> Option<Vec<String>> {
    match &check.test {
        HealthTest::Command(command) if !command.is_empty() => Some(command.clone()),
        HealthTest::Shell(line) => Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()]),
        HealthTest::Command(_) | HealthTest::Inherit | HealthTest::Disabled => None,
    }
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

    async fn probe(&self, limit: Duration) -> (i32, String) {
        let mut bytes = [0; 32];
        if let Err(error) = fill(&mut bytes) {
            return (-1, format!("cannot make an exec id: {error}"));
        }
        let exec = ExecId::from_bytes(bytes);
        match timeout(limit, self.execute(&exec)).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => (-1, error.to_string()),
            Err(_) => {
                // The process may be gone already; then there is nothing to kill.
                drop(self.task.signal(Some(&exec), Signal::KILL, false).await);
                (-1, format!("Health check exceeded timeout ({})", go_duration(limit)))
            }
        }
    }

    async fn execute(&self, exec: &ExecId) -> Result<(i32, String), TaskError> {
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
        self.task
            .exec(exec, self.process.clone(), self.user.clone(), stdio, vec![pending])
            .await?;
        let output = read_output(io).await;
        let code = self.task.wait_exec(exec).await?;
        Ok((code, output))
    }
}

/// Reads what a check says, up to a limit, and detaches.
async fn read_output(io: Box<dyn AttachIo>) -> String {
    let mut frames = Vec::new();
    // An output that breaks off is as good as a short one.
    drop(io.take(1 << 20).read_to_end(&mut frames).await);
    unframe(&frames)
}

fn unframe(mut frames: &[u8]) -> String {
    let mut bytes = Vec::new();
    while let Some((header, rest)) = frames.split_first_chunk::<{ hyperbox_types::stream::HEADER_LEN }>() {
        let Some((_, length)) = hyperbox_types::stream::parse_header(*header) else {
            break;
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        bytes.extend_from_slice(&rest[..length]);
        frames = &rest[length..];
    }
    bytes.truncate(OUTPUT_LIMIT);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn go_duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{duration:?}")
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

    #[test]
    fn frames_are_joined() {
        assert_eq!(
            unframe(&[1, 0, 0, 0, 0, 0, 0, 1, b'a', 2, 0, 0, 0, 0, 0, 0, 9, b'b']),
            "ab"
        );
        assert_eq!(unframe(&[7, 0, 0]), "");
    }
}
