// SPDX-License-Identifier: MIT
//! Names that nothing has yet.

use std::io;

/// Makes 32 random hexadecimal digits.
pub(crate) fn name() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
