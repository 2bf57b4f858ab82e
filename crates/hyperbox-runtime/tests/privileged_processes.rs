// SPDX-License-Identifier: MIT
//! More processes in a running container, terminals, signals and the small init.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hyperbox_runtime::{ExecRequest, StdioPlan, start};
use hyperbox_types::Signal;
use hyperbox_types::run::TerminalSize;
use hyperbox_types::shim::{CommandFault, UserSpec};
use serde_json::{Value, json};

use support::outcome::{Running, chain, pipes, request, start_ours, start_request, wait};
use support::rootfs::Rootfs;
use support::specification::{CAPABILITIES, set, shell};

fn process(arguments: &[&str]) -> oci_spec::runtime::Process {
    serde_json::from_value(json!({
        "user": { "uid": 0, "gid": 0 }, "args": arguments, "cwd": "/", "env": ["PATH=/bin"],
        "capabilities": { "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES }
    }))
    .unwrap()
}

fn exec(running: &Running, arguments: &[&str], user: &str) -> Result<(i32, String), hyperbox_runtime::StartError> {
    let (stdio, mut stdout, _stderr) = pipes();
    let process = running.container.exec(ExecRequest {
        process: process(arguments),
        user: UserSpec {
            user: user.into(),
            additional_groups: vec![],
        },
        stdio,
    })?;
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    Ok((wait(process.pidfd()), text))
}

fn sleeper(rootfs: &Rootfs) -> Running {
    start_ours(&shell("echo ready; exec sleep 1000"), rootfs.overlay(), "").unwrap()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn privileged_exec_is_inside() {
    let rootfs = Rootfs::new();
    let mut specification = shell("touch /tmp/marker; echo ready; exec sleep 1000");
    set(
        &mut specification,
        "/linux/seccomp",
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }] }),
    );
    let mut running = start_ours(&specification, rootfs.overlay(), "").unwrap();
    let mut ready = [0; 6];
    running.stdout.read_exact(&mut ready).unwrap();

    let (code, text) = exec(
        &running,
        &["sh", "-c", "hostname; ls /tmp; id -u; echo $HOME; exit 9"],
        "web",
    )
    .unwrap();
    assert_eq!((code, text.as_str()), (9, "testhost\nmarker\n33\n/home/web\n"));
    for kind in ["mnt", "uts", "ipc", "pid", "net", "cgroup"] {
        let (_, text) = exec(&running, &["readlink", &format!("/proc/self/ns/{kind}")], "").unwrap();
        let path = format!("/proc/{}/ns/{kind}", running.container.pid());
        assert_eq!(
            text.trim(),
            std::fs::read_link(path).unwrap().to_str().unwrap(),
            "{kind}"
        );
    }
    let (code, _) = exec(&running, &["mkdir", "/tmp/x"], "").unwrap();
    assert_eq!(code, 1, "the filter holds for exec too");
    let (_, text) = exec(&running, &["cat", "/proc/self/cgroup"], "").unwrap();
    let (_, of_init) = exec(&running, &["cat", "/proc/1/cgroup"], "").unwrap();
    assert_eq!(text, of_init);
    let (_, text) = exec(
        &running,
        &["sh", "-c", "ls /proc/self/fd | wc -l; ps | grep -c sleep"],
        "",
    )
    .unwrap();
    assert!(text.starts_with("4\n"), "{text}");

    let error = exec(&running, &["nosuch"], "").unwrap_err();
    assert_eq!(error.command_fault(), Some(CommandFault::NotFound));
    assert_eq!(
        error.to_string(),
        "exec: \"nosuch\": executable file not found in $PATH"
    );
    let error = exec(&running, &["true"], "nobody").unwrap_err();
    assert_eq!(
        error.to_string(),
        "unable to find user nobody: no matching entries in passwd file"
    );

    running.container.signal(Signal::KILL).unwrap();
    assert_eq!(running.finish().code, 137);
}

#[test]
fn privileged_exec_after_the_end_fails() {
    let rootfs = Rootfs::new();
    let running = sleeper(&rootfs);
    running.container.signal(Signal::KILL).unwrap();
    wait_for("the end", || {
        std::fs::read_to_string(format!("/proc/{}/stat", running.container.pid()))
            .is_ok_and(|stat| stat.contains(") Z"))
    });
    let error = exec(&running, &["true"], "").unwrap_err();
    assert!(error.command_fault().is_none(), "{}", chain(&error));
    assert_eq!(running.finish().code, 137);
}

#[test]
fn privileged_signals_reach_one_and_all() {
    let rootfs = Rootfs::new();
    let mut running = start_ours(
        &shell("trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 1 & wait $!; done"),
        rootfs.overlay(),
        "",
    )
    .unwrap();
    let mut ready = [0; 6];
    running.stdout.read_exact(&mut ready).unwrap();
    running.container.signal(Signal::TERM).unwrap();
    let outcome = running.finish();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, "term\n"));

    let rootfs = Rootfs::new();
    let running = sleeper(&rootfs);
    running.container.signal_all(Signal::KILL).unwrap();
    assert_eq!(running.finish().code, 137);
}

/// Reads a terminal to its end, which Linux reports as an input/output error.
fn read_terminal(master: OwnedFd) -> String {
    let mut text = Vec::new();
    let mut file = std::fs::File::from(master);
    let mut buffer = [0; 4096];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => text.extend_from_slice(&buffer[..length]),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(5));
                break;
            }
        }
    }
    String::from_utf8(text).unwrap().replace("\r\n", "\n")
}

const SIZE: TerminalSize = TerminalSize { rows: 33, columns: 101 };

fn terminal_specification(command: &str) -> Value {
    let mut specification = shell(command);
    set(&mut specification, "/process/terminal", json!(true));
    specification
}

#[test]
fn privileged_terminals() {
    let rootfs = Rootfs::new();
    support::require_root();
    let command = "tty; stty size; stat -c '%u %t' $(tty); test -c /dev/console && echo hi >/dev/console; read line; echo got $line";
    let stdio = StdioPlan::Terminal { size: SIZE };
    let mut container = start(request(
        &terminal_specification(command),
        rootfs.overlay(),
        "web",
        stdio,
    ))
    .unwrap();
    let master = container.take_terminal().expect("there is a terminal");
    assert!(container.take_terminal().is_none());
    let mut writer = std::fs::File::from(master.try_clone().unwrap());
    writer.write_all(b"input\n").unwrap();
    let text = read_terminal(master);
    assert_eq!(wait(container.pidfd()), 0, "{text}");
    // The input is echoed, at some moment.
    let text = text.replacen("input\n", "", 1);
    assert_eq!(text, "/dev/pts/0\n33 101\n33 88\nhi\ngot input\n");
    let cgroups = container.cgroups().clone();
    drop(container);
    cgroups.remove().unwrap();
}

#[test]
fn privileged_exec_gets_a_terminal_of_its_own() {
    let rootfs = Rootfs::new();
    let running = sleeper(&rootfs);
    let mut process = running
        .container
        .exec(ExecRequest {
            process: process(&["sh", "-c", "tty; stty size; ps -o pid,tty >/dev/null; sleep 1000"]),
            user: UserSpec::default(),
            stdio: StdioPlan::Terminal { size: SIZE },
        })
        .unwrap();
    let master = process.take_terminal().unwrap();
    let mut reader = std::fs::File::from(master.try_clone().unwrap());
    let mut text = Vec::new();
    wait_for("the size", || {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
        text.ends_with(b"33 101\r\n")
    });
    // Ctrl-C goes to the foreground group of the controlling terminal.
    let mut writer = std::fs::File::from(master.try_clone().unwrap());
    writer.write_all(b"\x03").unwrap();
    assert_eq!(wait(process.pidfd()), 130);
    running.container.signal(Signal::KILL).unwrap();
    running.finish();
}

#[test]
fn privileged_a_network_namespace_is_handed_over() {
    support::require_root();
    // Another container's: made by it, joined by descriptor.
    let rootfs = Rootfs::new();
    let owner = sleeper(&rootfs);
    let path = format!("/proc/{}/ns/net", owner.container.pid());
    let namespace: OwnedFd = std::fs::File::open(&path).unwrap().into();
    let joining = Rootfs::new();
    let running = start_request(|stdio| {
        let mut request = request(&shell("readlink /proc/self/ns/net"), joining.overlay(), "", stdio);
        request.network_namespace = Some(namespace);
        request
    })
    .unwrap();
    let outcome = running.finish();
    assert_eq!(
        outcome.stdout.trim(),
        std::fs::read_link(path).unwrap().to_str().unwrap()
    );

    // And its pid namespace by path: the first process of ours is one among others there.
    let mut specification = shell("ps | grep -c 'sleep 1000'; test $$ -gt 1 && echo joined");
    specification["linux"]["namespaces"] = json!([{ "type": "mount" },
        { "type": "pid", "path": format!("/proc/{}/ns/pid", owner.container.pid()) }]);
    specification.as_object_mut().unwrap().remove("hostname");
    let outcome = support::outcome::run_ours(&specification, Rootfs::new().overlay(), "");
    assert!(outcome.stdout.ends_with("joined\n"), "{outcome:?}");
    let own = std::fs::read_link("/proc/thread-self/ns/pid_for_children").unwrap();
    assert_eq!(
        own,
        std::fs::read_link("/proc/thread-self/ns/pid").unwrap(),
        "this thread is back at home"
    );
    owner.container.signal(Signal::KILL).unwrap();
    owner.finish();
}

#[test]
fn privileged_streams_belong_to_the_user() {
    let outcome = support::outcome::run_ours(
        &shell("echo through the name >/dev/stdout; echo error >/dev/stderr"),
        Rootfs::new().overlay(),
        "web",
    );
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("through the name\n", "error\n")
    );
}
