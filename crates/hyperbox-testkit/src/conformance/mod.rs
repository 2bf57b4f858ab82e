// SPDX-License-Identifier: MIT
//! Conformance suites: one per seam of `hyperbox_core::seam`, run by every implementation and by every fake.
//!
//! A suite is a set of functions (or one function that runs them all) that take a way to make a fresh implementation. It sees
//! only the trait, so that a wrong expectation shows as soon as a second implementation runs it.

pub mod content;
pub mod files;
pub mod groups;
pub mod names;
pub mod network;
pub mod ports;
pub mod records;
pub mod snapshot;
pub mod task;
pub mod volume;
