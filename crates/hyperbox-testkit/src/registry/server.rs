// SPDX-License-Identifier: MIT
//! Debian's `docker-registry`: the real thing, on a free loopback port, with a storage directory of its own.
//!
//! The process is killed when the value is dropped, and by the kernel when the thread that started it dies.

use std::fs;
use std::io::BufReader;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use super::storage;
use crate::images::Layout;

/// The only user of a registry with [`RegistryAccess::Password`].
pub const TEST_USER: &str = "tester";

/// That user's password.
pub const TEST_PASSWORD: &str = "correct horse";

/// bcrypt of [`TEST_PASSWORD`], cost 5.
const TEST_PASSWORD_HASH: &str = "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2";

/// Whom a registry serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryAccess {
    /// Everybody.
    Anyone,
    /// [`TEST_USER`] with [`TEST_PASSWORD`] (Basic authentication).
    Password,
}

/// A running `docker-registry`.
#[derive(Debug)]
pub struct LocalRegistry {
    child: Child,
    host: String,
    directory: TempDir,
}

impl LocalRegistry {
    /// Starts a registry in this process's network namespace.
    ///
    /// # Panics
    /// When the package docker-registry is not installed or the registry does not start.
    pub fn start(access: RegistryAccess) -> Self {
        Self::start_with(access, &[])
    }

    /// Starts a registry as the last argument of a command, such as `nsenter --net=…`, that replaces itself with it.
    ///
    /// # Panics
    /// When the package docker-registry is not installed or the registry does not start.
    pub fn start_with(access: RegistryAccess, wrapper: &[String]) -> Self {
        let directory = TempDir::new().expect("temporary directory");
        let config = directory.path().join("config.yml");
        fs::write(&config, configuration(directory.path(), access)).expect("the registry's configuration");
        let mut words = wrapper.to_vec();
        words.extend(["setpriv", "--pdeathsig", "KILL", "docker-registry", "serve"].map(str::to_owned));
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry starts (packages docker-registry and util-linux)");
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let host = listening_address(BufReader::new(stderr));
        Self { child, host, directory }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the name of an image on this registry, such as `127.0.0.1:5000/a/b:tag`.
    pub fn image(&self, name_and_tag: &str) -> String {
        format!("{}/{name_and_tag}", self.host)
    }

    /// Puts an image in, behind the registry's back, and returns its full name.
    ///
    /// # Panics
    /// When the registry's storage cannot be written.
    pub fn add(&self, name_and_tag: &str, layout: &Layout) -> String {
        let (name, tag) = name_and_tag.rsplit_once(':').expect("name:tag");
        storage::insert(&self.directory.path().join("storage"), name, tag, layout).expect("the registry's storage");
        self.image(name_and_tag)
    }

    /// Returns the file of a blob in the registry's storage, to damage it.
    pub fn blob_file(&self, digest: &hyperbox_types::Digest) -> std::path::PathBuf {
        storage::blob_file(&self.directory.path().join("storage"), digest)
    }

    /// Tells whether the registry holds this tag.
    pub fn has_tag(&self, name: &str, tag: &str) -> bool {
        storage::tag_link(&self.directory.path().join("storage"), name, tag).exists()
    }
}

impl Drop for LocalRegistry {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn configuration(directory: &Path, access: RegistryAccess) -> String {
    let root = directory.join("storage");
    let mut text = format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
         http:\n  addr: 127.0.0.1:0\n  secret: test\n",
        root.display()
    );
    if access == RegistryAccess::Password {
        let file = directory.join("htpasswd");
        fs::write(&file, format!("{TEST_USER}:{TEST_PASSWORD_HASH}\n")).expect("the registry's password file");
        text.push_str(&format!(
            "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            file.display()
        ));
    }
    text
}

/// Reads the log until the registry says where it listens; a thread goes on reading so that the pipe never fills.
fn listening_address(log: impl std::io::BufRead + Send + 'static) -> String {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut sender = Some(sender);
        let mut seen = String::new();
        for line in log.lines() {
            let Ok(line) = line else { break };
            if let Some(rest) = line.split("listening on ").nth(1)
                && let Some(address) = rest.split('"').next()
                && let Some(sender) = sender.take()
            {
                // The receiver may have given up.
                let _late = sender.send(Ok(address.to_owned()));
            }
            if sender.is_some() {
                seen.push_str(&line);
                seen.push('\n');
            }
        }
        if let Some(sender) = sender {
            let _late = sender.send(Err(seen));
        }
    });
    match receiver.recv_timeout(Duration::from_secs(30)) {
        Ok(Ok(address)) => address,
        Ok(Err(log)) => panic!("docker-registry did not start:\n{log}"),
        Err(timeout) => panic!("docker-registry does not listen: {timeout}"),
    }
}
