// SPDX-License-Identifier: MIT
//! The OCI distribution protocol, client side: core's `Registry` seam over HTTP.
//!
//! Layers, top down: `client` (the seam), `resolve`/`pull`/`upload`/`login` (one file per operation), `session` (answers
//! authentication challenges and tries again), `transport` (one request with its
//! redirects), `clients` (connections and TLS), and pure deciders that touch no
//! socket: `challenge`, `scope`, `redirect`, `retry`, `range`, `failure`.
//!
//! Nothing here persists anything: a crash forgets tokens and open uploads, which registries collect by themselves. Secrets are
//! wrapped in `Redacted` from the moment they arrive, and URLs never reach logs or errors with their query (storage back ends put
//! signatures there).
#![forbid(unsafe_code)]

mod auth;
mod challenge;
mod claim;
mod client;
mod clients;
mod config;
mod download;
mod endpoint;
mod failure;
mod hashing;
mod login;
mod peer;
mod pull;
mod range;
mod redacted;
mod redirect;
mod resolve;
mod retry;
mod scope;
mod search;
mod session;
mod tags;
mod token;
mod transport;
mod upload;
mod upload_body;

pub use challenge::{Challenge, Scheme, parse_challenges};
pub use client::DistributionClient;
pub use config::{Config, InvalidConfig, ProxyUse, RetryPolicy, Timeouts};
pub use peer::PeerClient;
