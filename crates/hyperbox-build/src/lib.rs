// SPDX-License-Identifier: MIT
//! Builds images from Dockerfiles.
//!
//! ```text
//! BuildRequest ──▶ plan (pure) ──▶ solve ──▶ each step: key (pure) ──▶ cache, or FileSteps / RunSteps ──▶ layer
//!                                    └──▶ config (pure) ──▶ image in the store, or files
//! ```
//! Doors know [`BuildRequest`] and [`BuildEvent`]; what steps do to files and processes is behind the traits of [`step`], what they
//! read behind [`context::Tree`]. Nothing here knows a mechanism: layers, blobs and processes are core's seams.
#![forbid(unsafe_code)]

mod builder;
mod by_session;
mod cache;
mod config;
pub mod context;
pub mod copy;
mod digests;
mod error;
pub mod event;
mod key;
mod layers;
mod plan;
pub mod request;
pub mod run;
mod solve;
pub mod step;

pub use builder::{
    Builder, BuilderDependencies, Built, BuiltBase, CheckedFile, Described, FilterError, ForeignKept, Kept, KeptFields,
    KeptFilter, KeptKind, PruneOptions, PrunedCache,
};
pub use by_session::{SessionBuild, SessionBuildNews};
pub use cache::Retention;
pub use error::{BuildError, StepError, sentence};
pub use event::{BuildEvent, EventSender, EventStream, StepReporter};
pub use request::BuildRequest;
