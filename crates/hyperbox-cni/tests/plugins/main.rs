// SPDX-License-Identifier: MIT
//! The driver with real plugins and with bad ones, in network namespaces of its own.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod conformance;
mod machine;
mod recovery;
mod scripted;
mod traffic;
