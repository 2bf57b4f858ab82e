// SPDX-License-Identifier: MIT
//! What is said when a container cannot start, and that nothing of the attempt is left.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use hyperbox_types::shim::CommandFault;
use serde_json::{Value, json};

use support::outcome::{chain, request, start_request};
use support::rootfs::Rootfs;
use support::specification::{add_mount, set, shell, with_arguments};
use support::unique;

/// Starts something that fails; returns the fault and the text, after checking that nothing is left.
fn failure(rootfs: &Rootfs, specification: &Value, user: &str) -> (Option<CommandFault>, String) {
    let cgroup = unique("hyperbox-test-error");
    let mut specification = specification.clone();
    set(&mut specification, "/linux/cgroupsPath", json!(format!("/{cgroup}")));
    let children = children();
    let result = start_request(|stdio| request(&specification, rootfs.overlay(), user, stdio));
    let Err(error) = result else {
        panic!("it started: {specification:#}");
    };
    support::outcome::assert_no_cgroup(&cgroup);
    assert!(!support::rootfs::is_mounted_below(rootfs.directory.path()));
    assert_eq!(self::children(), children, "a process is left");
    (error.command_fault(), chain(&error))
}

/// Children of this thread: each test has a thread of its own.
fn children() -> String {
    std::fs::read_to_string("/proc/thread-self/children").unwrap()
}

#[test]
fn privileged_commands_that_cannot_run() {
    let rootfs = Rootfs::new();
    rootfs.write("bin/noexec", "x", 0o644);
    rootfs.write("bin/script", "#!/no/interpreter\n", 0o755);
    rootfs.write("bin/garbage", "\u{1}garbage", 0o755);
    let (missing, refused) = (Some(CommandFault::NotFound), Some(CommandFault::NotExecutable));
    for (command, fault, text) in [
        (
            "nosuch",
            missing,
            "exec: \"nosuch\": executable file not found in $PATH",
        ),
        ("/x", missing, "exec: \"/x\": stat /x: no such file or directory"),
        ("/etc", refused, "exec: \"/etc\": is a directory: permission denied"),
        ("/bin/noexec", refused, "exec: \"/bin/noexec\": permission denied"),
        (
            "noexec",
            missing,
            "exec: \"noexec\": executable file not found in $PATH",
        ),
        ("/bin/script", missing, "exec /bin/script: no such file or directory"),
        ("script", missing, "exec script: no such file or directory"),
        ("/bin/garbage", refused, "exec /bin/garbage: exec format error"),
        ("", missing, "exec: \"\": executable file not found in $PATH"),
    ] {
        assert_eq!(
            failure(&rootfs, &with_arguments(&[command]), ""),
            (fault, text.to_owned()),
            "{command}"
        );
    }
}

#[test]
fn privileged_errors_name_the_object() {
    let rootfs = Rootfs::new();
    rootfs.write("etc/plain", "x", 0o644);
    let changed = |pointer: &str, value: Value| {
        let mut specification = shell("true");
        set(&mut specification, pointer, value);
        specification
    };
    let mounting = |mount: Value| {
        let mut specification = shell("true");
        add_mount(&mut specification, mount);
        specification
    };
    for (specification, text) in [
        (
            mounting(json!({ "destination": "/x", "type": "nosuchfs", "source": "none" })),
            "cannot mount \"none\" at \"/x\": No such device (os error 19)",
        ),
        (
            mounting(json!({ "destination": "/x", "type": "bind", "source": "/no/such/source", "options": ["rbind"] })),
            "cannot mount \"/no/such/source\" at \"/x\": No such file or directory (os error 2)",
        ),
        (
            mounting(json!({ "destination": "/etc/plain", "type": "bind", "source": "/proc", "options": ["bind"] })),
            "cannot mount \"/proc\" at \"/etc/plain\": Not a directory (os error 20)",
        ),
        (
            changed("/process/cwd", json!("/etc/plain")),
            "cannot change to the working directory \"/etc/plain\": Not a directory (os error 20)",
        ),
        (
            changed("/linux/sysctl", json!({ "net.no.such": "1" })),
            "cannot set sysctl \"net.no.such\": No such file or directory (os error 2)",
        ),
        (
            changed(
                "/linux/namespaces",
                json!([{ "type": "mount" }, { "type": "uts" }, { "type": "ipc", "path": "/no/ns" }]),
            ),
            "cannot open the namespace /no/ns: No such file or directory (os error 2)",
        ),
        (
            changed("/linux/namespaces", json!([{ "type": "mount" }])),
            "invalid runtime configuration: unable to set hostname without a private UTS namespace",
        ),
        (
            changed("/linux/resources", json!({ "cpu": { "cpus": "4000" } })),
            "cannot set cpuset.cpus to \"4000\": ",
        ),
    ] {
        let (fault, got) = failure(&rootfs, &specification, "");
        assert!(got.starts_with(text), "{got}\nexpected {text}");
        assert_eq!(fault, None);
    }
}

#[test]
fn privileged_unknown_users_and_groups() {
    let rootfs = Rootfs::new();
    for (user, text) in [
        (
            "nobody",
            "unable to find user nobody: no matching entries in passwd file",
        ),
        (
            "web:nobody",
            "unable to find group nobody: no matching entries in group file",
        ),
    ] {
        assert_eq!(failure(&rootfs, &shell("true"), user).1, text);
    }
    // A link that leads out of the image is followed inside it, where there is no such file.
    std::fs::remove_file(rootfs.lower().join("etc/passwd")).unwrap();
    std::os::unix::fs::symlink("/../../../../../../etc/passwd", rootfs.lower().join("etc/passwd")).unwrap();
    let (_, text) = failure(&rootfs, &shell("true"), "daemon");
    assert!(text.starts_with("unable to find user daemon"), "{text}");
}

#[test]
fn privileged_overlays_that_cannot_be_mounted() {
    let rootfs = Rootfs::new();
    let (stdio, _stdout, _stderr) = support::outcome::pipes();
    let missing = hyperbox_types::RootMount::Overlay {
        lower: vec![rootfs.lower(), "/no/such/layer".into()],
        writable: None,
    };
    let error = hyperbox_runtime::start(request(&shell("true"), missing, "", stdio)).unwrap_err();
    assert_eq!(
        chain(&error),
        "cannot mount the overlay root filesystem: No such file or directory (os error 2)"
    );
}
