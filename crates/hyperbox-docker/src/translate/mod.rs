// SPDX-License-Identifier: MIT
//! The pure mappings between Docker's words (`crate::wire`) and the engine's. No I/O, no clock but what is passed in.

pub(crate) mod complete;
pub(crate) mod create;
pub(crate) mod document;
pub(crate) mod endpoint;
pub(crate) mod endpoint_wish;
mod faults;
pub(crate) mod graph_driver;
pub(crate) mod health;
pub(crate) mod image;
pub(crate) mod inspect;
pub(crate) mod log;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod network;
pub(crate) mod network_create;
pub(crate) mod networking;
pub(crate) mod ports;
pub(crate) mod resources;
pub(crate) mod security;
pub(crate) mod since;
pub(crate) mod stats;
pub(crate) mod summary;
pub(crate) mod volume;
pub(crate) mod volumes_from;

#[cfg(test)]
mod create_tests;
#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod port_tests;
