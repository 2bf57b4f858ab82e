// SPDX-License-Identifier: MIT
//! BuildKit's API in front of the builder: what `docker build`, buildx and compose speak.
//!
//! ```text
//! POST /grpc ────▶ transport::server ──▶ control (Control, LLBBridge) ──▶ solve ──▶ BuildRequest
//!                                             ▲ status ◀─────────────────────────── BuildEvent
//! POST /session ─▶ session (we are the client: files, secrets, agents, credentials) ──▶ Tree, Secrets, …
//! ```
//! There is no solver of LLB here: clients name the Dockerfile frontend, and that is built by [`hyperbox_build`]. The messages
//! (`proto`) are BuildKit's, by their field numbers; everything that arrives is foreign and may be malformed.
#![forbid(unsafe_code)]

mod control;
mod door;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod proto;
mod session;
mod solve;
mod status;
mod transport;

pub use door::{BuildKit, BuildKitConfig};
