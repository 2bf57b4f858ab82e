// SPDX-License-Identifier: MIT
//! Indexes against those who know: the kernel that mounts them, GNU tar that extracts the same archive, and erofs-utils that make and
//! check indexes of their own.
//!
//! Mounts are attached to nothing: a test that dies leaves none behind.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "contents are patterns of bytes: their upper bits do not matter"
)]

mod archive;
mod attributes;
mod generated;
mod index;
mod large;
mod mounted;
mod real;
mod tools;
mod view;
