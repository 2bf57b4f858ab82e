// SPDX-License-Identifier: MIT
//! A wrapper that keeps secrets out of logs and errors.

use std::fmt;

/// A secret: prints as `[redacted]` whatever formats it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Redacted<T>(T);

impl<T> Redacted<T> {
    pub(crate) fn new(secret: T) -> Self {
        Self(secret)
    }

    /// Reveals the secret; each call is a place to look at in review.
    pub(crate) fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}
