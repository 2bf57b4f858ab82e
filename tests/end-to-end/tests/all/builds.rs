// SPDX-License-Identifier: MIT
//! Building images: what a user sees of `hb build`, of the classic route, and of what builds keep.

use std::fs;

use hyperbox_testkit::environment::{STARTER, TestEnvironment};

use crate::build_contexts::{clean_up, lay_out};

/// Writes a context with a Dockerfile; returns its path.
fn context(environment: &TestEnvironment, dockerfile: &str) -> String {
    lay_out(environment, "context", &[("Dockerfile", dockerfile)])
}

#[test]
fn privileged_stages_copies_and_commands_become_an_image() {
    let environment = TestEnvironment::with_starter();
    let dockerfile = format!(
        "FROM {STARTER} AS one\nARG WORD=none\nRUN echo $WORD >/made\nFROM {STARTER}\nCOPY --from=one /made /in/\nENV A=b\nCMD [\"cat\", \"/in/made\"]\n"
    );
    let context = context(&environment, &dockerfile);
    let build = ["build", "-q", "--build-arg", "WORD=hello", "-t", "built:1", &context];
    let id = environment.hb(build).succeeds();
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(environment.hb(["run", "--rm", "built:1"]).succeeds(), "hello");
    // Nothing has changed, so nothing is done.
    let again = environment.hb([
        "build",
        "--progress",
        "plain",
        "--build-arg",
        "WORD=hello",
        "-t",
        "built:1",
        &context,
    ]);
    assert!(again.stderr.contains("CACHED"), "{}", again.stderr);
    assert_eq!(environment.hb(build).succeeds(), id);
    clean_up(environment, &["built:1"]);
}

#[test]
fn privileged_a_command_that_fails_is_shown_with_its_last_lines_and_its_place() {
    let environment = TestEnvironment::with_starter();
    let context = context(&environment, &format!("FROM {STARTER}\nRUN echo why; exit 3\n"));
    let _refused = environment
        .hb(["build", "-t", "never:1", &context])
        .exits_with(1)
        .complains("process \"/bin/sh -c echo why; exit 3\" did not complete successfully: exit code: 3")
        .complains("   2 | >>> RUN echo why; exit 3")
        .complains("why");
    let _none = environment.hb(["image", "inspect", "never:1"]).exits_with(1);
    clean_up(environment, &[]);
}

#[test]
fn privileged_secrets_are_seen_by_one_command_and_by_no_layer() {
    let environment = TestEnvironment::with_starter();
    let dockerfile =
        format!("FROM {STARTER}\nRUN --mount=type=secret,id=key,required=true cat /run/secrets/key | wc -c >/length\n");
    let context = context(&environment, &dockerfile);
    let key = environment.path("key");
    fs::write(&key, "twelve bytes").unwrap();
    let _refused = environment
        .hb(["build", "-t", "secret:1", &context])
        .exits_with(1)
        .complains("secret key: not found");
    let secret = format!("id=key,src={}", key.display());
    environment
        .hb(["build", "-q", "--secret", &secret, "-t", "secret:1", &context])
        .succeeds();
    let look = "cat /length; ls /run/secrets 2>&1";
    let seen = environment.hb(["run", "--rm", "secret:1", "sh", "-c", look]);
    assert!(seen.stdout.starts_with("12\n"), "{}", seen.stdout);
    assert!(!seen.stdout.contains("key"), "{}", seen.stdout);
    clean_up(environment, &["secret:1"]);
}

#[test]
fn privileged_cache_mounts_stay_from_build_to_build() {
    let environment = TestEnvironment::with_starter();
    let dockerfile = format!(
        "FROM {STARTER}\nARG N\nRUN --mount=type=cache,target=/cache echo $N >>/cache/all; cp /cache/all /all\n"
    );
    let context = context(&environment, &dockerfile);
    for number in ["1", "2"] {
        let argument = format!("N={number}");
        environment
            .hb(["build", "-q", "--build-arg", &argument, "-t", "kept:1", &context])
            .succeeds();
    }
    assert_eq!(
        environment.hb(["run", "--rm", "kept:1", "cat", "/all"]).succeeds(),
        "1\n2"
    );
    let kept = environment.hb(["builder", "du"]).succeeds();
    assert!(kept.contains("exec.cachemount"), "{kept}");
    environment.hb(["builder", "prune", "-af"]).succeeds();
    let kept = environment.hb(["builder", "du"]).succeeds();
    assert!(!kept.contains("exec.cachemount"), "{kept}");
    clean_up(environment, &["kept:1"]);
}

#[test]
fn privileged_files_come_out_instead_of_an_image() {
    let environment = TestEnvironment::with_starter();
    let dockerfile =
        format!("FROM {STARTER} AS work\nRUN echo text >/file\nFROM scratch\nCOPY --from=work /file /out/file\n");
    let context = context(&environment, &dockerfile);
    let out = environment.path("out");
    let destination = format!("type=local,dest={}", out.display());
    environment.hb(["build", "-o", &destination, &context]).succeeds();
    assert_eq!(fs::read_to_string(out.join("out/file")).unwrap(), "text\n");
    clean_up(environment, &[]);
}

#[test]
fn privileged_contexts_come_from_standard_input() {
    let environment = TestEnvironment::with_starter();
    let text = format!("FROM {STARTER}\nRUN echo stdin >/file\n");
    let built = environment.hb_with_input(["build", "-q", "-t", "stdin:1", "-"], text.as_bytes());
    assert!(built.succeeds().starts_with("sha256:"));
    assert_eq!(
        environment.hb(["run", "--rm", "stdin:1", "cat", "/file"]).succeeds(),
        "stdin"
    );
    clean_up(environment, &["stdin:1"]);
}
