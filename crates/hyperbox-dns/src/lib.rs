// SPDX-License-Identifier: MIT
//! The embedded name server: what answers containers at 127.0.0.11.
//!
//! - `zones` — who is called what in which network; `view` — what one container sees of it, and whom it asks;
//! - `message` — DNS messages: understanding questions, writing answers, checking and shortening foreign ones;
//! - `resolver` — one question of one container: a local answer, or whom to ask;
//! - `forward` — asking others: order and patience, one exchange, sockets in a container's namespace;
//! - `serve` — the sockets: datagrams and connections;
//! - `names` — [`Names`], the `NameService` of the engine.
//!
//! **Cost.** One service per process. A container that is served costs two sockets and two sleeping tasks without buffers; a local answer
//! is made without leaving the task that has read the question.
//!
//! **Crashes.** Nothing is stored: the engine announces and serves again after a restart.
#![forbid(unsafe_code)]

mod configuration;
mod forward;
mod message;
mod names;
mod resolver;
mod serve;
mod view;
mod zones;

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

pub use configuration::Configuration;
pub use names::Names;
