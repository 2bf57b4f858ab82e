// SPDX-License-Identifier: MIT
//! Firewalls of others that tests run beside ours: firewalld of a newer Debian suite, and ufw. Both are real; what they keep in files is a
//! directory's of the test, mounted where they look.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hyperbox_testkit::wait_for;

use crate::machine::run;

const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>"#;

/// Begins a program with a root of its own: `sh ROOT OWN PROGRAM …`.
const INSIDE: &str = r#"root=$1 own=$2; shift 2
mount --bind "$own/run" "$root/run"
mount --bind "$own/etc" "$root/etc/firewalld"
mount --bind "$own/passwd" "$root/etc/passwd"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs sysfs "$root/sys"
exec chroot "$root" "$@""#;

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A message bus and firewalld on it, in the network namespace of the thread that started them.
pub(crate) struct Firewalld {
    own: tempfile::TempDir,
    programs: Vec<Program>,
}

impl Firewalld {
    /// Starts the bus; firewalld comes by [`Firewalld::start`].
    pub(crate) fn bus() -> Self {
        let root = root();
        for directory in ["run", "proc", "dev", "sys", "etc/firewalld"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        drop(
            std::fs::File::options()
                .create(true)
                .append(true)
                .open(root.join("etc/passwd")),
        );
        let own = tempfile::tempdir().unwrap();
        std::fs::create_dir(own.path().join("run")).unwrap();
        std::fs::write(own.path().join("run/bus.conf"), BUS).unwrap();
        std::fs::write(own.path().join("passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        let (from, to) = (root.join("etc/firewalld"), own.path().join("etc"));
        run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
        let mut firewalld = Self {
            own,
            programs: Vec::new(),
        };
        firewalld.spawn(&[
            "/usr/bin/dbus-daemon",
            "--config-file=/run/bus.conf",
            "--nofork",
            "--nopidfile",
        ]);
        wait_for("the message bus", || {
            let socket = firewalld.socket();
            socket
                .exists()
                .then_some(())
                .ok_or_else(|| format!("no {}", socket.display()))
        });
        firewalld
    }

    /// Starts firewalld, with the configuration that Debian gives it, and waits until it has loaded its rules.
    pub(crate) fn start(&mut self) {
        self.spawn(&[
            "/usr/bin/python3",
            "/usr/sbin/firewalld",
            "--nofork",
            "--nopid",
            "--log-file=/run/log",
        ]);
        wait_for("firewalld to run", || {
            let output = self
                .command(&["/usr/bin/python3", "/usr/bin/firewall-cmd", "--state"])
                .output()
                .unwrap();
            output.status.success().then_some(()).ok_or_else(|| {
                let log = std::fs::read_to_string(self.own.path().join("run/log"));
                format!("{output:?}: {}", log.unwrap_or_default())
            })
        });
    }

    /// The socket of the bus.
    pub(crate) fn socket(&self) -> PathBuf {
        self.own.path().join("run/bus")
    }

    /// Runs `firewall-cmd` and returns what it printed.
    pub(crate) fn firewall_cmd(&self, arguments: &[&str]) -> String {
        let mut words = vec!["/usr/bin/python3", "/usr/bin/firewall-cmd"];
        words.extend(arguments);
        let output = self.command(&words).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn spawn(&mut self, words: &[&str]) {
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.programs.push(Program(command.spawn().unwrap()));
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-ec", INSIDE, "sh"]);
        command.arg(root()).arg(self.own.path()).args(words);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/bus");
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PATH", "/usr/sbin:/usr/bin")
            .arg0("unshare");
        command
    }
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/firewalld/root");
    assert!(
        root.join("usr/sbin/firewalld").exists(),
        "this test needs firewalld: cargo xtask setup"
    );
    root.canonicalize().unwrap()
}

/// ufw, with files of its own.
pub(crate) struct Ufw {
    own: tempfile::TempDir,
}

impl Ufw {
    /// Prepares it; it is off.
    pub(crate) fn new() -> Self {
        let own = tempfile::tempdir().unwrap();
        let to = own.path().join("etc");
        run("cp", &["-a", "/etc/ufw", to.to_str().unwrap()]);
        Self { own }
    }

    /// Runs `ufw`.
    pub(crate) fn run(&self, arguments: &[&str]) {
        const INSIDE: &str = r#"mount --bind "$1/etc" /etc/ufw; mount -t tmpfs tmpfs /run; shift; exec ufw "$@""#;
        let own = self.own.path().to_str().unwrap();
        let words = ["--mount", "--propagation", "private", "sh", "-ec", INSIDE, "sh", own];
        run("unshare", &[&words, arguments].concat());
    }
}
