// SPDX-License-Identifier: MIT
//! `hb system …`, completion, and how the daemon starts, shares and protects itself.

use std::os::unix::fs::PermissionsExt as _;

use hyperbox_testkit::environment::{DaemonOptions, Output, TestEnvironment, binary};

#[test]
fn privileged_information_is_true() {
    let environment = TestEnvironment::with_starter();
    environment.detached(&[], &["sleep", "600"]);
    let info = environment.hb(["system", "info", "--format", "json"]).json();
    assert_eq!(
        (&info["Containers"], &info["ContainersRunning"], &info["Images"]),
        (&1.into(), &1.into(), &1.into())
    );
    let root = environment.root().display().to_string();
    assert_eq!(info["DockerRootDir"], root.as_str());
    let text = environment.hb(["info"]).succeeds();
    assert!(text.contains("Containers: 1") && text.contains(&root), "{text}");
    let version = environment.hb(["version"]).succeeds();
    assert!(
        version.contains("Client") && version.contains("Server") && version.contains("1.51"),
        "{version}"
    );
    environment.hb(["system", "health"]).succeeds();
    let doctor = environment.hb(["system", "doctor"]);
    assert!(doctor.code <= 1 && doctor.stdout.contains("overlay"), "{doctor}");
    environment.finish();
}

#[test]
fn privileged_the_socket_and_the_store_are_private() {
    let environment = TestEnvironment::with_starter();
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(environment.socket()) & 0o007, 0, "the socket is closed to others");
    assert_eq!(mode(environment.root()) & 0o077, 0, "the store is closed to others");
    // nobody can neither ask nor read; the directory of the environment is opened for the proof.
    std::fs::set_permissions(environment.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut ask = environment.command("setpriv".as_ref());
    ask.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(binary("hb"))
        .args(["--host", &environment.host(), "ps"]);
    let output = Output::of(&mut ask);
    assert_ne!(output.code, 0, "{output}");
    let mut read = environment.command("setpriv".as_ref());
    read.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "ls"])
        .arg(environment.root());
    assert_ne!(Output::of(&mut read).code, 0);
    environment.finish();
}

#[test]
fn privileged_two_daemons_do_not_share_a_root() {
    let environment = TestEnvironment::start();
    let mut second = environment.command(&binary("hyperboxd"));
    second
        .arg("--root")
        .arg(environment.root())
        .arg("--run-dir")
        .arg(environment.path("run2"));
    second.args([
        "--host",
        &format!("unix://{}", environment.path("second.sock").display()),
    ]);
    let output = Output::of(&mut second);
    assert_ne!(output.code, 0, "{output}");
    assert!(
        output.stderr.contains(&environment.root().display().to_string()),
        "{output}"
    );
    let other = TestEnvironment::with_starter();
    assert_eq!(other.run(&[], &["echo", "beside"]), "beside");
    other.finish();
    environment.finish();
}

#[test]
fn privileged_a_wrong_configuration_is_refused() {
    let environment = TestEnvironment::new();
    let options = DaemonOptions {
        config: "no_such_setting = 1\n".to_owned(),
        ..DaemonOptions::default()
    };
    let (status, log) = environment.failing_daemon(&options);
    assert!(!status.success());
    assert!(log.contains("no_such_setting") && log.contains("config.toml"), "{log}");
}

#[test]
fn privileged_a_clean_shutdown_leaves_containers_running() {
    let mut environment = TestEnvironment::with_starter();
    let id = environment.detached(&[], &["sh", "-c", hyperbox_testkit::environment::TICKER]);
    environment.wait_for_log(&id, "line 1");
    assert!(environment.stop_daemon().success());
    assert!(!environment.socket().exists(), "the socket goes with the daemon");
    environment.start_daemon(&DaemonOptions::default());
    assert_eq!(environment.status(&id), "running");
    environment.finish();
}

#[test]
fn privileged_completions_and_help() {
    let environment = TestEnvironment::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let text = environment.hb(["completion", shell]).succeeds();
        assert!(text.contains("container") && text.contains("hb"), "{shell}");
    }
    let help = environment.hb(["--help"]).succeeds();
    for part in ["run", "image", "container", "volume", "system", "login"] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
    assert!(environment.hb(["run", "--help"]).succeeds().contains("--rm"));
    let _unknown = environment.hb(["nosuchcommand"]).complains("nosuchcommand");
}
