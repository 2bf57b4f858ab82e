// SPDX-License-Identifier: MIT
//! hyperboxd in Docker's place: `--docker-socket`, and contexts of the docker command line.
//!
//! `/run` of these tests is a directory of their own, in a mount namespace that an idle process holds: the machine's socket is not
//! touched. The docker command line is the real one and is told nothing.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hyperbox_testkit::environment::{DaemonOptions, Output, STARTER, TestEnvironment, binary};
use hyperbox_testkit::wait_for;

/// A machine without Docker: its own `/run`, and the environment's network.
struct Machine {
    holder: Child,
    network: u32,
}

impl Machine {
    fn of(environment: &TestEnvironment) -> Self {
        let script = "mount --make-rprivate / && mount -t tmpfs run /run && echo ready && exec cat";
        let mut command = environment.command("unshare".as_ref());
        command.args(["--mount", "--", "sh", "-c", script]);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n", "no mount namespace: this needs root");
        Self {
            holder,
            network: environment.network().holder(),
        }
    }

    /// Makes a command that runs on this machine.
    fn command(&self, environment: &TestEnvironment, words: &[&str]) -> Command {
        let mut command = environment.command("nsenter".as_ref());
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()))
            .arg(format!("--net=/proc/{}/ns/net", self.network))
            .arg("--")
            .args(words);
        command
    }

    fn run(&self, environment: &TestEnvironment, words: &[&str]) -> Output {
        Output::of(&mut self.command(environment, words))
    }

    /// Starts the daemon there; it ends with its parent.
    fn daemon(&self, environment: &TestEnvironment, words: &[&str]) -> Child {
        let config = environment.path("config.toml");
        fs::write(
            &config,
            format!("[runtime]\ncgroup_parent = \"/{}\"\n", environment.name()),
        )
        .unwrap();
        let program = binary("hyperboxd").display().to_string();
        let mut command = self.command(environment, &["setpriv", "--pdeathsig", "KILL", &program]);
        command
            .arg("--config")
            .arg(&config)
            .arg("--root")
            .arg(environment.root());
        let log = fs::File::create(environment.path("daemon.log")).unwrap();
        command.arg("--run-dir").arg(environment.path("run")).args(words);
        command
            .args(["--host", &environment.host()])
            .stderr(log)
            .spawn()
            .unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

fn terminate(mut daemon: Child) -> std::process::ExitStatus {
    Output::of(Command::new("kill").args(["-TERM", &daemon.id().to_string()])).succeeds();
    daemon.wait().unwrap()
}

#[test]
fn docker_cli_privileged_dockers_socket_is_served_where_no_docker_is() {
    let environment = TestEnvironment::new();
    let machine = Machine::of(&environment);
    let docker = |words: &[&str]| machine.run(&environment, &[&["docker"], words].concat());
    let _nobody = docker(&["ps"]).exits_with(1).complains("/var/run/docker.sock");
    let daemon = machine.daemon(&environment, &["--docker-socket"]);
    wait_for("docker to be answered", || {
        let version = docker(&["version", "--format", "{{.Server.APIVersion}}"]);
        if version.code == 0 { Ok(()) } else { Err(version.stderr) }
    });
    let found = docker(&["info", "--format", "{{.DockerRootDir}}"]).succeeds();
    assert_eq!(found, environment.root().display().to_string());
    environment.load_starter();
    assert_eq!(docker(&["run", "--rm", STARTER, "echo", "served"]).succeeds(), "served");

    // A second engine is refused: this one listens there.
    let second = environment.path("second");
    let program = binary("hyperboxd").display().to_string();
    let (root, run) = (second.join("root"), second.join("run"));
    let host = format!("unix://{}", second.join("s").display());
    let (root, run) = (root.display().to_string(), run.display().to_string());
    let words = ["--root", &root, "--run-dir", &run, "--host", &host, "--docker-socket"];
    let refused = machine.run(&environment, &[&[program.as_str()], &words[..]].concat());
    let refused = refused.exits_with(1).complains("an engine answers there already");
    assert!(refused.stderr.contains("hint: stop it first"), "{refused}");
    assert_eq!(docker(&["ps", "--quiet"]).succeeds(), "", "the first goes on");

    assert!(terminate(daemon).success());
    let left = machine.run(&environment, &["ls", "/run"]).succeeds();
    assert!(!left.contains("docker"), "the socket goes with the daemon: {left}");
    drop(machine);
    environment.is_clean();
}

/// Starts a daemon that serves Docker's clients at this path as well.
fn serving(path: &Path) -> DaemonOptions {
    DaemonOptions {
        environment: vec![("HYPERBOX_DOCKER_SOCKET".to_owned(), path.display().to_string())],
        ..DaemonOptions::default()
    }
}

#[test]
fn privileged_a_dead_socket_is_replaced_and_other_files_are_kept() {
    let mut environment = TestEnvironment::new();
    let path = environment.path("docker.sock");
    drop(UnixListener::bind(&path).unwrap());
    environment.start_daemon(&serving(&path));
    let file = fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o007, 0, "it is closed to others");
    let host = format!("unix://{}", path.display());
    let output = environment.hb(["--host", &host, "version", "--format", "{{.Server.Os}}"]);
    assert_eq!(output.succeeds(), "linux");
    // Killed, it leaves a dead socket; the next daemon takes its place.
    environment.kill_daemon();
    assert!(path.exists());
    environment.start_daemon(&serving(&path));
    assert!(environment.stop_daemon().success());
    assert!(!path.exists(), "the socket goes with the daemon");

    fs::write(&path, "precious").unwrap();
    let (status, log) = environment.failing_daemon(&serving(&path));
    assert!(!status.success());
    assert!(log.contains("what is there is not a socket"), "{log}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn docker_cli_privileged_a_context_leads_to_the_daemon() {
    let environment = TestEnvironment::with_starter();
    let docker = |words: &[&str]| Output::of(environment.command("docker".as_ref()).args(words));
    let installed = environment.hb(["system", "docker-context", "install"]).succeeds();
    assert_eq!(installed, "hyperbox");
    // Once more is no mistake.
    environment.hb(["system", "docker-context", "create"]).succeeds();
    let host = docker(&[
        "context",
        "inspect",
        "hyperbox",
        "--format",
        "{{.Endpoints.docker.Host}}",
    ])
    .succeeds();
    assert_eq!(host, environment.host());
    docker(&["context", "use", "hyperbox"]).succeeds();
    environment.detached(&["--name", "web"], &["sleep", "600"]);
    assert_eq!(docker(&["ps", "--format", "{{.Names}}"]).succeeds(), "web");
    let inside = docker(&["--context", "hyperbox", "exec", "web", "echo", "inside"]).succeeds();
    assert_eq!(inside, "inside");
    // hb in Docker's place finds it in the same way.
    let mut hb = environment.command(&binary("hb"));
    let found = Output::of(hb.args(["docker", "ps", "--format", "{{.Names}}"])).succeeds();
    assert_eq!(found, "web");
    let _used = environment
        .hb(["system", "docker-context", "remove"])
        .exits_with(1)
        .complains("context \"hyperbox\" is in use");
    environment
        .hb(["system", "docker-context", "remove", "--force"])
        .succeeds();
    assert_eq!(docker(&["context", "show"]).succeeds(), "default");
    let contexts: PathBuf = environment.path("home/.docker/contexts/meta");
    assert_eq!(fs::read_dir(contexts).unwrap().count(), 0);
    environment.finish();
}
