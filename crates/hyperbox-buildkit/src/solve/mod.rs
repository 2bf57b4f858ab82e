// SPDX-License-Identifier: MIT
//! From what a client asks the Dockerfile frontend for to a build and its result.
//!
//! ```text
//! FrontendOpt ──options──▶ Options ──definition, context──▶ what the session has ──request──▶ BuildRequest ──run──▶ Finished
//!                                       exporters ──outputs──▶
//! ```
//! `options`, `place`, `outputs` and `reads` are pure.

mod context;
mod definition;
mod later;
mod linked;
mod lint;
mod options;
mod outputs;
mod place;
mod reads;
mod run;
mod subrequest;

pub(crate) use linked::{Finished, Results, definition};
pub(crate) use place::UPLOADED;
pub(crate) use run::{Solving, solve};
