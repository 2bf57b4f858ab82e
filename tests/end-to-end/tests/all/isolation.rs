// SPDX-License-Identifier: MIT
//! What a container can and cannot do.

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::images::{Layer, starter};

const CAPABILITIES: &str = "grep -E 'Cap(Eff|Bnd)|NoNewPrivs|Seccomp:' /proc/self/status";

/// Returns the bits of a line of `/proc/self/status`.
fn bits(status: &str, name: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
}

#[test]
fn privileged_capabilities_are_dockers() {
    let environment = TestEnvironment::with_starter();
    let text = environment.shell(&[], CAPABILITIES);
    // The fourteen of Docker's default set.
    assert_eq!(bits(&text, "CapEff") & !0xa804_25fb, 0, "{text}");
    assert!(text.contains("Seccomp:\t2"), "{text}");
    assert_eq!(
        bits(&environment.shell(&["--cap-drop", "ALL"], CAPABILITIES), "CapBnd"),
        0
    );
    let one = environment.shell(&["--cap-drop", "ALL", "--cap-add", "NET_ADMIN"], CAPABILITIES);
    assert_eq!(bits(&one, "CapEff"), 1 << 12);
    let user = environment.shell(&["--user", "alice"], CAPABILITIES);
    assert_eq!(bits(&user, "CapEff"), 0, "capabilities are root's");
    let locked = environment.shell(&["--security-opt", "no-new-privileges"], CAPABILITIES);
    assert!(locked.contains("NoNewPrivs:\t1"), "{locked}");
    environment.finish();
}

#[test]
fn privileged_a_privileged_container_has_it_all() {
    let environment = TestEnvironment::with_starter();
    let text = environment.shell(&["--privileged"], CAPABILITIES);
    assert!(bits(&text, "CapEff") & (1 << 21) != 0, "CAP_SYS_ADMIN in {text}");
    assert!(text.contains("Seccomp:\t0"), "{text}");
    environment.shell(&["--privileged"], "mount -t tmpfs none /mnt 2>/dev/null || { mkdir /mnt; mount -t tmpfs none /mnt; }; ls /dev/vda /dev/null | grep -q null");
    environment.finish();
}

#[test]
fn privileged_system_calls_are_filtered() {
    let environment = TestEnvironment::with_starter();
    // Docker's profile forbids mount and unshare of namespaces without CAP_SYS_ADMIN.
    let refused = "if unshare -U true 2>/tmp/e; then echo allowed; else echo refused; fi";
    assert_eq!(environment.shell(&[], refused), "refused");
    let unconfined = environment.shell(&["--security-opt", "seccomp=unconfined"], CAPABILITIES);
    assert!(unconfined.contains("Seccomp:\t0"), "{unconfined}");
    let profile = environment.path("profile.json");
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}"#;
    std::fs::write(&profile, text).unwrap();
    let option = format!("seccomp={}", profile.display());
    let own = environment.shell(&["--security-opt", &option], "mkdir /tmp/x 2>&1 || true");
    assert!(own.contains("Operation not permitted"), "{own}");
    environment.finish();
}

#[test]
fn privileged_dangerous_paths_are_masked() {
    let environment = TestEnvironment::with_starter();
    let hidden = "for file in kcore keys timer_list sched_debug; do [ ! -e /proc/$file ] || wc -c </proc/$file; done; \
                  ls /proc/acpi /sys/firmware 2>/dev/null | grep -v : | wc -w";
    let text = environment.shell(&[], hidden);
    assert!(text.lines().all(|line| line == "0"), "{text}");
    let writes = "(echo x >/proc/sys/kernel/hostname) 2>&1 | tail -1; touch /sys/x 2>&1 || true";
    let text = environment.shell(&[], writes);
    assert_eq!(text.matches("Read-only file system").count(), 2, "{text}");
    environment.finish();
}

#[test]
fn privileged_namespaces_are_private_unless_shared() {
    let environment = TestEnvironment::with_starter();
    let own = |kind: &str| {
        std::fs::read_link(format!("/proc/self/ns/{kind}"))
            .unwrap()
            .display()
            .to_string()
    };
    for kind in ["pid", "mnt", "ipc", "uts", "net"] {
        let inside = environment.shell(&[], &format!("readlink /proc/self/ns/{kind}"));
        assert_ne!(inside, own(kind));
    }
    for (option, kind) in [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts")] {
        let inside = environment.shell(&[option, "host"], &format!("readlink /proc/self/ns/{kind}"));
        assert_eq!(inside, own(kind), "{option} host");
    }
    let one = environment.detached(&[], &["sleep", "600"]);
    let theirs = environment
        .hb(["exec", &one, "readlink", "/proc/self/ns/pid"])
        .succeeds();
    let joined = environment.shell(&["--pid", &format!("container:{one}")], "readlink /proc/self/ns/pid");
    assert_eq!(joined, theirs);
    environment.finish();
}

#[test]
fn privileged_the_environment_of_a_process_is_dockers() {
    let environment = TestEnvironment::with_starter();
    let text = environment.shell(
        &["--hostname", "box"],
        "env | sort; ls /proc/self/fd; cat /proc/self/cgroup | head -1; ls /dev",
    );
    for part in ["HOME=/root", "HOSTNAME=box", "PATH=/usr/local/sbin"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(
        !text.contains("HYPERBOX"),
        "nothing of the daemon's environment leaks: {text}"
    );
    for device in [
        "null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "fd", "stdin",
    ] {
        assert!(
            text.lines().any(|line| line == device),
            "/dev/{device} is missing in {text}"
        );
    }
    // Descriptors 0 to 2 and the one that ls reads with.
    let descriptors = environment.shell(&[], "ls /proc/self/fd | wc -l");
    assert_eq!(descriptors, "4");
    environment.finish();
}

/// What programs look for, and what `docker run` shows on the reference.
#[test]
fn privileged_surroundings_are_dockers() {
    let environment = TestEnvironment::with_starter();
    let script = "stat -c '%F %a' /.dockerenv; readlink /etc/mtab; id -G; cat /proc/self/oom_score_adj; umask; \
                  grep -E ' /proc/(keys|acpi|timer_list) ' /proc/mounts | grep -v '^tmpfs' | wc -l; \
                  for file in hosts hostname resolv.conf; do [ -w /etc/$file ] && echo writable; done; \
                  readlink /proc/self/fd/0; (echo x >&0) 2>/dev/null && echo null";
    let shown = environment.shell(&[], script);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines,
        [
            "regular empty file 755",
            "/proc/mounts",
            "0",
            "0",
            "0022",
            "0",
            "writable",
            "writable",
            "writable",
            "/dev/null",
            "null"
        ],
        "{shown}"
    );
    assert_eq!(environment.shell(&["--user", "alice"], "id -G"), "1000 29 100");
    assert_eq!(
        environment.shell(&["--user", "alice:audio", "--group-add", "www"], "id -G"),
        "29 33"
    );
    let protected = "grep -cE ' /etc/(hosts|hostname|resolv.conf) [^ ]+ ro' /proc/mounts";
    assert_eq!(environment.shell(&["--read-only"], protected), "3");
    environment.finish();
}

#[test]
fn privileged_names_in_the_machines_namespace_are_dockers() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&["--uts", "host"], &["sh", "-c", "echo $HOSTNAME; exec sleep 600"]);
    environment.wait_for_log(&id, &id[..12]);
    let refused = environment.hb(["run", "--rm", "--uts", "host", "--domainname", "x", STARTER, "true"]);
    let _refused = refused
        .exits_with(125)
        .complains("is not in a separate kernel namespace");
    let refused = environment.hb(["run", "--rm", "--uts", "host", "--hostname", "x", STARTER, "true"]);
    let _refused = refused
        .exits_with(125)
        .complains("conflicting options: hostname and the UTS mode");
    environment.finish();
}

#[test]
fn privileged_a_start_changes_nothing_in_a_container() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&[], &["sleep", "600"]);
    let changes = |id: &str| {
        environment
            .api("GET", &format!("/containers/{id}/changes"), "")
            .unwrap()
    };
    assert_eq!(changes(&id), (200, "null\n".to_owned()));
    environment
        .hb([
            "exec",
            &id,
            "sh",
            "-c",
            "echo 127.0.0.9 x >>/etc/hosts; rm /.dockerenv; touch /new",
        ])
        .succeeds();
    let (_, text) = changes(&id);
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!([{"Path": "/.dockerenv", "Kind": 2}, {"Path": "/new", "Kind": 1}]);
    assert_eq!(list, expected);
    environment.finish();
}

#[test]
fn privileged_mounts_follow_links_to_nowhere() {
    let environment = TestEnvironment::start();
    let mut image = starter();
    let links = Layer::new()
        .symlink("dangling", "/nowhere/deep")
        .symlink("up", "../../../outside");
    image.layers.push(links);
    environment.load(&image, STARTER);
    let mounted = environment.shell(
        &["--tmpfs", "/dangling/x", "--tmpfs", "/up", "-v", "/dangling"],
        "grep -cE ' (/nowhere/deep|/nowhere/deep/x|/outside) ' /proc/mounts; readlink /dangling",
    );
    assert_eq!(mounted, "3\n/nowhere/deep");
    environment.finish();
}

#[test]
fn privileged_an_init_is_put_before_the_command() {
    let environment = TestEnvironment::with_starter();
    let script = "tr '\\0' ' ' </proc/1/cmdline; exit 4";
    let command = ["run", "--rm", "--init", STARTER, "sh", "-c", script];
    let output = environment.hb(command).exits_with(4);
    assert!(output.stdout.starts_with("/sbin/docker-init -- sh -c tr"), "{output}");
    let output = environment
        .hb(["run", "--rm", "--init", STARTER, "nosuch"])
        .exits_with(127);
    assert_eq!(output.stderr, "cannot execute nosuch\n");
    environment.finish();
}
