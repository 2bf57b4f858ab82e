// SPDX-License-Identifier: MIT
//! A full disk: a small tmpfs is the daemon's root.

use hyperbox_testkit::environment::{Output, STARTER, TestEnvironment};
use hyperbox_testkit::images::{Content, Layer, starter};

/// An environment whose root directory holds so many bytes.
fn small(size: &str) -> TestEnvironment {
    let mut environment = TestEnvironment::new();
    std::fs::create_dir(environment.root()).unwrap();
    let mut mount = environment.command("mount".as_ref());
    let option = format!("size={size},mode=0700");
    Output::of(
        mount
            .args(["-t", "tmpfs", "-o", &option, "hyperbox-test"])
            .arg(environment.root()),
    )
    .succeeds();
    environment.start_daemon(&Default::default());
    environment
}

fn end(mut environment: TestEnvironment) {
    environment.remove_containers();
    assert!(environment.stop_daemon().success());
    let root = environment.root();
    hyperbox_testkit::wait_for("the root to be unused", || {
        let output = Output::of(environment.command("umount".as_ref()).arg(&root));
        if output.code == 0 || output.stderr.contains("not mounted") {
            Ok(())
        } else {
            Err(output.to_string())
        }
    });
    environment.is_clean();
}

#[test]
fn privileged_a_pull_into_a_full_disk_says_so_and_leaves_nothing() {
    let environment = small("24m");
    environment.load_starter();
    let mut big = starter();
    big.layers.push(Layer::new().content(
        "big",
        0o644,
        Content::Generated {
            seed: 1,
            length: 60_000_000,
        },
    ));
    let registry = environment.registry(hyperbox_testkit::registry::RegistryAccess::Anyone);
    let layout = environment.layout(&big, Default::default());
    let name = registry.add("big:1", &layout);
    let output = environment.hb(["pull", &name]).exits_with(1).complains("big");
    assert!(output.stderr.to_lowercase().contains("no space left"), "{output}");
    // What was fetched is given back; containers still run.
    assert_eq!(environment.run(&[], &["echo", "alive"]), "alive");
    assert_eq!(environment.hb(["images", "-q"]).succeeds().lines().count(), 1);
    end(environment);
}

#[test]
fn privileged_a_container_that_fills_the_disk_can_be_removed() {
    let environment = small("24m");
    environment.load_starter();
    let script = "dd if=/dev/zero of=/big bs=1M; exec sleep 600";
    environment.detached(&["--name", "filler"], &["sh", "-c", script]);
    hyperbox_testkit::wait_for("a full disk", || {
        // The log is on the full disk, too.
        let top = environment.hb(["top", "filler"]);
        if top.stdout.contains("sleep 600") && !top.stdout.contains("dd if") {
            Ok(())
        } else {
            Err(top.to_string())
        }
    });
    let output = environment.hb(["run", "--rm", STARTER, "true"]);
    assert!(
        output.code == 0 || output.stderr.contains("disk is full") || output.stderr.contains("No space left"),
        "{output}"
    );
    assert!(!output.stderr.contains("panicked"), "{output}");
    environment.hb(["rm", "-f", "filler"]).succeeds();
    hyperbox_testkit::wait_for("space", || {
        let output = environment.hb(["run", "--rm", STARTER, "echo", "room"]);
        if output.stdout == "room\n" {
            Ok(())
        } else {
            Err(output.to_string())
        }
    });
    end(environment);
}
