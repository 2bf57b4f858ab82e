// SPDX-License-Identifier: MIT
//! Images that try to reach out of their root while they are being mounted.

mod support;

use std::os::unix::fs::symlink;

use hyperbox_types::Signal;
use serde_json::json;

use support::outcome::{chain, run_ours, start_ours};
use support::rootfs::Rootfs;
use support::specification::{add_mount, set, shell, with_arguments};

#[test]
fn privileged_links_at_mount_points_stay_inside() {
    let rootfs = Rootfs::new();
    let victim = rootfs.beside("victim");
    std::fs::create_dir(&victim).unwrap();
    let source = rootfs.beside("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("secret"), "from the volume\n").unwrap();
    // An absolute link to a directory of the host, a climbing one, and one through a parent.
    symlink(&victim, rootfs.lower().join("absolute")).unwrap();
    symlink(
        format!("../../../../../..{}", victim.display()),
        rootfs.lower().join("climbing"),
    )
    .unwrap();
    symlink("/", rootfs.lower().join("parent")).unwrap();
    // Inside the root the links lead to this directory of the image.
    let inside = rootfs.lower().join(victim.strip_prefix("/").unwrap());
    std::fs::create_dir_all(&inside).unwrap();
    let mut specification = shell(&format!(
        "cat {}/secret; grep -c {} /proc/self/mountinfo",
        victim.display(),
        victim.display()
    ));
    for destination in ["/absolute", "/climbing", "/parent/etc/made"] {
        add_mount(
            &mut specification,
            json!({ "destination": destination, "type": "bind", "source": source, "options": ["bind"] }),
        );
    }
    let outcome = run_ours(&specification, rootfs.overlay(), "");
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (0, "from the volume\n2\n"),
        "{}",
        outcome.stderr
    );
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0);
    assert!(!support::rootfs::is_mounted_below(rootfs.directory.path()));
    assert!(rootfs.upper().join("etc/made").is_dir());
}

#[test]
fn privileged_dangling_links_lead_inside() {
    let rootfs = Rootfs::new();
    let victim = rootfs.beside("not-there");
    symlink(&victim, rootfs.lower().join("dangling")).unwrap();
    symlink("nofile", rootfs.lower().join("dangling-file")).unwrap();
    let source = rootfs.beside("source");
    std::fs::write(&source, "from a file\n").unwrap();
    let mut specification = shell(&format!(
        "grep -c ' {} tmpfs ' /proc/mounts; cat /nofile; stat -c %F /dangling /dangling-file",
        victim.display()
    ));
    for mount in [
        json!({ "destination": "/dangling", "type": "tmpfs", "source": "tmpfs" }),
        json!({ "destination": "/dangling-file", "type": "bind", "source": source, "options": ["bind"] }),
    ] {
        add_mount(&mut specification, mount);
    }
    // As with Docker: the link stays, and where it leads to inside the root is made and mounted on.
    let outcome = run_ours(&specification, rootfs.overlay(), "");
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (0, "1\nfrom a file\nsymbolic link\nsymbolic link\n"),
        "{}",
        outcome.stderr
    );
    assert!(rootfs.upper().join(victim.strip_prefix("/").unwrap()).is_dir());
    assert!(!victim.exists());
}

#[test]
fn privileged_proc_is_not_mounted_through_a_link() {
    let rootfs = Rootfs::new();
    std::fs::remove_dir(rootfs.lower().join("proc")).unwrap();
    symlink("/tmp", rootfs.lower().join("proc")).unwrap();
    let error = start_ours(&shell("true"), rootfs.overlay(), "")
        .err()
        .map(|error| chain(&error));
    assert!(error.unwrap().starts_with("cannot mount \"proc\" at \"/proc\": "));
}

#[test]
fn privileged_a_false_null_device_masks_nothing_open() {
    // The image's own /dev/null is a link to what shall be hidden (CVE-2025-31133).
    let rootfs = Rootfs::new();
    symlink("/etc/passwd", rootfs.lower().join("dev/null")).unwrap();
    let mut specification = shell("cat /etc/hidden | wc -c");
    rootfs.write("etc/hidden", "secret", 0o644);
    set(
        &mut specification,
        "/linux/maskedPaths",
        json!(["/etc/hidden", "/no/such/path", "/etc/passwd/below"]),
    );
    let outcome = run_ours(&specification, rootfs.overlay(), "");
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (0, "0\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn privileged_no_descriptor_of_the_host_is_left_open() {
    let rootfs = Rootfs::new();
    let running = start_ours(&with_arguments(&["sleep", "1000"]), rootfs.overlay(), "").expect("it starts");
    let mut open: Vec<_> = std::fs::read_dir(format!("/proc/{}/fd", running.container.pid()))
        .expect("the process runs")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2"]);
    running.container.signal(Signal::KILL).expect("it runs");
    assert_eq!(running.finish().code, 137);
    // A working directory that would be a descriptor of the host before they are closed (CVE-2024-21626).
    for number in [7, 8, 9, 10] {
        let mut specification = shell("pwd -P");
        set(
            &mut specification,
            "/process/cwd",
            json!(format!("/proc/self/fd/{number}")),
        );
        let error = start_ours(&specification, rootfs.overlay(), "")
            .err()
            .map(|error| chain(&error));
        // Closed by then, or the channel to the parent, which is no directory.
        let start = format!("cannot change to the working directory \"/proc/self/fd/{number}\": No");
        assert!(
            error.as_ref().is_some_and(|error| error.starts_with(&start)),
            "{error:?}"
        );
    }
}
