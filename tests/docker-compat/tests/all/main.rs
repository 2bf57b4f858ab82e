// SPDX-License-Identifier: MIT
//! Docker's own clients against hyperboxd. All tests need root and the clients that `cargo xtask setup` installs.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod bollard;
mod cases;
mod testcontainers;
