// SPDX-License-Identifier: MIT
//! Projects: what a folder wants to run.
//!
//! - [`compose`] reads Compose files into one resolved document, as `docker compose config` shows it;
//! - [`model`] is that document as types;
//! - [`plan`] compares it with what there is and says what to do;
//! - [`create`] says it in the words of Docker's API;
//! - [`execute`] carries it out, over an engine that is a trait;
//! - [`detect`](mod@detect) tells what a folder is, and proposes a Compose file for one without;
//! - [`settings`] is `hyperbox.toml`, for what no Compose file can say;
//! - [`range`](mod@range) gives each project ports, subnets and names of its own.
//!
//! Pure but for two seams: [`compose::Files`], by which files are read, and [`execute::ProjectEngine`], by which plans are carried out. Portable: nothing here needs Unix.
#![forbid(unsafe_code)]

pub mod compose;
pub mod create;
pub mod detect;
pub mod execute;
pub mod model;
pub mod plan;
pub mod range;
pub mod settings;
