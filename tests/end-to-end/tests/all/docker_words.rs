// SPDX-License-Identifier: MIT
//! `hb` linked as `docker`: the usual command lines of each command, plugins, and what `~/.docker/config.json` says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use hyperbox_testkit::environment::{Output, STARTER, TestEnvironment, binary};
use hyperbox_testkit::registry::{RegistryAccess, TEST_PASSWORD, TEST_USER};

/// The environment, and a link named `docker`.
struct Linked {
    environment: TestEnvironment,
    program: PathBuf,
}

impl Linked {
    fn new() -> Self {
        let environment = TestEnvironment::with_starter();
        fs::create_dir(environment.path("bin")).unwrap();
        let program = environment.path("bin/docker");
        std::os::unix::fs::symlink(binary("hb"), &program).unwrap();
        Self { environment, program }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.environment.command(&self.program);
        command.env("DOCKER_HOST", self.environment.host()).args(words);
        command
    }

    fn docker(&self, words: &[&str]) -> Output {
        Output::of(&mut self.command(words))
    }

    fn configure(&self, config: &str) {
        fs::create_dir_all(self.environment.path("home/.docker")).unwrap();
        fs::write(self.environment.path("home/.docker/config.json"), config).unwrap();
    }
}

#[test]
fn privileged_the_usual_command_lines() {
    let linked = Linked::new();
    let file = linked.environment.path("file");
    fs::write(&file, "text\n").unwrap();
    let (file, archive) = (
        file.display().to_string(),
        linked.environment.path("a.tar").display().to_string(),
    );
    let host = linked.environment.host();
    let lines: &[(&[&str], &str)] = &[
        (
            &[
                "run",
                "-d",
                "--name",
                "web",
                "-e",
                "A=b",
                "-p",
                "127.0.0.1::80",
                "-l",
                "tier=front",
                STARTER,
                "sleep",
                "600",
            ],
            "*",
        ),
        (&["-H", &host, "ps", "--format", "{{.Names}}"], "web"),
        (
            &[
                "--host",
                &host,
                "--log-level",
                "error",
                "container",
                "ls",
                "-q",
                "--no-trunc",
                "-f",
                "name=web",
            ],
            "*",
        ),
        (
            &["ps", "-aq", "--filter", "label=tier=front", "--format", "{{.State}}"],
            "running",
        ),
        (
            &["exec", "-w", "/tmp", "-e", "C=d", "web", "sh", "-c", "echo $A $C $PWD"],
            "b d /tmp",
        ),
        (&["exec", "-i", "web", "cat"], ""),
        (&["cp", &file, "web:/tmp/file"], ""),
        (&["container", "exec", "web", "cat", "/tmp/file"], "text"),
        (&["diff", "web"], "*A /tmp/file"),
        (&["logs", "--tail=5", "web"], ""),
        (&["top", "web", "-o", "pid,args"], "*sleep 600"),
        (&["stats", "--no-stream", "--format", "{{.Name}}", "web"], "web"),
        (&["port", "web", "80/tcp"], "*127.0.0.1:"),
        (
            &["inspect", "-f", "{{.State.Running}} {{.HostConfig.NetworkMode}}", "web"],
            "true *",
        ),
        (&["update", "-m", "64m", "--memory-swap", "-1", "web"], "web"),
        (&["pause", "web"], "web"),
        (&["unpause", "web"], "web"),
        (&["rename", "web", "site"], ""),
        (
            &["commit", "-m", "message", "-c", "ENV X=y", "site", "committed:1"],
            "*sha256:",
        ),
        (&["tag", "committed:1", "other:2"], ""),
        (&["images", "--format", "{{.Repository}}:{{.Tag}}", "other"], "other:2"),
        (&["history", "-q", "--no-trunc", "other:2"], "*sha256:"),
        (&["save", "-o", &archive, "other:2"], ""),
        (&["rmi", "-f", "other:2"], "*Untagged: other:2"),
        (&["load", "-i", &archive], "*Loaded image: other:2"),
        (&["image", "inspect", "--format", "{{.Os}}", "other:2"], "linux"),
        (&["export", "-o", &archive, "site"], ""),
        (&["import", &archive, "imported:1"], "*sha256:"),
        (&["volume", "create", "--label", "a=b", "data"], "data"),
        (&["volume", "ls", "-qf", "label=a"], "data"),
        (
            &[
                "run",
                "--rm",
                "-v",
                "data:/data",
                "--mount",
                "type=tmpfs,dst=/t",
                STARTER,
                "sh",
                "-c",
                "df /t | tail -1 | cut -c1-5",
            ],
            "tmpfs",
        ),
        (&["network", "create", "--driver=bridge", "--internal", "inner"], "*"),
        (&["network", "connect", "--alias", "a", "inner", "site"], ""),
        (&["network", "disconnect", "-f", "inner", "site"], ""),
        (&["network", "rm", "inner"], "inner"),
        (&["kill", "-s", "KILL", "site"], "site"),
        (&["wait", "site"], "137"),
        (&["start", "site"], "site"),
        (&["restart", "-t", "0", "site"], "site"),
        (&["stop", "--time=0", "site"], "site"),
        (&["rm", "-fv", "site"], "site"),
        (&["volume", "rm", "data"], "data"),
        (&["system", "df", "--format", "{{.Type}}"], "*Images"),
        (
            &[
                "events",
                "--since",
                "1h",
                "--until",
                "0s",
                "-f",
                "type=volume",
                "--format",
                "{{.Action}}",
            ],
            "create*destroy",
        ),
        (&["version", "--format", "{{.Server.Os}}"], "linux"),
        (&["info", "--format", "{{.OSType}}"], "linux"),
        (&["image", "rm", "committed:1", "imported:1", "other:2"], "*Deleted"),
        (&["--version"], "*Docker version 28."),
        (
            &["help", "run"],
            "*Usage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]",
        ),
        (&["run", "--help"], "*--rm"),
        (&["context", "show"], "default"),
    ];
    for (words, expected) in lines {
        let printed = linked.docker(words).succeeds();
        match expected.split_once('*') {
            None => assert_eq!(printed, *expected, "{words:?}"),
            Some((before, within)) => {
                assert!(
                    printed.starts_with(before) && printed.contains(within),
                    "{words:?}: {printed}"
                );
            }
        }
    }
    linked.environment.finish();
}

#[test]
fn privileged_mistakes_are_dockers() {
    let linked = Linked::new();
    for (words, code, part) in [
        (&["run"][..], 1, "docker: 'docker run' requires at least 1 argument"),
        (&["bogus"], 1, "docker: unknown command: docker bogus"),
        (
            &["swarm", "init"],
            1,
            "docker: docker swarm: HyperBox is no swarm manager",
        ),
        (
            &["--context", "nosuch", "ps"],
            1,
            "context \"nosuch\": context not found",
        ),
        (&["run", "--rm", STARTER, "nosuch"], 127, "docker: "),
        (&["--tlsverify", "ps"], 1, "daemons are not spoken to by TLS"),
    ] {
        let _checked = linked.docker(words).exits_with(code).complains(part);
    }
    linked.environment.finish();
}

#[test]
fn privileged_compose_is_found_as_a_plugin() {
    let linked = Linked::new();
    let tools = binary("hb").ancestors().nth(2).unwrap().join("suite-tools/cli-plugins");
    assert!(tools.join("docker-compose").exists(), "run cargo xtask setup");
    linked.configure(&format!("{{\"cliPluginsExtraDirs\":[\"{}\"]}}", tools.display()));
    let help = linked.docker(&["--help"]).succeeds();
    assert!(help.contains("  compose*    Docker Compose"), "{help}");
    assert!(
        linked
            .docker(&["compose", "version", "--short"])
            .succeeds()
            .starts_with("2.")
    );
    let project = linked.environment.path("compose.yaml");
    fs::write(
        &project,
        "name: small\nservices:\n  one: {image: 'starter:latest', command: echo from one}\n",
    )
    .unwrap();
    let file = project.display().to_string();
    let output = linked
        .docker(&["compose", "-f", &file, "up", "--no-color"])
        .exits_with(0);
    assert!(output.stdout.contains("from one"), "{output}");
    // As the daemon that hb finds by itself, and as the one of --host.
    let mut own = linked.command(&["compose", "-f", &file, "ps", "-aq"]);
    let host = linked.environment.host();
    own.env_remove("DOCKER_HOST").env("HYPERBOX_HOST", &host);
    assert_eq!(Output::of(&mut own).succeeds().len(), 64);
    let mut named = linked.command(&["--host", &host, "compose", "-f", &file, "down"]);
    Output::of(named.env_remove("DOCKER_HOST")).succeeds();
    linked.environment.finish();
}

#[test]
fn privileged_credential_helpers_are_asked() {
    let linked = Linked::new();
    let environment = &linked.environment;
    let registry = environment.registry(RegistryAccess::Password);
    registry.add(
        "private/image:1",
        &environment.layout(&hyperbox_testkit::images::starter(), Default::default()),
    );
    let helper = environment.path("bin/docker-credential-test");
    let answer = format!("{{\"ServerURL\":\"$server\",\"Username\":\"{TEST_USER}\",\"Secret\":\"{TEST_PASSWORD}\"}}");
    let answer = answer.replace('"', "\\\"");
    let script = format!(
        "#!/bin/sh\nread server\necho \"$1 $server\" >> {}\n[ \"$1\" = get ] && echo \"{answer}\"\nexit 0\n",
        environment.path("asked").display()
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    let image = registry.image("private/image:1");
    let path = format!(
        "{}:{}",
        environment.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let pull = || Output::of(linked.command(&["pull", "-q", &image]).env("PATH", &path));
    let _refused = pull().exits_with(1);
    linked.configure(&format!("{{\"credHelpers\":{{\"{}\":\"test\"}}}}", registry.host()));
    assert_eq!(pull().succeeds(), image);
    let asked = fs::read_to_string(environment.path("asked")).unwrap();
    assert_eq!(asked, format!("get {}\n", registry.host()));
    linked.environment.finish();
}

#[test]
fn privileged_formats_keys_and_proxies_of_the_configuration() {
    let linked = Linked::new();
    linked.configure(
        r#"{"psFormat":"{{.Names}}={{.State}}","imagesFormat":"{{.Repository}}","detachKeys":"ctrl-a",
            "proxies":{"default":{"httpProxy":"http://proxy:3128","noProxy":"localhost"}}}"#,
    );
    let script = "echo $HTTP_PROXY $http_proxy $NO_PROXY $no_proxy";
    assert_eq!(
        linked
            .docker(&["run", "--rm", "-e", "http_proxy=own", STARTER, "sh", "-c", script])
            .succeeds(),
        "http://proxy:3128 own localhost localhost"
    );
    linked.docker(&["create", "--name", "web", STARTER]).succeeds();
    assert_eq!(linked.docker(&["ps", "-a"]).succeeds(), "web=created");
    assert_eq!(linked.docker(&["images"]).succeeds(), "starter");
    assert!(
        linked
            .environment
            .hb(["ps", "-a"])
            .succeeds()
            .starts_with("CONTAINER ID")
    );
    // Keys need a terminal: script(1) gives one. They let go of the container, which runs on.
    linked.docker(&["run", "-dit", "--name", "shell", STARTER]).succeeds();
    let attach = format!("{} attach shell", linked.program.display());
    let mut session = linked.environment.command("script".as_ref());
    session.env("DOCKER_HOST", linked.environment.host());
    session.args(["--quiet", "--return", "--command", &attach, "/dev/null"]);
    let output = Output::with_input(&mut session, b"\x01").exits_with(1);
    assert!(output.stdout.contains("read escape sequence"), "{output}");
    assert_eq!(linked.environment.status("shell"), "running");
    linked.environment.finish();
}
