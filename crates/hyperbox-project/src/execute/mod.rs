// SPDX-License-Identifier: MIT
//! Carries plans out, over an engine that is a narrow trait.
//!
//! ```text
//! Model + wish ─▶ observe ─▶ finish interrupted replacements ─▶ pull ─▶ plan ─▶ prepare ─▶ operations ─▶ wait
//! ```
//! Operations that do not wait for each other are done at the same time, at most [`PARALLEL`] of them; waiting for a state counts for
//! nothing. What happens is told as [`ProjectEvent`](hyperbox_types::project::ProjectEvent)s.
//!
//! A run that is cancelled finishes what it is doing and begins nothing more. After a failure of `up` nothing more is begun either; `down`
//! goes on with what does not depend on what failed. Nothing is remembered between runs: the next one observes and plans anew, so it goes
//! on where an interrupted one ended, whoever interrupted it.
//!
//! No clock, no I/O, no runtime: what takes time is the engine's.

mod condition;
mod down;
mod engine;
mod images;
mod perform;
mod recovery;
mod run;
mod schedule;
mod services;
mod telling;
mod up;

pub use condition::{ServiceContainer, Verdict, judge, judge_ready};
pub use down::{DownRequest, ImagesToRemove, down};
pub use engine::{ContainerStates, ContainerWish, EngineError, ProjectEngine, StopWish};
pub use images::{ImageNeeds, ImageWish, Pull, image_needs};
pub use recovery::{Recovery, recovered, recoveries};
pub use run::{PARALLEL, Run, Summary};
pub use services::{Verb, services};
pub use telling::planned;
pub use up::{Prepared, UpRequest, prepare_up, up};
