// SPDX-License-Identifier: MIT
//! Named and anonymous volumes.

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::images::showcase;

#[test]
fn privileged_named_volumes_outlive_containers() {
    let environment = TestEnvironment::with_starter();
    assert_eq!(environment.hb(["volume", "create", "kept"]).succeeds(), "kept");
    environment.shell(&["-v", "kept:/data"], "echo content >/data/file");
    assert_eq!(environment.shell(&["-v", "kept:/data"], "cat /data/file"), "content");
    let list = environment.hb(["volume", "ls"]).succeeds();
    assert!(list.contains("DRIVER") && list.contains("kept"), "{list}");
    let volume = environment.hb(["volume", "inspect", "kept"]).json();
    assert_eq!(volume[0]["Name"], "kept");
    let mountpoint = volume[0]["Mountpoint"].as_str().unwrap();
    assert_eq!(
        std::fs::read_to_string(format!("{mountpoint}/file")).unwrap(),
        "content\n"
    );

    environment.detached(&["-v", "kept:/data", "--name", "user"], &["sleep", "600"]);
    let _used = environment
        .hb(["volume", "rm", "kept"])
        .exits_with(1)
        .complains("in use")
        .complains("kept");
    environment.hb(["rm", "-f", "-v", "user"]).succeeds();
    assert_eq!(
        environment.hb(["volume", "ls", "-q"]).succeeds(),
        "kept",
        "rm -v leaves named volumes"
    );
    environment.hb(["volume", "rm", "kept"]).succeeds();
    assert!(!std::path::Path::new(mountpoint).exists());
    environment.finish();
}

#[test]
fn privileged_a_new_volume_gets_the_images_content() {
    let environment = TestEnvironment::start();
    environment.load(&showcase(), "showcase:1");
    let script = "cat /show/volume/seed; stat -c '%u:%g %a' /show/volume/seed /show/volume";
    let words = |volume: &str| {
        let option = format!("{volume}:/show/volume");
        environment
            .hb(["run", "--rm", "-v", &option, "showcase:1", "sh", "-c", script])
            .succeeds()
    };
    assert_eq!(words("fresh"), "seed1000:100 644\n0:0 750");
    // What is in the volume stays.
    environment
        .hb([
            "run",
            "--rm",
            "-v",
            "fresh:/x",
            "showcase:1",
            "sh",
            "-c",
            "echo changed >/x/seed",
        ])
        .succeeds();
    assert!(words("fresh").starts_with("changed\n"));
    environment.finish();
}

#[test]
fn privileged_anonymous_volumes_go_with_the_container() {
    let environment = TestEnvironment::start();
    environment.load(&showcase(), "showcase:1");
    let count = || environment.hb(["volume", "ls", "-q"]).succeeds().lines().count();
    environment.hb(["run", "--rm", "showcase:1", "true"]).succeeds();
    assert_eq!(count(), 0, "--rm removes them");
    let id = environment.hb(["run", "-d", "showcase:1", "sleep", "600"]).succeeds();
    assert_eq!(count(), 1);
    environment.hb(["rm", "-f", &id]).succeeds();
    assert_eq!(count(), 1, "rm alone keeps them");
    environment.hb(["volume", "prune", "-f"]).succeeds();
    assert_eq!(count(), 0);
    environment.finish();
}

#[test]
fn privileged_prune_spares_what_is_used() {
    let environment = TestEnvironment::with_starter();
    environment.detached(&["-v", "used:/data"], &["sleep", "600"]);
    environment.hb(["volume", "create", "unused"]).succeeds();
    let output = environment.hb(["volume", "prune", "--all", "--force"]).succeeds();
    assert!(
        output.contains("unused") && output.contains("Total reclaimed space"),
        "{output}"
    );
    assert_eq!(environment.hb(["volume", "ls", "-q"]).succeeds(), "used");
    let _invalid = environment
        .hb(["volume", "create", "not/valid"])
        .exits_with(1)
        .complains("not/valid");
    let _again = environment
        .hb(["run", "--rm", "-v", "used:/data", STARTER, "true"])
        .exits_with(0);
    environment.finish();
}
