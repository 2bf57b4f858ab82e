// SPDX-License-Identifier: MIT
//! Projects over HTTP: core's services on fakes of all seams behind a Unix socket.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod files;
mod news;
mod records;
mod runs;
mod world;
