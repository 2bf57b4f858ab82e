// SPDX-License-Identifier: MIT
//! Docker's own clients against hyperboxd.
//!
//! `cases/AREA.txt` holds cases: command lines of the docker client with what they print and how they end ([`script`] has the
//! format). The expectations were written by Docker Engine (`cargo xtask compat --record`), never by hand, so that the tests need
//! no Docker Engine. Both sides run the same commands through [`engine`], and what differs between any two runs (ids, times,
//! addresses) is replaced by [`normalise`] on both. What HyperBox is known to answer differently is in `known-differences.toml`
//! ([`known`]); the run fails when an entry has become untrue.
//!
//! Only for tests. A panic is how a test reports; the recorder returns errors.

#![forbid(unsafe_code)]

pub mod docs;
pub mod engine;
pub mod images;
pub mod known;
pub mod normalise;
pub mod script;
mod state;
pub mod tools;
mod versions;

use std::path::{Path, PathBuf};

/// Returns the directory of the cases.
pub fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}
