// SPDX-License-Identifier: MIT
//! `seccomp(2)`: installs a filter program for the calling thread and its children.

use std::io;

/// One instruction of classic BPF (`struct sock_filter` of `linux/filter.h`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip when a comparison is true.
    pub jump_true: u8,
    /// How many instructions to skip when it is false.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

/// Logs every action but "allow" (`SECCOMP_FILTER_FLAG_LOG`).
pub const FLAG_LOG: u32 = 2;
/// Does not turn speculative store bypass off (`SECCOMP_FILTER_FLAG_SPEC_ALLOW`).
pub const FLAG_SPEC_ALLOW: u32 = 4;

/// Installs a filter. Needs `no_new_privs` or `CAP_SYS_ADMIN`.
///
/// # Errors
/// Those of `seccomp(2)`; `EINVAL` for a program that the kernel's checker refuses.
pub fn install_filter(program: &[Instruction], flags: u32) -> io::Result<()> {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const Instruction,
    }
    let program = Program {
        length: u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?,
        instructions: program.as_ptr(),
    };
    // SAFETY: `Program` has the layout of `struct sock_fprog`, and points to that many live instructions.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
