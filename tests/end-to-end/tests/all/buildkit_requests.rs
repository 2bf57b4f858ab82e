// SPDX-License-Identifier: MIT
//! What clients ask besides builds: outlines, targets, checks, the history, images in registries, platforms that are not here. The
//! texts are those of Docker Engine 28.5.

use hyperbox_testkit::environment::{DaemonOptions, STARTER};
use hyperbox_testkit::registry::RegistryAccess;

use crate::buildkit_clients::Client;

const FILE: &str = "\
# VARIANT names which
ARG VARIANT=latest
ARG UNUSED
# base has the base
FROM starter:${VARIANT} AS base
# INNER is inside
ARG INNER=\"x y\"
RUN --mount=type=secret,id=tok,required --mount=type=ssh echo $INNER
FROM base
ARG SEEN=$PATH
";

#[test]
fn docker_cli_privileged_dockerfiles_are_described() {
    let client = Client::new();
    let context = client.lay_out("c", &[("Dockerfile", FILE), ("large", &"x".repeat(100_000))]);
    let call = |call: &str, options: &[&str]| {
        let words = [&["buildx", "build", "--call", call][..], options, &[&context]].concat();
        client.docker(&words)
    };
    let outlined = call("outline", &[]).succeeds();
    let expected = "BUILD ARG   VALUE                                                          DESCRIPTION\n\
        VARIANT     latest                                                         names which\n\
        INNER       x y                                                            is inside\n\
        SEEN        /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin   \n\n\
        SECRET   REQUIRED\ntok      true\n\nSSH       REQUIRED\ndefault";
    assert_eq!(outlined.trim(), expected);
    let options = ["--target", "base", "--build-arg", "INNER=zz"];
    let outlined = call("outline,format=json", &options).json();
    assert_eq!(
        (&outlined["name"], &outlined["description"]),
        (&"base".into(), &"has the base".into())
    );
    assert_eq!(outlined["args"][1]["value"], "zz");
    assert_eq!(outlined["args"][1]["location"]["ranges"][0]["start"]["line"], 7);
    let listed = call("targets", &[]).succeeds();
    assert_eq!(
        listed.trim(),
        "TARGET    DESCRIPTION\nbase      has the base\n(default)"
    );
    let described = call("subrequests.describe", &[]).succeeds();
    assert!(
        described.contains("outline ") && described.contains("targets "),
        "{described}"
    );
    let checked = call("check", &[]);
    assert!(!checked.stderr.contains("load build context"), "{}", checked.stderr);
    assert_eq!(checked.succeeds().trim(), "Check complete, no warnings found.");
    let _unknown = call("nosuch", &[])
        .exits_with(1)
        .complains("unsupported request frontend.nosuch");
    let _unknown = call("outline", &["--target", "nosuch"])
        .exits_with(1)
        .complains("target stage \"nosuch\" could not be found");
    client.end(&[]);
}

/// Lists builds, the last one first.
fn list(client: &Client, options: &[&str]) -> Vec<String> {
    let words = [&["buildx", "history", "ls", "--format", "{{.Ref}}"][..], options].concat();
    let references = client.docker(&words).succeeds();
    let last = |reference: &str| reference.rsplit('/').next().unwrap().to_owned();
    references.lines().map(last).collect()
}

/// Asks for everything about a build that failed and one before it.
fn are_told(client: &Client, all: &[String]) {
    let logs = client.docker(&["buildx", "history", "logs", &all[1]]);
    let text = format!("{}{}", logs.stdout, logs.stderr);
    logs.succeeds();
    for part in ["[2/2] RUN echo said in a step", "said in a step", "DONE"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let words = ["buildx", "history", "inspect", "--format", "json"];
    let inspected = client.docker(&[&words[..], &[&all[1]]].concat()).json();
    assert_eq!(
        (&inspected["Status"], &inspected["Dockerfile"]),
        (&"completed".into(), &"Dockerfile".into())
    );
    assert!(inspected["NumTotalSteps"].as_u64() >= Some(3), "{inspected}");
    let inspected = client.docker(&["buildx", "history", "inspect", &all[0]]).succeeds();
    assert!(inspected.contains("exit code: 3"), "{inspected}");
    let export = client.environment.path("record.dockerbuild");
    let export = export.to_str().unwrap();
    client
        .docker(&["buildx", "history", "export", "-o", export, &all[1]])
        .succeeds();
    // The export has what was said; how it is packed is the client's business.
    let mut plain = String::new();
    let unpacked =
        hyperbox_testkit::environment::Output::of(client.environment.command("tar".as_ref()).args(["-xzOf", export]));
    plain.push_str(&unpacked.succeeds());
    assert!(plain.contains("said in a step"), "{plain}");
}

#[test]
fn docker_cli_privileged_builds_are_remembered() {
    let mut client = Client::new();
    let context = client.lay_out(
        "c",
        &[
            ("Dockerfile", &format!("FROM {STARTER}\nRUN echo said in a step\n")),
            ("fails", &format!("FROM {STARTER}\nRUN echo before; exit 3\n")),
        ],
    );
    client.build(&["--output", "type=cacheonly", &context]).succeeds();
    let failing = format!("{context}/fails");
    let _failed = client.build(&["-f", &failing, &context]).exits_with(1);
    let all = list(&client, &[]);
    assert_eq!(all.len(), 2);
    assert_eq!(list(&client, &["--filter", "status=error"]), all[..1]);
    assert_eq!(list(&client, &["--filter", "status=completed"]), all[1..]);
    are_told(&client, &all);
    // The next daemon knows as much.
    client.environment.stop_daemon();
    client.environment.start_daemon(&DaemonOptions::default());
    assert_eq!(list(&client, &[]), all);
    are_told(&client, &all);
    client.environment.kill_daemon();
    client.environment.start_daemon(&DaemonOptions::default());
    client.docker(&["buildx", "history", "rm", &all[0]]).succeeds();
    assert_eq!(list(&client, &[]), all[1..]);
    let _missing = client
        .docker(&["buildx", "history", "rm", "nosuch"])
        .exits_with(1)
        .complains("lease \"ref_nosuch\": not found");
    client.end(&[]);
}

#[test]
fn docker_cli_privileged_what_is_not_here_is_said() {
    let client = Client::new();
    let registry = client.environment.registry(RegistryAccess::Anyone);
    let (name, missing) = (registry.image("pushed:1"), registry.image("nosuch:7"));
    let context = client.lay_out(
        "c",
        &[
            ("Dockerfile", &format!("FROM {STARTER}\nRUN echo a > /a\n")),
            (
                "missing",
                &format!("FROM {STARTER}\nRUN true\nFROM {missing} AS x\nRUN y\n"),
            ),
            ("foreign", &format!("FROM {name}\nRUN true\n")),
            ("empty", "FROM scratch\nCOPY foreign /\n"),
        ],
    );
    let file = |name: &str| format!("{context}/{name}");
    client
        .build(&[
            "--attest",
            "type=provenance,disabled=true",
            "--push",
            "-t",
            &name,
            &context,
        ])
        .succeeds();
    // The client asks the registry itself, through nobody's network but its own.
    let mut command = client.environment.network().wrapper();
    command.extend(["docker", "buildx", "imagetools", "inspect", &name].map(str::to_owned));
    let mut inspecting = client.environment.command(command[0].as_ref());
    inspecting
        .env("DOCKER_HOST", client.environment.host())
        .args(&command[1..]);
    let shown = hyperbox_testkit::environment::Output::of(&mut inspecting).succeeds();
    assert!(shown.contains(&format!("Name:      {name}")), "{shown}");
    // The place in the file is shown, as for everything that is wrong there.
    let _shown = client
        .build(&["-f", &file("missing"), &context])
        .exits_with(1)
        .complains(&format!("{missing}: failed to resolve source metadata for {missing}"))
        .complains(&format!("   3 | >>> FROM {missing} AS x"));
    let platform = ["--platform", "linux/arm64"];
    // A name that means one image means that for every platform.
    let _warned = client
        .build(&[&platform[..], &["-f", &file("foreign"), &context]].concat())
        .exits_with(0)
        .complains("was pulled with platform \"linux/amd64\", expected \"linux/arm64\" for current build");
    let options = ["-f", &file("empty"), "-t", "foreign:1", &context];
    client.build(&[&platform[..], &options].concat()).succeeds();
    let built = client.docker(&["inspect", "-f", "{{.Architecture}}", "foreign:1"]);
    assert_eq!(built.succeeds(), "arm64");
    let native = ["--platform", "linux/amd64", "--output", "type=cacheonly", &context];
    client.build(&native).succeeds();
    client.end(&[&name, "foreign:1"]);
}
