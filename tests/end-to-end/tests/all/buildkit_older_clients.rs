// SPDX-License-Identifier: MIT
//! The docker command line of Debian 12 (20.10) builds: `POST /build?version=2`, with files that come by a session.

use std::fs;
use std::process::{Command, Output, Stdio};

use hyperbox_testkit::environment::{STARTER, TestEnvironment, binary};
use hyperbox_testkit::wait_for;

use crate::buildkit_clients::runs;

struct Client {
    environment: TestEnvironment,
    context: String,
}

impl Client {
    fn new(dockerfile: &str) -> Self {
        let environment = TestEnvironment::with_starter();
        let context = environment.path("context");
        fs::create_dir_all(&context).unwrap();
        fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        fs::write(context.join("x"), "content\n").unwrap();
        Self {
            context: context.to_str().unwrap().to_owned(),
            environment,
        }
    }

    fn docker(&self, words: &[&str]) -> Command {
        let target = binary("hb").ancestors().nth(2).unwrap().to_owned();
        let program = target.join("old-docker/bin/docker");
        assert!(program.exists(), "run cargo xtask setup");
        let mut command = Command::new(program);
        command.args(words).env("HOME", self.environment.path("home"));
        command.env("DOCKER_HOST", self.environment.host());
        command.env_remove("DOCKER_BUILDKIT").env_remove("DOCKER_CONTEXT");
        command
    }

    /// Builds the context.
    fn build(&self, options: &[&str]) -> Output {
        let words = [&["build"][..], options, &[&self.context]].concat();
        self.docker(&words).output().unwrap()
    }

    /// Builds what comes on standard input.
    fn build_from(&self, options: &[&str], input: &[u8]) -> Output {
        let file = self.environment.path("input");
        fs::write(&file, input).unwrap();
        let words = [&["build"][..], options].concat();
        self.docker(&words)
            .stdin(fs::File::open(file).unwrap())
            .output()
            .unwrap()
    }

    fn end(self, images: &[&str]) {
        for image in images {
            self.environment.hb(["rmi", "-f", image]).succeeds();
        }
        self.environment.hb(["image", "prune", "-f"]).succeeds();
        self.environment.hb(["builder", "prune", "-af"]).succeeds();
        self.environment.finish();
    }
}

/// Both streams, for people who read why a test failed.
fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn line(output: &Output) -> String {
    assert!(output.status.success(), "{}", told(output));
    String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned()
}

#[test]
fn docker_cli_privileged_20_10_builds_by_a_session() {
    let dockerfile = format!("FROM {STARTER}\nARG A=1\nCOPY x /x\nRUN cat /x; echo arg $A\nCMD [\"cat\",\"/x\"]\n");
    let client = Client::new(&dockerfile);
    let identity = client.environment.path("id");
    let options = [
        "--progress",
        "plain",
        "--build-arg",
        "A=2",
        "--label",
        "l=v",
        "-t",
        "built:1",
        "-t",
        "built:2",
    ];
    let output = client.build(&[&options[..], &["--iidfile", identity.to_str().unwrap()]].concat());
    let course = told(&output);
    assert!(output.status.success(), "{course}");
    for part in [
        "[internal] load build definition from Dockerfile",
        "transferring dockerfile",
        "[2/3] COPY x /x",
        "[3/3] RUN cat /x; echo arg 2",
        "arg 2",
        "naming to docker.io/library/built:1",
    ] {
        assert!(course.contains(part), "{part}: {course}");
    }
    let image = fs::read_to_string(identity).unwrap();
    let shown = ["image", "inspect", "-f", "{{.Id}} {{.Config.Labels.l}}", "built:2"];
    assert_eq!(line(&client.docker(&shown).output().unwrap()), format!("{image} v"));
    // The same is there already, and what is told is only the id.
    assert_eq!(
        line(&client.build(&["-q", "--build-arg", "A=2", "--label", "l=v"])),
        image
    );
    let again = told(&client.build(&["--progress", "plain", "--build-arg", "A=2"]));
    assert!(again.contains("CACHED"), "{again}");
    client.end(&["built:1", "built:2"]);
}

#[test]
fn docker_cli_privileged_20_10_builds_from_its_input() {
    let client = Client::new(&format!("FROM {STARTER}\nCOPY x /y\n"));
    let archive = Command::new("tar")
        .args(["-C", &client.context, "-c", "."])
        .output()
        .unwrap()
        .stdout;
    let image = line(&client.build_from(&["-q", "-t", "piped", "-"], &archive));
    let shown = ["run", "--rm", "piped", "cat", "/y"];
    assert_eq!(line(&client.docker(&shown).output().unwrap()), "content");
    assert_eq!(line(&client.build(&["-q"])), image);
    let labels = format!("FROM {STARTER}\nLABEL a=b\n");
    let labelled = line(&client.build_from(&["-q", "-"], labels.as_bytes()));
    assert!(labelled.starts_with("sha256:") && labelled != image, "{labelled}");
    let elsewhere = format!("FROM {STARTER}\nCOPY x /z\n");
    let output = client.build_from(&["-q", "-f", "-", &client.context], elsewhere.as_bytes());
    assert!(line(&output).starts_with("sha256:"));
    client.end(&["piped"]);
}

#[test]
fn docker_cli_privileged_20_10_gets_files() {
    let client = Client::new("FROM scratch\nCOPY x /made/x\n");
    let directory = client.environment.path("out");
    let output = client.build(&["-q", "-o", directory.to_str().unwrap()]);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(fs::read_to_string(directory.join("made/x")).unwrap(), "content\n");
    let archive = client.build(&["-q", "-o", "-"]);
    assert!(archive.status.success(), "{}", told(&archive));
    let listed = client.environment.path("made.tar");
    fs::write(&listed, archive.stdout).unwrap();
    let listing = Command::new("tar").arg("-tf").arg(listed).output().unwrap();
    assert!(told(&listing).contains("made/x"), "{}", told(&listing));
    client.end(&[]);
}

/// Docker Engine 28 says the same of all but the last part of the first.
#[test]
fn docker_cli_privileged_20_10_is_told_what_is_wrong() {
    let client = Client::new("FROM scratch\nCOPY nosuch /x\n");
    fs::write(format!("{}/Bad", client.context), "FROM scratch\nNOSUCH x\n").unwrap();
    let bad = format!("{}/Bad", client.context);
    for (options, reason) in [
        (&[][..], "\"/nosuch\": not found"),
        (
            &["-f", &bad],
            "dockerfile parse error on line 2: unknown instruction: NOSUCH",
        ),
        (&["--target", "t"], "target stage \"t\" could not be found"),
        (
            &["--network", "foo"],
            "Error response from daemon: network mode \"foo\" not supported by buildkit",
        ),
        (
            &["-o", "type=docker"],
            "Error response from daemon: exporter \"docker\" could not be found",
        ),
    ] {
        let output = client.build(options);
        assert_eq!(output.status.code(), Some(1), "{options:?}: {}", told(&output));
        assert!(told(&output).contains(reason), "{options:?}: {}", told(&output));
    }
    client.end(&[]);
}

#[test]
fn docker_cli_privileged_20_10_ends_its_build_when_it_is_interrupted() {
    let mark = format!("sleep 1{:05}", std::process::id() % 100_000);
    let client = Client::new(&format!("FROM {STARTER}\nRUN {mark}\n"));
    let mut child = client.docker(&["build", &client.context]);
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the step", || {
        runs(&mark).then_some(()).ok_or_else(|| "it does not run".to_owned())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("its end", || {
        (!runs(&mark)).then_some(()).ok_or_else(|| "it runs on".to_owned())
    });
    client.end(&[]);
}
