// SPDX-License-Identifier: MIT
//! The real shim and the real daemon side of it, with real containers.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod attach;
mod bench;
mod conformance;
mod exec;
mod external;
mod groups;
mod init;
mod life;
mod logs;
mod protocol;
mod recovery;
mod terminal;
