// SPDX-License-Identifier: MIT
//! Randomness from the kernel, for ids and names.

use crate::{Result, ServiceError};

/// Returns random bytes.
///
/// # Errors
/// `Internal` when the kernel has none to give.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| ServiceError::internal("cannot read random bytes from the kernel").with_source(error))?;
    Ok(bytes)
}
