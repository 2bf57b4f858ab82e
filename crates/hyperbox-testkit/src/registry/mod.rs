// SPDX-License-Identifier: MIT
//! Registries on loopback: Debian's `docker-registry`, and one that misbehaves as it is told.

mod faulty;
mod request;
mod server;
mod storage;

#[cfg(test)]
mod tests;

pub use faulty::{Fault, FaultyRegistry, SeenRequest};
pub use server::{LocalRegistry, RegistryAccess, TEST_PASSWORD, TEST_USER};
