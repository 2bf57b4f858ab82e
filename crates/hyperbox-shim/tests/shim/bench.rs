// SPDX-License-Identifier: MIT
//! A run directory, a root filesystem of busybox, and a runtime over the real shim; proves at the end that nothing is left.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use hyperbox_core::seam::{AttachIo, LaunchTask, LogEntry, LogQuery, Task, TaskRuntime};
use hyperbox_task::{Config, ExternalRuntime, ShimTaskRuntime};
use hyperbox_testkit::census::{Census, Scope};
use hyperbox_testkit::conformance::task::{Behaviour, Bench as Conformance};
use hyperbox_testkit::container_id;
use hyperbox_types::run::{Streams, TerminalSize};
use hyperbox_types::shim::{LAUNCH_FILE, LaunchRecord, LogTarget, RuntimeChoice, Stdio, UserSpec};
use hyperbox_types::{ContainerId, RootMount};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

pub(crate) const ALL: Streams = Streams {
    stdin: true,
    stdout: true,
    stderr: true,
};

pub(crate) const WHOLE_LOG: LogQuery = LogQuery {
    stdout: true,
    stderr: true,
    since_ns: None,
    until_ns: None,
    tail: None,
    follow: false,
};

/// Where one test works.
pub(crate) struct Bench {
    pub(crate) runtime: ShimTaskRuntime,
    pub(crate) choice: RuntimeChoice,
    directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test starts containers: run it as root"
        );
        let directory = tempfile::Builder::new()
            .prefix("hyperbox-shim-test-")
            .tempdir()
            .unwrap();
        make_root(&directory.path().join("root"));
        let runtime = open(directory.path());
        Self {
            runtime,
            choice: RuntimeChoice::Embedded,
            directory,
        }
    }

    pub(crate) fn with_crun() -> Self {
        let mut bench = Self::new();
        bench.choice = bench.runtime.choose("crun").unwrap();
        bench
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn run_dir(&self, container: &ContainerId) -> PathBuf {
        self.path().join("run/containers").join(container.as_str())
    }

    /// Does what a restart of the daemon does: forgets everything, closes all connections, ends the launcher.
    pub(crate) fn restart(&mut self) {
        self.runtime = open(self.directory.path());
    }

    pub(crate) fn log(&self, container: &ContainerId) -> LogTarget {
        LogTarget::JsonFile {
            path: self.path().join("logs").join(container.as_str()).join("json.log"),
            max_bytes: None,
            max_files: 1,
            compress: false,
            attributes: Default::default(),
        }
    }

    /// Describes a container that runs a shell script, without input.
    pub(crate) fn script(&self, container: &ContainerId, script: &str) -> LaunchTask {
        self.command(container, &["sh", "-c", script])
    }

    pub(crate) fn command(&self, container: &ContainerId, command: &[&str]) -> LaunchTask {
        LaunchTask {
            container: container.clone(),
            spec: spec(container, command).to_string(),
            seccomp: None,
            rootfs: RootMount::Bind {
                source: self.path().join("root"),
                read_only: false,
            },
            user: UserSpec::default(),
            stdio: Stdio {
                stdin: false,
                stdin_once: false,
                terminal: None,
            },
            log: self.log(container),
            runtime: self.choice.clone(),
            init: false,
            network_namespace: None,
            attached: Vec::new(),
            files: Vec::new(),
            trace: None,
        }
    }

    pub(crate) fn attach(&self, launch: &mut LaunchTask) -> Box<dyn AttachIo> {
        let (client, pending) = self.runtime.prepare_attach(ALL).unwrap();
        launch.attached.push(pending);
        client
    }

    /// Starts a script with an attached stream.
    pub(crate) async fn run(&self, script: &str) -> (ContainerId, Arc<dyn Task>, Box<dyn AttachIo>) {
        let container = container_id();
        let mut launch = self.script(&container, script);
        let client = self.attach(&mut launch);
        let task = self.runtime.launch(launch).await.unwrap();
        (container, task, client)
    }

    pub(crate) async fn read_log(&self, container: &ContainerId) -> String {
        let (_keep, ended) = watch::channel(false);
        let stream = self.runtime.logs(&self.log(container), WHOLE_LOG, ended).await.unwrap();
        text(stream.map(Result::unwrap).collect().await)
    }

    /// Discards containers and checks that nothing of them, and nothing else of this test, is left.
    pub(crate) async fn finish(self, containers: &[&ContainerId]) {
        for container in containers {
            self.runtime.discard(container).await.unwrap();
            assert!(!self.run_dir(container).exists());
        }
        let mut scope = scope(self.directory.path());
        scope
            .cgroups
            .extend(containers.iter().map(|container| container.to_string()));
        hyperbox_testkit::wait_for_async("everything to be gone", || {
            let now = Census::take(&scope);
            // Other tests make and remove links and rules meanwhile.
            let left: Vec<_> = ["mount", "cgroup", "process"]
                .iter()
                .flat_map(|kind| now.of(kind).into_iter().map(move |item| format!("{kind} {item}")))
                .collect();
            async move { if left.is_empty() { Ok(()) } else { Err(left.join(", ")) } }
        })
        .await;
    }
}

/// A test that failed leaves no container behind that writes for ever.
impl Drop for Bench {
    fn drop(&mut self) {
        let entries = std::fs::read_dir(self.path().join("run/containers"))
            .into_iter()
            .flatten()
            .flatten();
        for text in entries.filter_map(|entry| std::fs::read_to_string(entry.path().join(LAUNCH_FILE)).ok()) {
            let Ok(record) = serde_json::from_str::<LaunchRecord>(&text) else {
                continue;
            };
            let started = format!(" {} ", record.init_start_time);
            if proc_file(record.init_pid, "stat").contains(&started) {
                kill(record.init_pid);
            }
            if proc_file(record.shim_pid, "comm").trim() == "hyperbox-shim" {
                kill(record.shim_pid);
            }
        }
    }
}

fn proc_file(pid: u32, name: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

impl Conformance for Bench {
    fn runtime(&self) -> &dyn TaskRuntime {
        &self.runtime
    }

    fn launch(&self, container: &ContainerId, behaviour: &Behaviour) -> LaunchTask {
        let mut launch = match behaviour {
            Behaviour::Ends { stdout, stderr, code } => {
                let script = format!("printf '{stdout}'; printf '{stderr}' >&2; exit {code}");
                self.script(container, &script)
            }
            Behaviour::Waits => self.command(container, &["sleep", "100000"]),
        };
        launch.stdio.stdin = true;
        launch
    }
}

pub(crate) fn text(entries: Vec<LogEntry>) -> String {
    entries
        .into_iter()
        .map(|entry| String::from_utf8(entry.bytes).unwrap())
        .collect()
}

/// Adds a terminal and open standard input.
pub(crate) fn with_terminal(launch: &mut LaunchTask, rows: u16, columns: u16) {
    launch.stdio.stdin = true;
    launch.stdio.terminal = Some(TerminalSize { rows, columns });
    let mut spec: Value = serde_json::from_str(&launch.spec).unwrap();
    spec["process"]["terminal"] = json!(true);
    launch.spec = spec.to_string();
}

/// Returns a process for an exec.
pub(crate) fn process(command: &[&str], terminal: bool) -> Value {
    json!({
        "terminal": terminal,
        "user": {"uid": 0, "gid": 0},
        "args": command,
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
        "noNewPrivileges": true,
        "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
    })
}

fn spec(container: &ContainerId, command: &[&str]) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": process(command, false),
        "root": {"path": "rootfs"},
        "hostname": "bench",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        ],
        "linux": {
            "cgroupsPath": format!("/hyperbox-test-{container}"),
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}],
        },
    })
}

fn open(directory: &Path) -> ShimTaskRuntime {
    let crun = ExternalRuntime {
        path: "/usr/bin/crun".into(),
        arguments: vec!["--cgroup-manager=disabled".to_owned()],
    };
    ShimTaskRuntime::open(Config {
        shim_program: Some(env!("CARGO_BIN_EXE_hyperbox-shim").into()),
        runtimes: [("crun".to_owned(), crun)].into(),
        ..Config::new(directory.join("run"))
    })
    .unwrap()
}

fn make_root(root: &Path) {
    for directory in ["bin", "proc", "dev", "sys", "etc", "tmp"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("the Debian package busybox-static is installed");
    for name in [
        "sh", "cat", "sleep", "echo", "stty", "head", "yes", "seq", "dd", "tr", "wc", "kill", "ps", "true", "id",
    ] {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    std::fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n",
    )
    .unwrap();
    std::fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n").unwrap();
    std::fs::write(root.join("etc/plain"), "not a program\n").unwrap();
}

fn scope(directory: &Path) -> Scope {
    Scope {
        roots: vec![directory.to_owned()],
        cgroups: vec![directory.display().to_string()],
        // Nothing has it in its environment: what counts is who has files below the directory open.
        marker: Some(format!("HYPERBOX_SHIM_TEST={}", directory.display())),
        ..Scope::default()
    }
}
