// SPDX-License-Identifier: MIT
//! Engines measured beside each other: the suite behind `hb bench` and `cargo xtask bench`.
//!
//! A number is the time of a whole process, from its start to its end. All contenders take turns (one number each per round, in an
//! order that rotates), so that a busy machine is busy for all of them; a contender that fails is left out and named. Kept are the
//! medians, the spread and the ratio to the first contender.
//!
//! Knows no engine, daemon or socket: a [`Contender`] is a command line. Blocking, prints nothing. Whoever drops a measurement in the
//! middle leaves no container of [`Containers`] behind.
#![forbid(unsafe_code)]

mod containers;
mod contender;
mod machine;
mod series;
mod suite;
mod summary;

pub use containers::Containers;
pub use contender::{CallError, Contender, Running};
pub use machine::describe as describe_machine;
pub use series::{LeftOut, Row, Series, Table, Unit, interleave};
pub use suite::{Scenario, clients_at_once, exec, lifecycle, measure, starts_at_once};
pub use summary::Summary;
