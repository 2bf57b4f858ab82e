// SPDX-License-Identifier: MIT
//! Copying between this machine and a container, by Docker's rules.
//!
//! What goes where is decided purely in `place.rs`; archives of local files are made and unpacked in `local.rs`. An archive is
//! streamed: memory does not grow with it.

pub(crate) mod local;
pub(crate) mod place;
