// SPDX-License-Identifier: MIT
//! Images made of containers and of root filesystems.

use hyperbox_testkit::environment::{STARTER, TestEnvironment};

#[test]
fn privileged_what_a_container_changed_becomes_an_image() {
    let environment = TestEnvironment::with_starter();
    let script = "mkdir -p /made/below && echo content >/made/below/file && ln -s below /made/link && rm /etc/passwd";
    environment
        .hb(["run", "--name", "subject", STARTER, "sh", "-c", script])
        .succeeds();
    let commit = [
        "commit",
        "-m",
        "why",
        "-a",
        "who",
        "-c",
        "ENV WORD=one",
        "subject",
        "made:1",
    ];
    let id = environment.hb(commit).succeeds();
    assert!(id.starts_with("sha256:"), "{id}");
    let image = environment.hb(["image", "inspect", "made:1"]).json();
    assert_eq!(image[0]["Id"], id);
    assert_eq!(
        (&image[0]["Comment"], &image[0]["Author"]),
        (&"why".into(), &"who".into())
    );
    let look = "cat /made/link/file; echo $WORD; test -e /etc/passwd || echo gone";
    let look = ["run", "--rm", "made:1", "sh", "-c", look];
    assert_eq!(environment.hb(look).succeeds(), "content\none\ngone");

    // It survives the way out and in again.
    let archive = environment.path("made.tar");
    let archive = archive.to_str().unwrap();
    environment.hb(["save", "-o", archive, "made:1"]).succeeds();
    environment.hb(["rmi", "made:1"]).succeeds();
    environment.hb(["load", "-q", "-i", archive]).succeeds();
    assert_eq!(environment.hb(look).succeeds(), "content\none\ngone");
    environment.hb(["rmi", "made:1"]).succeeds();
    environment.hb(["rm", "subject"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_an_exported_container_is_imported() {
    let environment = TestEnvironment::with_starter();
    environment
        .hb(["run", "--name", "subject", STARTER, "sh", "-c", "echo content >/made"])
        .succeeds();
    let archive = environment.path("subject.tar");
    let archive = archive.to_str().unwrap();
    environment.hb(["export", "-o", archive, "subject"]).succeeds();
    environment
        .hb(["import", "-c", "CMD [\"cat\", \"/made\"]", archive, "imported:1"])
        .succeeds();
    assert_eq!(environment.hb(["run", "--rm", "imported:1"]).succeeds(), "content");
    let _refused = environment
        .hb(["commit", "-c", "RUN x", "subject"])
        .exits_with(1)
        .complains("RUN is not a valid change command");
    environment.hb(["rmi", "imported:1"]).succeeds();
    environment.hb(["rm", "subject"]).succeeds();
    environment.finish();
}
