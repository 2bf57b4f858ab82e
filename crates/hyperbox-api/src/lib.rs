// SPDX-License-Identifier: MIT
//! The native API of projects: `/hyperbox/v1/projects` ([`hyperbox_types::project`]).
//!
//! ```text
//! door (hyperbox-docker) ─▶ routes ─▶ Projects ─▶ records      what was opened, and what it was given
//!                                        │
//!                                        ├─▶ isolation         ports, subnets, control group of each project
//!                                        └─▶ hyperbox_project::execute ─▶ engine ─▶ services of hyperbox-core
//! ```
//! Nothing here speaks HTTP to the daemon itself: containers, networks and volumes are asked for in Docker's words
//! ([`hyperbox_docker::in_process`]), so that what is made cannot be told from what `docker compose` makes.

#![forbid(unsafe_code)]

mod changes;
mod engine;
mod inferred;
mod isolation;
mod labels;
mod openapi;
mod projects;
mod record;
mod routes;
mod run;
mod status;
mod turns;
mod wish;

pub use isolation::IsolationConfig;
pub use projects::{Dependencies, Projects};
