// SPDX-License-Identifier: MIT
//! Named and anonymous volumes.

use hyperbox_testkit::environment::{DaemonOptions, STARTER, TestEnvironment};
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

#[test]
fn privileged_memory_is_shared_by_those_who_use_it_at_the_same_time() {
    let mut environment = TestEnvironment::with_starter();
    let options = [
        ("Name", "\"memory\""),
        ("DriverOpts", r#"{"type": "tmpfs", "device": "m", "o": "size=1m"}"#),
    ];
    let body: Vec<String> = options
        .iter()
        .map(|(key, value)| format!("\"{key}\": {value}"))
        .collect();
    let body = format!("{{{}}}", body.join(", "));
    let (code, text) = environment.api("POST", "/volumes/create", &body).unwrap();
    assert_eq!(code, 201, "{text}");
    let first = environment.detached(
        &["-v", "memory:/one"],
        &["sh", "-c", "echo first > /one/seen; exec sleep 600"],
    );
    hyperbox_testkit::wait_for("the first one to write", || {
        let read = environment.hb(["exec", &first, "cat", "/one/seen"]);
        if read.stdout == "first\n" {
            Ok(())
        } else {
            Err(read.stderr)
        }
    });
    let mounted = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(
        !mounted.contains(&environment.root().display().to_string()),
        "{mounted}"
    );
    assert_eq!(environment.run(&["-v", "memory:/two"], &["cat", "/two/seen"]), "first");
    // A daemon that was not there when it was mounted finds it all the same.
    environment.kill_daemon();
    environment.start_daemon(&DaemonOptions::default());
    assert_eq!(environment.run(&["-v", "memory:/two"], &["cat", "/two/seen"]), "first");
    let read_only = environment.hb(["run", "--rm", "-v", "memory:/two:ro", STARTER, "touch", "/two/x"]);
    let _refused = read_only.exits_with(1).complains("Read-only file system");
    environment.hb(["rm", "-f", &first]).succeeds();
    assert_eq!(environment.run(&["-v", "memory:/two"], &["ls", "/two"]), "");
    environment.hb(["volume", "rm", "memory"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_a_volume_is_a_directory_of_the_host() {
    let environment = TestEnvironment::with_starter();
    let directory = environment.path("shown");
    std::fs::create_dir(&directory).unwrap();
    let create = |name: &str, device: &str| {
        let body =
            format!(r#"{{"Name": "{name}", "DriverOpts": {{"type": "none", "device": "{device}", "o": "bind"}}}}"#);
        assert_eq!(environment.api("POST", "/volumes/create", &body).unwrap().0, 201);
    };
    create("shown", &directory.display().to_string());
    environment.run(&["-v", "shown:/data"], &["touch", "/data/made"]);
    assert!(directory.join("made").exists());
    create("missing", "/no/such/place");
    let refused = environment.hb(["run", "--rm", "-v", "missing:/data", STARTER, "true"]);
    // Docker's client tells 127 by the words "no such file or directory", whatever was not there.
    let _refused = refused
        .exits_with(127)
        .complains("failed to mount local volume: mount /no/such/place:");
    for name in ["shown", "missing"] {
        environment.hb(["volume", "rm", name]).succeeds();
    }
    assert!(directory.join("made").exists(), "what the volume showed is not its own");
    environment.finish();
}

#[test]
fn privileged_memory_of_another_container() {
    let environment = TestEnvironment::with_starter();
    let donor = environment.detached(
        &["--ipc", "shareable"],
        &["sh", "-c", "echo shared > /dev/shm/seen; exec sleep 600"],
    );
    hyperbox_testkit::wait_for("the donor to write", || {
        let read = environment.hb(["exec", &donor, "cat", "/dev/shm/seen"]);
        if read.stdout == "shared\n" {
            Ok(())
        } else {
            Err(read.stderr)
        }
    });
    let joined = format!("container:{donor}");
    assert_eq!(
        environment.run(&["--ipc", &joined], &["cat", "/dev/shm/seen"]),
        "shared"
    );
    environment.hb(["rm", "-f", &donor]).succeeds();
    environment.finish();
}
