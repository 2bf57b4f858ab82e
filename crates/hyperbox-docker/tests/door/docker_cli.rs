// SPDX-License-Identifier: MIT
//! Docker's own command line against the door.

use std::process::Output;

use hyperbox_testkit::fake::Script;
use serde_json::json;

use crate::world::{IMAGE, World};

async fn docker(world: &World, arguments: &[&str]) -> Output {
    let host = format!("unix://{}", world.socket.display());
    tokio::process::Command::new("docker")
        .args(arguments)
        .env("DOCKER_HOST", host)
        .env("DOCKER_CONFIG", world.socket.parent().expect("a directory"))
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .expect("the docker command line is installed")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_cli_run_and_exit_codes() {
    let world = World::start().await;
    world.tasks.script_next(Script {
        stdout: b"out\n".to_vec(),
        stderr: b"err\n".to_vec(),
        exit: Some(3),
    });
    let run = docker(&world, &["run", "--rm", IMAGE, "x"]).await;
    assert_eq!(
        (run.status.code(), text(&run.stdout), text(&run.stderr)),
        (Some(3), "out\n".into(), "err\n".into())
    );
    world.fail_next_command();
    let missing = docker(&world, &["run", "--rm", IMAGE, "nosuch"]).await;
    assert_eq!(missing.status.code(), Some(127), "{}", text(&missing.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_cli_objects() {
    let world = World::start().await;
    let detached = docker(&world, &["run", "-d", "--name", "web", "-v", "data:/data", IMAGE]).await;
    assert!(detached.status.success(), "{}", text(&detached.stderr));
    for (arguments, needle) in [
        (&["ps"][..], "Up "),
        (&["ps", "-a", "--filter", "name=web", "--format", "{{.Names}}"], "web"),
        (
            &["inspect", "-f", "{{.HostConfig.NetworkMode}} {{.State.Status}}", "web"],
            "bridge running",
        ),
        (&["images", "--format", "{{.Repository}}"], IMAGE),
        (&["history", IMAGE], "CMD"),
        (&["image", "inspect", "-f", "{{.Os}}", IMAGE], "linux"),
        (&["volume", "ls", "-q"], "data"),
        (&["network", "ls"], "bridge"),
        (&["version"], "1.51"),
        (&["info"], "Server Version"),
        (&["system", "df"], "Images"),
        (&["stats", "--no-stream", "web"], "web"),
        (&["top", "web"], "PID"),
        (&["port", "web"], ""),
        (&["rename", "web", "db"], ""),
        (&["update", "--memory", "64m", "--memory-swap", "64m", "db"], "db"),
        (&["pause", "db"], "db"),
        (&["unpause", "db"], "db"),
        (&["events", "--since", "1m", "--until", "0s"], "container start"),
        (&["kill", "db"], "db"),
        (&["wait", "db"], "137"),
        (&["rm", "-v", "db"], "db"),
        (&["volume", "rm", "data"], "data"),
        (&["tag", IMAGE, "other:1"], ""),
        (&["rmi", "other:1"], "Untagged: other:1"),
        (&["container", "prune", "-f"], "Total reclaimed space"),
    ] {
        let output = docker(&world, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        assert!(
            text(&output.stdout).contains(needle),
            "{arguments:?}: {}",
            text(&output.stdout)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_cli_transfers_and_refusals() {
    let world = World::start().await;
    world.publish("localhost:5000/new:1", &json!({ "Cmd": ["sh"] }));
    let pulled = docker(&world, &["pull", "localhost:5000/new:1"]).await;
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    let pushed = docker(&world, &["push", "localhost:5000/new:1"]).await;
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    let archive = world.socket.with_file_name("image.tar");
    let archive = archive.to_str().expect("text");
    for arguments in [
        &["save", "-o", archive, "localhost:5000/new:1"][..],
        &["load", "-i", archive],
    ] {
        let output = docker(&world, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }
    let context = world.socket.with_file_name("context");
    std::fs::create_dir(&context).expect("a directory");
    std::fs::write(context.join("Dockerfile"), "FROM scratch\n").expect("a file");
    for (arguments, needle) in [
        (&["inspect", "nosuch"][..], "No such object: nosuch"),
        (
            &["build", context.to_str().expect("text")],
            "building images is not supported by this version",
        ),
        (&["run", "--pull=never", "nosuch"], "No such image: nosuch:latest"),
        (&["commit", "nosuch"], "No such container: nosuch"),
        (&["node", "ls"], "not a swarm manager"),
    ] {
        let output = docker(&world, arguments).await;
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(needle),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_cli_networks_and_ports() {
    let world = World::start().await;
    let create = [
        "network",
        "create",
        "--subnet",
        "10.5.0.0/24",
        "--label",
        "a=b",
        "--ipv6",
        "front",
    ];
    let publish = [
        "-p",
        "127.0.0.1:8080-8081:80-81",
        "-p",
        "53/udp",
        "--add-host",
        "h=host-gateway",
        "--link",
        "db",
    ];
    let links = "{{json .HostConfig.Links}}{{json .HostConfig.ExtraHosts}}";
    let aliases = "{{json .NetworkSettings.Networks.front.Aliases}}{{.NetworkSettings.Networks.front.IPAddress}}";
    for (arguments, needle) in [
        (&create[..], ""),
        (&["network", "create", "back"], ""),
        (
            &["network", "ls", "--filter", "type=custom", "--format", "{{.Name}}"],
            "back\nfront",
        ),
        (
            &["network", "inspect", "front", "-f", "{{(index .IPAM.Config 0).Subnet}}"],
            "10.5.0.0/24",
        ),
        (&["run", "-d", "--name", "db", IMAGE], ""),
        (&[&["run", "-d", "--name", "web"], &publish[..], &[IMAGE]].concat(), ""),
        (&["port", "web"], "80/tcp -> 127.0.0.1:8080\n81/tcp -> 127.0.0.1:8081"),
        (&["port", "web", "81"], "127.0.0.1:8081"),
        (&["port", "web", "53/udp"], "0.0.0.0:32768\n[::]:32768"),
        (
            &["ps", "--filter", "publish=8080", "--format", "{{.Names}} {{.Ports}}"],
            "127.0.0.1:8080->80/tcp, 127.0.0.1:8081->81/tcp",
        ),
        (
            &["inspect", "-f", links, "web"],
            "[\"/db:/web/db\"][\"h:host-gateway\"]",
        ),
        (
            &[
                "network", "connect", "--ip", "10.5.0.9", "--alias", "al", "front", "web",
            ],
            "",
        ),
        (&["inspect", "-f", aliases, "web"], "[\"al\"]10.5.0.9"),
        (
            &[
                "network",
                "inspect",
                "front",
                "-f",
                "{{range .Containers}}{{.Name}}{{end}}",
            ],
            "web",
        ),
        (&["network", "disconnect", "front", "web"], ""),
        (&["inspect", "-f", "{{len .NetworkSettings.Networks}}", "web"], "1"),
        (
            &[
                "run",
                "-d",
                "--name",
                "in",
                "--network",
                "front",
                "--network-alias",
                "x",
                "--mac-address",
                "02:42:ac:11:00:09",
                IMAGE,
            ],
            "",
        ),
        (&["network", "rm", "back"], "back"),
        (&["network", "prune", "-f"], ""),
        (&["network", "ls", "-q", "--filter", "driver=host"], ""),
    ] {
        let output = docker(&world, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        assert!(
            text(&output.stdout).contains(needle),
            "{arguments:?}: {}",
            text(&output.stdout)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_cli_network_refusals() {
    let world = World::start().await;
    for arguments in [
        &["network", "create", "front"][..],
        &["run", "-d", "--name", "db", IMAGE],
        &["run", "-d", "--name", "in", "--network", "front", IMAGE],
    ] {
        let output = docker(&world, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }
    for (arguments, needle) in [
        (
            &["network", "rm", "front"][..],
            "network front has active endpoints (name:\"in\" id:\"",
        ),
        (
            &["network", "rm", "bridge"],
            "bridge is a pre-defined network and cannot be removed",
        ),
        (
            &["network", "create", "front"],
            "network with name front already exists",
        ),
        (
            &["network", "create", "--subnet", "10.9.0.1/24", "x"],
            "invalid subnet 10.9.0.1/24: it should be 10.9.0.0/24",
        ),
        (&["network", "connect", "nosuch", "db"], "network nosuch not found"),
        (&["network", "inspect", "nosuch"], "network nosuch not found"),
        (
            &["run", "--network", "container:db", "-p", "80:80", IMAGE],
            "port publishing and the container type network mode",
        ),
        (
            &["run", "--network", "bridge", "--ip", "1.2.3.4", IMAGE],
            "supported on user defined networks only",
        ),
        (&["port", "db", "99"], "public port '99' published for db"),
    ] {
        let output = docker(&world, arguments).await;
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(needle),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
}
