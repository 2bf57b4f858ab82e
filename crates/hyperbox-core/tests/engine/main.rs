// SPDX-License-Identifier: MIT
//! The engine's services over fakes of all seams: what clients observe, and what a restart of the daemon finds.

mod check;
mod collect;
mod containers;
mod delta;
mod images;
mod networks;
mod optimize;
mod push;
mod races;
mod restart;
mod world;
