// SPDX-License-Identifier: MIT
//! What HyperBox's own tests are made of: fakes and conformance suites for every seam, images and a registry that need no
//! network, waiting without sleeping, and a census that proves that nothing leaked.
//!
//! A dev-dependency only. Everything here may panic: a panic is how a test reports.

#![forbid(unsafe_code)]

pub mod census;
pub mod conformance;
pub mod environment;
pub mod fake;
mod identifier;
pub mod images;
pub mod machine;
pub mod name_client;
pub mod registry;
mod wait;
pub mod world;

pub use identifier::{container_id, exec_id, network_id, unique_name};
pub use wait::{PATIENCE, wait_for, wait_for_async, wait_for_within};
