// SPDX-License-Identifier: MIT
//! Bind mounts, tmpfs, read-only root.

use std::fs;

use hyperbox_testkit::environment::{STARTER, TestEnvironment};

#[test]
fn privileged_bind_mounts_read_and_write() {
    let environment = TestEnvironment::with_starter();
    let host = environment.path("shared");
    fs::create_dir(&host).unwrap();
    fs::write(host.join("from-host"), "hello").unwrap();
    let bind = format!("{}:/shared", host.display());
    let text = environment.shell(
        &["-v", &bind],
        "cat /shared/from-host; echo back >/shared/from-container",
    );
    assert_eq!(text, "hello");
    assert_eq!(fs::read_to_string(host.join("from-container")).unwrap(), "back\n");
    let read_only = environment.shell(&["-v", &format!("{bind}:ro")], "touch /shared/x 2>&1 || true");
    assert!(read_only.contains("Read-only"), "{read_only}");
    let mount = format!("type=bind,source={},target=/m,readonly", host.display());
    assert_eq!(environment.shell(&["--mount", &mount], "cat /m/from-host"), "hello");
    let missing = format!("type=bind,source={}/nosuch,target=/m", host.display());
    let _named = environment
        .hb(["run", "--rm", "--mount", &missing, STARTER, "true"])
        .exits_with(125)
        .complains("nosuch");
    // -v makes a missing source, --mount refuses it: Docker's rule.
    environment.shell(&["-v", &format!("{}/made:/m", host.display())], "test -d /m");
    assert!(host.join("made").is_dir());
    let file = format!("{}/from-host:/etc/single", host.display());
    assert_eq!(environment.shell(&["-v", &file], "cat /etc/single"), "hello");
    environment.finish();
}

#[test]
fn privileged_temporary_filesystems() {
    let environment = TestEnvironment::with_starter();
    let script = "grep ' /scratch ' /proc/mounts; df -k /scratch | tail -1";
    let text = environment.shell(&["--tmpfs", "/scratch:size=4m,mode=0700"], script);
    assert!(
        text.contains("tmpfs") && text.contains("mode=700") && text.contains("4096"),
        "{text}"
    );
    let text = environment.shell(&["--mount", "type=tmpfs,target=/scratch,tmpfs-size=2m"], script);
    assert!(text.contains("2048"), "{text}");
    environment.finish();
}

#[test]
fn privileged_a_read_only_root_takes_no_writes() {
    let environment = TestEnvironment::with_starter();
    let text = environment.shell(
        &["--read-only", "--tmpfs", "/tmp"],
        "touch /x 2>&1 || true; touch /tmp/y && echo ok; touch /etc/hosts 2>&1 || true",
    );
    assert!(text.contains("Read-only file system") && text.contains("ok"), "{text}");
    environment.finish();
}

#[test]
fn privileged_propagation_reaches_a_running_container() {
    let environment = TestEnvironment::with_starter();
    // A shared mount of its own, so that nothing of the machine changes its propagation.
    let shared = environment.path("propagation");
    fs::create_dir(&shared).unwrap();
    let mount = |words: &[&str]| {
        let mut command = environment.command("mount".as_ref());
        let output = hyperbox_testkit::environment::Output::of(command.args(words).arg(&shared));
        output.succeeds()
    };
    mount(&["-t", "tmpfs", "tmpfs"]);
    mount(&["--make-shared"]);
    let bind = format!("{}:/shared:rslave", shared.display());
    let id = environment.detached(&["-v", &bind], &["sleep", "600"]);
    fs::create_dir(shared.join("later")).unwrap();
    let mut later = environment.command("mount".as_ref());
    hyperbox_testkit::environment::Output::of(later.args(["-t", "tmpfs", "tmpfs"]).arg(shared.join("later")))
        .succeeds();
    let seen = environment
        .hb(["exec", &id, "grep", "-c", " /shared/later ", "/proc/mounts"])
        .succeeds();
    assert_eq!(seen, "1");
    environment.hb(["rm", "-f", &id]).succeeds();
    let mut unmount = environment.command("umount".as_ref());
    hyperbox_testkit::environment::Output::of(unmount.arg("--recursive").arg(&shared)).succeeds();
    environment.finish();
}
