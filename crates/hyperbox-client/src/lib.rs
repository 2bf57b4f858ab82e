// SPDX-License-Identifier: MIT
//! Blocking, portable client of the daemon: Docker's Engine API plus the native `/hyperbox/v1` routes.
//!
//! A [`Client`] is cheap to make and connects on first use. Each area of the API adds its typed methods to it
//! (`containers`, `images`, `volumes`, `networks`, `system`, `exec`, `run`, `project`). There is no runtime and no thread, but for
//! `transport::pipe`: a call blocks until the head of the answer is there, and streaming answers are plain
//! [`std::io::Read`]ers. One connection is used by one request at a time; finished ones are kept and reused.
//!
//! What differs between systems is in `transport` (Unix sockets on Unix, named pipes on Windows, TCP everywhere) and in
//! `private_file`. The library reads no environment and prints nothing; whoever calls it decides on the host and on where credentials lie.

#![forbid(unsafe_code)]

mod build;
mod check;
mod client;
mod containers;
mod copy;
pub mod credentials;
mod error;
mod exec;
mod filters;
mod host;
mod http;
mod images;
mod messages;
pub mod model;
mod networks;
mod private_file;
mod project;
mod run;
mod stdcopy;
mod system;
mod transport;
mod volumes;

pub use build::{BuildFrame, BuildReader, BuildSession, BuildWriter, decode_data, encode_data};
pub use client::{API_VERSION, Client, Request};
pub use containers::{AttachOptions, LogOptions, PendingWait, RemoveContainer, StopOptions, WaitCondition};
pub use copy::{Commit, ImportSource, PathStat};
pub use error::{ClientError, Result};
pub use exec::ExecConfig;
pub use filters::Filters;
pub use host::{Host, InvalidHost};
pub use http::{Body, Method, Response, Upgraded, UpgradedReader, UpgradedWriter};
pub use messages::Messages;
pub use private_file::replace as write_private_file;
pub use project::ServiceVerb;
pub use run::{RunFrame, RunReader, RunSession, RunWriter};
pub use stdcopy::{Demultiplexer, demultiplex};
