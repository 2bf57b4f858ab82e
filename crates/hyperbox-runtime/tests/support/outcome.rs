// SPDX-License-Identifier: MIT
//! One run to its end: on our runtime, and on crun as the oracle.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;

use hyperbox_runtime::{Container, StartError, StartRequest, StdioPlan, start};
use hyperbox_types::RootMount;
use hyperbox_types::shim::UserSpec;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use serde_json::Value;

use super::unique;

/// What a run left.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code, 128 + n for signal n.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A running container with the read ends of its output.
pub struct Running {
    pub container: Container,
    pub stdout: std::io::PipeReader,
    pub stderr: std::io::PipeReader,
    cgroup: Option<String>,
    _guard: Guard,
}

/// Ends a container whose test failed; does nothing for one that was finished.
struct Guard(hyperbox_runtime::Cgroups);

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.kill_all());
        drop(self.0.remove());
    }
}

/// The plan of three streams, and the ends to read.
pub fn pipes() -> (StdioPlan, std::io::PipeReader, std::io::PipeReader) {
    let stdin: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    let (stdout_read, stdout) = std::io::pipe().unwrap();
    let (stderr_read, stderr) = std::io::pipe().unwrap();
    let plan = StdioPlan::Streams {
        stdin,
        stdout: stdout.into(),
        stderr: stderr.into(),
    };
    (plan, stdout_read, stderr_read)
}

/// A request with a cgroup of its own.
pub fn request(specification: &Value, rootfs: RootMount, user: &str, stdio: StdioPlan) -> StartRequest {
    let mut specification = specification.clone();
    if specification["linux"]["cgroupsPath"].is_null() {
        specification["linux"]["cgroupsPath"] = format!("/{}", unique("hyperbox-test")).into();
    }
    StartRequest {
        spec: serde_json::from_value(specification).unwrap(),
        rootfs,
        user: UserSpec {
            user: user.to_owned(),
            additional_groups: vec![],
        },
        stdio,
        network_namespace: None,
        filter: None,
    }
}

/// Starts a container on our runtime.
pub fn start_ours(specification: &Value, rootfs: RootMount, user: &str) -> Result<Running, StartError> {
    start_request(|stdio| request(specification, rootfs, user, stdio))
}

/// Starts a container of a request.
pub fn start_request(make: impl FnOnce(StdioPlan) -> StartRequest) -> Result<Running, StartError> {
    super::require_root();
    let (stdio, stdout, stderr) = pipes();
    let request = make(stdio);
    let cgroup = request
        .spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.cgroups_path().as_ref())
        .map(|path| path.display().to_string());
    let container = start(request)?;
    Ok(Running {
        _guard: Guard(container.cgroups().clone()),
        container,
        stdout,
        stderr,
        cgroup,
    })
}

/// Waits for a child by its handle; 128 + n for signal n.
pub fn wait(pidfd: std::os::fd::BorrowedFd<'_>) -> i32 {
    let status = waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED).unwrap().unwrap();
    status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .unwrap()
}

impl Running {
    /// Waits for the end, takes the output, and removes everything; checks that nothing is left.
    pub fn finish(mut self) -> Outcome {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        let code = wait(self.container.pidfd());
        let cgroups = self.container.cgroups().clone();
        drop(self.container);
        cgroups.kill_all().unwrap();
        cgroups.remove().unwrap();
        for path in cgroups.paths() {
            assert!(!path.exists(), "{} is left", path.display());
        }
        if let Some(cgroup) = &self.cgroup {
            assert_no_cgroup(cgroup);
        }
        Outcome { code, stdout, stderr }
    }
}

/// Checks that no hierarchy has that group.
pub fn assert_no_cgroup(path: &str) {
    let relative = path.trim_start_matches('/');
    let mut roots = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    roots.extend(
        std::fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .map(|entry| entry.unwrap().path()),
    );
    for root in roots {
        assert!(
            !root.join(relative).exists(),
            "{} is left",
            root.join(relative).display()
        );
    }
}

/// Runs a container on our runtime to its end.
pub fn run_ours(specification: &Value, rootfs: RootMount, user: &str) -> Outcome {
    start_ours(specification, rootfs, user)
        .unwrap_or_else(|error| panic!("cannot start: {}", chain(&error)))
        .finish()
}

/// The whole text of an error.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Runs the same specification on crun, on a copy of the root that the caller made at `root`.
pub fn run_crun(specification: &Value, root: &Path, uid: u32, gid: u32, groups: &[u32]) -> Outcome {
    super::require_root();
    let bundle = tempfile::tempdir().unwrap();
    let mut specification = specification.clone();
    specification["root"]["path"] = root.display().to_string().into();
    specification["process"]["user"]["uid"] = uid.into();
    specification["process"]["user"]["gid"] = gid.into();
    specification["process"]["user"]["additionalGids"] = groups.to_vec().into();
    let id = unique("oracle");
    std::fs::write(bundle.path().join("config.json"), specification.to_string()).unwrap();
    let output = Command::new("crun")
        .arg("--root")
        .arg(bundle.path().join("state"))
        .args(["--cgroup-manager=disabled", "run", "--bundle"])
        .arg(bundle.path())
        .arg(&id)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("crun is installed");
    use std::os::unix::process::ExitStatusExt;
    Outcome {
        code: output
            .status
            .code()
            .unwrap_or_else(|| 128 + output.status.signal().unwrap_or_default()),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
