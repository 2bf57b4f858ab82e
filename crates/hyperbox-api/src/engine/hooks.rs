// SPDX-License-Identifier: MIT
//! Commands that run in a container after it has started and before it is stopped.
//!
//! Source: the Compose specification, `post_start` and `pre_stop`. They run one after another; the first that fails ends it. One that runs
//! when the run is cancelled is killed: nobody would see its end, and other runs on the project wait for this one.

use hyperbox_core::exec::ExecSpec;
use hyperbox_project::execute::EngineError;
use hyperbox_project::model::Hook;
use hyperbox_types::ErrorKind;
use hyperbox_types::run::Streams;
use tokio::io::AsyncReadExt;

use super::{InProcess, failure};

impl InProcess {
    /// Runs commands in a container, one after another.
    pub(super) async fn run_hooks(&self, service: &str, container: &str, hooks: &[Hook]) -> Result<(), EngineError> {
        for hook in hooks {
            let code = self.run_hook(container, hook).await?;
            if self.given_up.is_cancelled() {
                let message = format!("a hook of {service} was cancelled");
                return Err(EngineError::new(ErrorKind::Cancelled, message));
            }
            if code != 0 {
                let message = format!("{service} hook exited with status {code}");
                return Err(EngineError::new(ErrorKind::FailedPrecondition, message));
            }
        }
        Ok(())
    }

    async fn run_hook(&self, container: &str, hook: &Hook) -> Result<i32, EngineError> {
        let execs = &self.engine.execs;
        let id = execs.create(container, spec(hook)).await.map_err(failure)?;
        let attached = execs.start(id.as_str(), false, None).await.map_err(failure)?;
        if let Some(mut attached) = attached {
            // Nobody reads it; it ends when the command has ended.
            let mut buffer = vec![0; 4096];
            let ended = async { while matches!(attached.io.read(&mut buffer).await, Ok(1..)) {} };
            tokio::select! {
                () = ended => {}
                () = self.given_up.cancelled() => execs.kill(id.as_str()).await.map_err(failure)?,
            }
        }
        let view = execs.get(id.as_str()).map_err(failure)?;
        Ok(view.exit_code.unwrap_or_default())
    }
}

fn spec(hook: &Hook) -> ExecSpec {
    let environment = hook.environment.iter();
    ExecSpec {
        command: hook.command.clone().unwrap_or_default(),
        env: environment
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)))
            .collect(),
        working_dir: hook.working_dir.clone().unwrap_or_default(),
        user: hook.user.clone().unwrap_or_default(),
        terminal: false,
        size: None,
        privileged: hook.privileged,
        streams: Streams {
            stdin: false,
            stdout: true,
            stderr: true,
        },
        detach_keys: String::new(),
    }
}
