// SPDX-License-Identifier: MIT
//! The engine's services over fakes of all seams: what clients observe, and what a restart of the daemon finds.

mod containers;
mod images;
mod networks;
mod races;
mod restart;
mod world;
