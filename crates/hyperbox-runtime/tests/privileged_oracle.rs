// SPDX-License-Identifier: MIT
//! The same specification on our runtime and on crun: output and exit code must be the same.

mod support;

use serde_json::{Value, json};

use support::outcome::{run_crun, run_ours};
use support::rootfs::Rootfs;
use support::specification::{add_mount, set, shell, with_arguments};

/// A user as the shim names it, and as crun wants it.
const ROOT: (&str, u32, u32, &[u32]) = ("", 0, 0, &[0]);
const WEB: (&str, u32, u32, &[u32]) = ("web", 33, 34, &[34, 29]);

/// Runs both and compares; returns the output for further checks.
fn compare_on(rootfs: &Rootfs, specification: &Value, user: (&str, u32, u32, &[u32])) -> String {
    let theirs = run_crun(specification, &rootfs.lower(), user.1, user.2, user.3);
    let ours = run_ours(specification, rootfs.bind(), user.0);
    assert_eq!(ours, theirs, "ours, theirs; {}", specification["process"]);
    ours.stdout
}

fn compare(specification: &Value, user: (&str, u32, u32, &[u32])) -> String {
    compare_on(&Rootfs::new(), specification, user)
}

#[test]
fn privileged_exit_codes_and_signals() {
    for command in [
        "exit 0",
        "exit 1",
        "exit 255",
        "false",
        "kill -9 $$; echo survived",
        "sh -c 'kill -TERM $$'",
    ] {
        compare(&shell(command), ROOT);
    }
}

#[test]
fn privileged_identity() {
    assert_eq!(compare(&shell("id -u; id -g; id -G"), WEB), "33\n34\n34 29\n");
    compare(&shell("id; pwd; umask"), ROOT);
    let mut specification = shell("umask; touch /tmp/x; stat -c '%a %u %g' /tmp/x");
    set(&mut specification, "/process/user/umask", json!(0o027));
    compare(&specification, WEB);
}

#[test]
fn privileged_capabilities() {
    let show = "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status";
    compare(&shell(show), ROOT);
    compare(&shell(show), WEB);
    let mut ambient = shell(show);
    for set_name in ["effective", "permitted", "inheritable", "ambient"] {
        set(
            &mut ambient,
            &format!("/process/capabilities/{set_name}"),
            json!(["CAP_NET_BIND_SERVICE", "CAP_CHOWN"]),
        );
    }
    assert!(compare(&ambient, WEB).contains("CapAmb:\t0000000000000401"));
    let mut quiet = shell(show);
    set(&mut quiet, "/process/noNewPrivileges", json!(true));
    assert!(compare(&quiet, ROOT).contains("NoNewPrivs:\t1"));
    let mut none = shell(show);
    set(&mut none, "/process/capabilities", json!({}));
    compare(&none, ROOT);
}

#[test]
fn privileged_environment_and_directory() {
    let rootfs = Rootfs::new();
    let mut specification = shell("env | sort | grep -v SHLVL; pwd; stat -c '%a %u' .");
    set(
        &mut specification,
        "/process/env",
        json!(["PATH=/bin", "A=b c", "EMPTY=", "HOME=/x"]),
    );
    set(&mut specification, "/process/cwd", json!("/home/web"));
    compare_on(&rootfs, &specification, ROOT);
    // crun makes a missing directory too.
    set(&mut specification, "/process/cwd", json!("/made/by/us"));
    compare_on(&rootfs, &specification, ROOT);
}

#[test]
fn privileged_host_name_and_sysctls() {
    let mut specification = shell(
        "hostname; dnsdomainname -s 2>/dev/null; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_forward \
         /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start",
    );
    set(&mut specification, "/domainname", json!("example.test"));
    set(
        &mut specification,
        "/linux/sysctl",
        json!({ "net.ipv4.ip_forward": "1", "kernel.msgmax": "4242", "net.ipv4.ip_unprivileged_port_start": "0" }),
    );
    let output = compare(&specification, ROOT);
    assert!(
        output.starts_with("testhost\n") && output.ends_with("1\n4242\n0\n"),
        "{output}"
    );
}

#[test]
fn privileged_resource_limits() {
    let mut specification = shell("ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hs; cat /proc/self/oom_score_adj");
    set(
        &mut specification,
        "/process/rlimits",
        json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 }, { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
               { "type": "RLIMIT_STACK", "soft": 8388608, "hard": 16777216 }]),
    );
    set(&mut specification, "/process/oomScoreAdj", json!(500));
    assert_eq!(compare(&specification, ROOT), "100\n200\n0\n16384\n500\n");
}

#[test]
fn privileged_limits_that_cannot_be_raised_are_lowered() {
    let mut specification = shell("ulimit -Hn; cat /proc/self/oom_score_adj");
    set(
        &mut specification,
        "/process/rlimits",
        json!([{ "type": "RLIMIT_NOFILE", "soft": 64, "hard": 1_u64 << 40 }]),
    );
    set(&mut specification, "/process/oomScoreAdj", json!(-500));
    let outcome = run_ours(&specification, Rootfs::new().overlay(), "");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.lines().next().unwrap().parse::<u64>().unwrap() >= 64);
}

/// Mounts without what differs from run to run (ids, devices, sizes), without the root itself, and without what masks and protects:
/// crun drops `nosuid` and its like there, we keep them.
const SHOW_MOUNTS: &str = r#"sed -n 's/^[0-9]* [0-9]* [0-9:]* \([^ ]*\) \([^ ]*\) \([^ ]*\).* - \([^ ]*\) .*/\2 \3 \4/p' \
    /proc/self/mountinfo | grep -vE '^/ |^/proc/|^/sys/' | sort"#;

#[test]
fn privileged_mounts() {
    let rootfs = Rootfs::new();
    std::fs::create_dir_all(rootfs.beside("source/below")).unwrap();
    std::fs::write(rootfs.beside("source/file"), "content\n").unwrap();
    let source = rootfs.beside("source");
    let mut specification = shell(&format!(
        "{SHOW_MOUNTS}; cat /data/file /etc/one-file; touch /data/new 2>&1; touch /rw/new && ls /rw; \
         stat -c '%a' /small /kept; touch /etc/one-file 2>&1"
    ));
    std::fs::create_dir(rootfs.lower().join("kept")).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(rootfs.lower().join("kept"), PermissionsExt::from_mode(0o750)).unwrap();
    for mount in [
        json!({ "destination": "/data", "type": "bind", "source": source, "options": ["rbind", "ro", "nosuid", "rprivate"] }),
        json!({ "destination": "/rw", "type": "bind", "source": source, "options": ["bind", "rw", "noexec"] }),
        json!({ "destination": "/etc/one-file", "type": "bind", "source": source.join("file"), "options": ["bind", "ro"] }),
        json!({ "destination": "/small", "type": "tmpfs", "source": "tmpfs",
                "options": ["size=64k", "mode=0710", "uid=33", "nodev", "noatime"] }),
        json!({ "destination": "/kept", "type": "tmpfs", "source": "tmpfs", "options": ["mode=0750", "ro"] }),
        json!({ "destination": "/deep/er/still", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"] }),
    ] {
        add_mount(&mut specification, mount);
    }
    let output = compare_on(&rootfs, &specification, ROOT);
    assert!(output.contains("/data ro,nosuid"), "{output}");
    assert!(!support::rootfs::is_mounted_below(rootfs.directory.path()));
}

#[test]
fn privileged_devices_and_links() {
    let mut specification = shell(
        "ls -ln /dev | awk '{print $1, $3, $4, $5, $6, $9, $10, $11, $12, $NF}' | grep -v ^total | sed 's/[0-9]*:[0-9]* //' | sort; \
         head -c 4 /dev/zero | wc -c; echo x >/dev/null; stat -c '%t %T %a %u' /dev/mine",
    );
    set(
        &mut specification,
        "/linux/devices",
        json!([{ "path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 33, "gid": 34 }]),
    );
    let ours = run_ours(&specification, Rootfs::new().overlay(), "");
    assert_eq!(ours.code, 0, "{}", ours.stderr);
    for name in [
        "null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd", "stdin", "stdout", "stderr",
    ] {
        assert!(ours.stdout.contains(name), "{name} in {}", ours.stdout);
    }
    assert!(ours.stdout.ends_with("4\n1 5 640 33\n"), "{}", ours.stdout);
    let mut numbers = shell(
        "for d in null zero full random urandom tty; do stat -c '%n %F %t %T %a %u %g' /dev/$d; done; readlink /dev/fd /dev/stdin /dev/ptmx",
    );
    compare(&numbers, ROOT);
    set(&mut numbers, "/process/user/umask", json!(0o077));
    compare(&numbers, ROOT);
}

#[test]
fn privileged_masked_and_read_only_paths() {
    let specification = shell(
        "cat /proc/kcore | wc -c; cat /proc/timer_list | wc -c; ls -A /sys/firmware | wc -l; ls -A /proc/scsi 2>/dev/null | wc -l; \
         echo 1 >/proc/sys/kernel/domainname; echo b >/proc/sysrq-trigger; touch /proc/irq/x; \
         grep -c ' /proc/sys ro' /proc/self/mountinfo; touch /sys/x",
    );
    let theirs = run_crun(&specification, &Rootfs::new().lower(), 0, 0, &[]);
    let ours = run_ours(&specification, Rootfs::new().bind(), "");
    assert_eq!(
        (ours.code, &ours.stdout, &ours.stderr),
        (theirs.code, &theirs.stdout, &theirs.stderr)
    );
    assert!(ours.stdout.starts_with("0\n0\n0\n0\n"), "{}", ours.stdout);
    assert!(
        ours.stderr
            .contains("can't create /proc/sys/kernel/domainname: Read-only"),
        "{}",
        ours.stderr
    );
}

#[test]
fn privileged_read_only_root() {
    let mut specification = shell("touch /x; touch /tmp/y && echo tmp is writable");
    set(&mut specification, "/root/readonly", json!(true));
    add_mount(
        &mut specification,
        json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" }),
    );
    assert_eq!(compare(&specification, ROOT), "tmp is writable\n");
}

#[test]
fn privileged_system_call_filters() {
    for (profile, command) in [
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                    "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" },
                                 { "names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }] }),
            "mkdir /tmp/x; unshare -m true; grep Seccomp: /proc/self/status",
        ),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{ "names": ["kill"], "action": "SCMP_ACT_ERRNO",
                                   "args": [{ "index": 1, "value": 10, "op": "SCMP_CMP_EQ" }] }] }),
            "trap 'echo got usr2' USR2; kill -USR1 $$; kill -USR2 $$",
        ),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" }] }),
            "sh -c 'exec mkdir /tmp/x'; echo $?",
        ),
    ] {
        for no_new_privileges in [false, true] {
            for user in [ROOT, WEB] {
                let mut specification = shell(command);
                set(&mut specification, "/linux/seccomp", profile.clone());
                set(&mut specification, "/process/noNewPrivileges", json!(no_new_privileges));
                compare(&specification, user);
            }
        }
    }
}

#[test]
fn privileged_shared_namespaces() {
    let mut specification = shell("readlink /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/uts");
    set(
        &mut specification,
        "/linux/namespaces",
        json!([{ "type": "mount" }, { "type": "pid" }, { "type": "cgroup" }, { "type": "ipc", "path": format!("/proc/{}/ns/ipc", std::process::id()) }]),
    );
    specification.as_object_mut().unwrap().remove("hostname");
    // sysfs of the host's network namespace.
    let output = compare(&specification, ROOT);
    for (line, kind) in output.lines().zip(["net", "ipc", "uts"]) {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_eq!(line, own.display().to_string());
    }
}

#[test]
fn privileged_user_namespaces() {
    let rootfs = Rootfs::new();
    std::os::unix::fs::chown(rootfs.lower(), Some(100_000), Some(100_000)).unwrap();
    let mut specification = shell("id -u; cat /proc/self/uid_map; echo x >/dev/null && hostname; stat -c %F /dev/null");
    specification["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "type": "user" }));
    for field in ["uidMappings", "gidMappings"] {
        specification["linux"][field] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    }
    let chown = std::process::Command::new("chown")
        .args(["-R", "100000:100000"])
        .arg(rootfs.directory.path())
        .status();
    assert!(chown.unwrap().success());
    std::fs::set_permissions(
        rootfs.directory.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    compare_on(&rootfs, &specification, ROOT);
}

#[test]
fn privileged_path_is_searched_in_the_container() {
    let rootfs = Rootfs::new();
    std::fs::create_dir_all(rootfs.lower().join("opt/here")).unwrap();
    rootfs.write("opt/here/tool", "#!/bin/sh\necho tool $1\n", 0o755);
    rootfs.write("bin/tool", "not executable\n", 0o644);
    let mut specification = with_arguments(&["tool", "one"]);
    set(
        &mut specification,
        "/process/env",
        json!(["PATH=/nowhere:/bin:/opt/here"]),
    );
    assert_eq!(compare_on(&rootfs, &specification, ROOT), "tool one\n");
}
