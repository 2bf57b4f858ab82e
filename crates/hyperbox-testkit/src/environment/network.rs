// SPDX-License-Identifier: MIT
//! A network namespace that lives as long as this value: an idle process holds it.
//!
//! The holder reads from a pipe of ours, so that it also ends when this process is killed; nothing is mounted in /run/netns.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace with its loopback link up.
#[derive(Debug)]
pub struct PrivateNetwork {
    holder: Child,
}

impl PrivateNetwork {
    /// Makes a namespace.
    ///
    /// # Panics
    /// When this is not root, or unshare and ip are not installed.
    pub fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "ip link set lo up && echo ready && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts (package util-linux)");
        let mut line = String::new();
        let output = holder.stdout.take().expect("standard output is a pipe");
        let read = BufReader::new(output).read_line(&mut line);
        assert!(
            read.is_ok() && line == "ready\n",
            "no network namespace: this needs root and iproute2"
        );
        Self { holder }
    }

    /// Returns the id of a process in the namespace.
    pub fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// Returns the beginning of a command line that replaces itself with the rest of it, inside the namespace.
    pub fn wrapper(&self) -> Vec<String> {
        vec![
            "nsenter".to_owned(),
            format!("--net=/proc/{}/ns/net", self.holder()),
            "--".to_owned(),
        ]
    }

    /// Calls a function on a thread inside the namespace. Sockets that it makes stay there.
    ///
    /// # Panics
    /// When the function does, or the namespace cannot be entered.
    pub fn enter<T: Send>(&self, function: impl FnOnce() -> T + Send) -> T {
        enter_network_of(self.holder(), function)
    }
}

/// Calls a function on a thread inside the network namespace of a process. Sockets that it makes stay there.
///
/// # Panics
/// When the function does, or the namespace cannot be entered.
pub fn enter_network_of<T: Send>(pid: u32, function: impl FnOnce() -> T + Send) -> T {
    let path = format!("/proc/{pid}/ns/net");
    let namespace = File::open(&path).unwrap_or_else(|error| panic!("cannot open {path}: {error}"));
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))
                .unwrap_or_else(|error| panic!("cannot enter {path}: {error}"));
            function()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Default for PrivateNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PrivateNetwork {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ended = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}
