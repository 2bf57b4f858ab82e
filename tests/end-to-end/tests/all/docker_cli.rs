// SPDX-License-Identifier: MIT
//! Docker's own command line against hyperboxd.
//!
//! The names begin with `docker_cli_`: where docker is not installed, `cargo xtask test` leaves them out and says so.

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::registry::RegistryAccess;

#[test]
fn docker_cli_privileged_run_and_exit_codes() {
    let environment = TestEnvironment::with_starter();
    let output = environment
        .docker(["run", "--rm", STARTER, "sh", "-c", "echo out; echo err >&2; exit 3"])
        .exits_with(3);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    let _missing = environment.docker(["run", "--rm", STARTER, "nosuch"]).exits_with(127);
    let _directory = environment.docker(["run", "--rm", STARTER, "/etc"]).exits_with(126);
    let _image = environment
        .docker(["run", "--rm", "--pull", "never", "nosuch:1"])
        .exits_with(125)
        .complains("No such image: nosuch:1");
    environment.finish();
}

#[test]
fn docker_cli_privileged_lifecycle() {
    let environment = TestEnvironment::with_starter();
    let id = environment
        .docker(["run", "-d", "--name", "web", "--label", "a=b", STARTER, "sleep", "600"])
        .succeeds();
    assert_eq!(
        environment
            .docker(["ps", "--format", "{{.Names}} {{.State}}"])
            .succeeds(),
        "web running"
    );
    assert_eq!(
        environment.docker(["exec", "web", "echo", "inside"]).succeeds(),
        "inside"
    );
    assert_eq!(
        environment.docker(["inspect", "--format", "{{.Id}}", "web"]).succeeds(),
        id
    );
    environment.docker(["pause", "web"]).succeeds();
    environment.docker(["unpause", "web"]).succeeds();
    assert!(environment.docker(["top", "web"]).succeeds().contains("sleep 600"));
    assert!(
        environment
            .docker(["stats", "--no-stream", "web"])
            .succeeds()
            .contains("web")
    );
    environment.docker(["stop", "-t", "0", "web"]).succeeds();
    assert_eq!(environment.docker(["wait", "web"]).succeeds(), "137");
    environment.docker(["start", "web"]).succeeds();
    environment.docker(["rename", "web", "renamed"]).succeeds();
    let _conflict = environment
        .docker(["run", "--name", "renamed", STARTER])
        .exits_with(125)
        .complains("is already in use by container");
    environment.docker(["rm", "-f", "renamed"]).succeeds();
    environment.finish();
}

#[test]
fn docker_cli_privileged_logs_and_attach() {
    let environment = TestEnvironment::with_starter();
    let script = "read line; echo got $line; echo error >&2";
    environment
        .docker(["create", "-i", "--name", "reader", STARTER, "sh", "-c", script])
        .succeeds();
    let mut attached = environment.command("docker".as_ref());
    attached
        .env("DOCKER_HOST", environment.host())
        .args(["start", "-ai", "reader"]);
    let output = hyperbox_testkit::environment::Output::with_input(&mut attached, b"hello\n").exits_with(0);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("got hello\n", "error\n")
    );
    let logs = environment.docker(["logs", "reader"]).exits_with(0);
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("got hello\n", "error\n"));
    environment.finish();
}

#[test]
fn docker_cli_privileged_images() {
    let environment = TestEnvironment::with_starter();
    let registry = environment.registry(RegistryAccess::Anyone);
    let image = registry.image("docker/cli:1");
    environment.docker(["tag", STARTER, &image]).succeeds();
    environment.docker(["push", &image]).succeeds();
    environment.docker(["rmi", &image, STARTER]).succeeds();
    let pulled = environment.docker(["pull", &image]).succeeds();
    assert!(pulled.contains("Status: Downloaded newer image"), "{pulled}");
    assert!(environment.docker(["images"]).succeeds().contains("docker/cli"));
    let archive = environment.path("image.tar").display().to_string();
    environment.docker(["save", "-o", &archive, &image]).succeeds();
    environment.docker(["rmi", &image]).succeeds();
    assert!(
        environment
            .docker(["load", "-i", &archive])
            .succeeds()
            .contains("Loaded image")
    );
    assert!(environment.docker(["history", &image]).succeeds().contains("layer 0"));
    environment.finish();
}

#[test]
fn docker_cli_privileged_volumes_and_system() {
    let environment = TestEnvironment::with_starter();
    environment.docker(["volume", "create", "named"]).succeeds();
    environment
        .docker(["run", "--rm", "-v", "named:/data", STARTER, "touch", "/data/file"])
        .succeeds();
    let _used = environment.docker(["volume", "inspect", "named"]).exits_with(0);
    environment.docker(["volume", "rm", "named"]).succeeds();
    assert!(environment.docker(["info"]).succeeds().contains("Storage Driver"));
    assert!(environment.docker(["version"]).succeeds().contains("Server:"));
    assert!(environment.docker(["network", "ls"]).succeeds().contains("bridge"));
    environment.finish();
}
