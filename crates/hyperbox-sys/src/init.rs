// SPDX-License-Identifier: MIT
//! The smallest init, as a program: pid 1 of a container that runs one command, passes signals on to it and reaps orphans.
//!
//! It is mounted into containers that ask for it and put before their command, whatever runtime runs them, so it must run in any
//! root filesystem: it needs no library at all. Its source is `init/init.rs`; a few kilobytes.

/// The executable (`init -- COMMAND [ARGUMENT …]`). Empty on architectures that it is not written for.
pub const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    use std::path::Path;
    use std::process::{Command, Output};

    use super::PROGRAM;

    fn run(search_path: &str, command: &[&str]) -> Output {
        let directory = tempfile::tempdir().unwrap();
        let init = directory.path().join("init");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(&init)
            .unwrap();
        file.write_all(PROGRAM).unwrap();
        drop(file);
        execute(&init, search_path, command)
    }

    /// A file that was just written may still be open for writing in a child that another test has forked (`ETXTBSY`).
    fn execute(init: &Path, search_path: &str, command: &[&str]) -> Output {
        for _ in 0..1000 {
            match Command::new(init)
                .arg("--")
                .args(command)
                .env("PATH", search_path)
                .output()
            {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                other => return other.unwrap(),
            }
        }
        panic!("{} stays busy", init.display());
    }

    #[test]
    fn it_ends_as_the_command_does() {
        let script = tempfile::tempdir().unwrap();
        let denied = script.path().join("denied");
        std::fs::write(&denied, "").unwrap();
        std::fs::set_permissions(&denied, PermissionsExt::from_mode(0o644)).unwrap();
        for (search_path, command, code, text) in [
            ("/nowhere:/bin:/usr/bin", &["sh", "-c", "exit 7"][..], 7, ""),
            ("/nowhere", &["/bin/sh", "-c", "kill -9 $$"], 137, ""),
            ("/nowhere::", &["nosuch"], 127, "cannot execute nosuch\n"),
            ("/bin", &["/no/such"], 127, "cannot execute /no/such\n"),
            (
                script.path().to_str().unwrap(),
                &["denied"],
                126,
                "cannot execute denied\n",
            ),
            ("/bin", &["/"], 126, "cannot execute /\n"),
            (&"x".repeat(5000), &["sh"], 127, "cannot execute sh\n"),
        ] {
            let output = run(search_path, command);
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(
                (output.status.code(), errors.as_str()),
                (Some(code), text),
                "{command:?}"
            );
        }
    }

    #[test]
    fn orphans_and_signals_are_looked_after() {
        let script = "(sh -c 'echo $$; read x </proc/$$/stat; exit 0' &) ; trap 'echo caught; exit 3' TERM; \
                      kill -TERM $PPID; while :; do sleep 0.01; done";
        let output = run("/bin:/usr/bin", &["sh", "-c", script]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("caught"));
    }
}
