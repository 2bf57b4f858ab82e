// SPDX-License-Identifier: MIT
//! A machine of one's own for each test of networks: a network namespace that links, rules and sysctls die with.
//!
//! Tests run on a thread that has moved into a fresh namespace; threads and programs that they start inherit it. Whatever they make is
//! therefore nobody else's.

use std::future::Future;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::environment::PrivateNetwork;

/// Runs a test in a network namespace of its own, loopback up, forwarding off.
///
/// # Panics
/// When the test does, or this is not root.
pub fn on_a_machine<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test makes network namespaces: run it as root"
    );
    PrivateNetwork::new().enter(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("forwarding of the new namespace");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(test());
    });
}

/// Runs something on a thread inside another namespace.
///
/// # Panics
/// When it does, or the namespace cannot be entered.
pub fn inside<T: Send + 'static>(namespace: &OwnedFd, body: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = namespace.try_clone().expect("another descriptor of the namespace");
    let thread = std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("the namespace");
        body()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs a program and returns what it printed.
///
/// # Panics
/// When it cannot be run, fails, or prints what is no text.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect(program);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}
