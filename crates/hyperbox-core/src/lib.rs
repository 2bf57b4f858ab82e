// SPDX-License-Identifier: MIT
//! The engine: seams, services and pure lifecycle state machines.
//!
//! Core knows no mechanism: no system calls, no HTTP, no file formats. What it needs from the outside are the traits of [`seam`].

mod error;
pub mod seam;

pub use error::{Result, ServiceError};
