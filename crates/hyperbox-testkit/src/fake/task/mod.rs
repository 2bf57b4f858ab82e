// SPDX-License-Identifier: MIT
//! Tasks without processes: they end when they are told to, and keep what was done to them.
//!
//! [`FakeTaskRuntime`] stands for everything that outlives a daemon. A test takes the [`FakeTask`] of a container to write
//! output, look at the input that arrived and end it; or it gives a [`Script`] beforehand.

mod process;
mod running;
mod runtime;

#[cfg(test)]
mod tests;

pub use running::FakeTask;
pub use runtime::{FakeTaskRuntime, LaunchedTask, Script};
