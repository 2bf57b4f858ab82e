// SPDX-License-Identifier: MIT
//! The Docker Engine API (v1.24 to v1.51) in front of the engine's services, and the native routes `POST /hyperbox/v1/run`,
//! `POST /hyperbox/v1/check` and `GET /hyperbox/v1/image-diff`.
//!
//! A request travels `server` → `router` → one handler of `routes`. Handlers translate (`wire` holds the shapes of Docker's JSON,
//! `translate` the pure mappings between them and the engine's words) and delegate to `hyperbox-core`; they hold no rules. Attached
//! streams leave HTTP through `hijack`. Nothing here is kept across a restart: what the door must remember of a container (its host
//! configuration, to be echoed by inspect) is stored with the container's record as its door document.

#![forbid(unsafe_code)]

mod answer;
mod build;
mod call;
mod client_io;
mod detach_keys;
mod error;
mod filters;
mod frames;
mod go_json;
mod hijack;
pub mod in_process;
mod malformed;
mod native;
mod pattern;
mod progress;
mod query;
mod registry_auth;
mod request_body;
mod request_line;
mod router;
mod routes;
mod server;
mod translate;
mod upgrades;
mod version;
mod web_socket;
mod wire;

#[cfg(test)]
mod foreign_input_tests;

pub use build::KnownCredentials;
pub use client_io::{ClientStream, Listener};
pub use native::{Lines, NativeAnswer, NativeRequest, NativeRoutes};
pub use server::{DoorConfig, serve};
pub use upgrades::BuildConnections;
pub use version::ApiVersion;
