// SPDX-License-Identifier: MIT
//! The `hb` binary against a scripted daemon: what a real daemon does not do on demand. What it does is tested end to end.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod daemon;
#[cfg(unix)]
mod docker;
mod failures;
mod network;
mod program;
#[cfg(target_os = "linux")]
mod project;
mod run;
#[cfg(unix)]
mod start;
mod terminal;
