// SPDX-License-Identifier: MIT
//! What to do so that what there is becomes what is wanted.
//!
//! ```text
//! Model ─┐
//!        ├─▶ up / down / stop / start ─▶ Plan: operations, each with its cause and what it waits for
//! Observed ─┘
//! ```
//! Pure: a plan is made of two values, can be printed and is tested as text. A run that was interrupted is resumed by observing and planning
//! again; nothing is remembered between runs but what the engine shows.

mod control;
mod down;
mod hash;
mod name;
mod observed;
mod operation;
mod order;
mod scale;
mod up;
mod waits;

pub use control::{kill, pause, restart, unpause};
pub use down::{DownOptions, down, start, stop};
pub use hash::{network_hash, note_hashes, service_hash, volume_hash};
pub use name::container_name;
pub use observed::{ContainerState, Observed, ObservedContainer, ObservedNetwork, ObservedVolume};
pub use operation::{Action, Cause, Operation, OperationNumber, Plan};
pub use order::{PlanError, with_dependencies};
pub use up::{Recreate, UpOptions, up};
