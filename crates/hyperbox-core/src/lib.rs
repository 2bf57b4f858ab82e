// SPDX-License-Identifier: MIT
//! The engine: seams, services and pure lifecycle state machines.
//!
//! Core knows no mechanism: no system calls, no HTTP, no file formats. What it needs from the outside are the traits of [`seam`].

mod chunk_writer;
pub mod container;
mod engine;
mod error;
pub mod event;
pub mod exec;
mod exec_stream;
pub mod failpoint;
mod hashing;
pub mod image;
pub mod network;
mod random;
pub mod seam;
pub mod system;
pub mod time;
pub mod trace;
pub mod volume;

pub use chunk_writer::ChunkWriter;
pub use engine::Engine;
pub use error::{Result, ServiceError};
pub use hashing::DigestHasher;
