// SPDX-License-Identifier: MIT
//! System call filters.

use hyperbox_sys::seccomp::Instruction;
use oci_spec::runtime::LinuxSeccomp;

use crate::error::StartError;

/// A compiled filter.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    program: Vec<Instruction>,
    flags: u32,
}

impl Filter {
    pub(crate) fn compile(_profile: &LinuxSeccomp) -> Result<Self, StartError> {
        Err(StartError::unsupported("seccomp"))
    }

    pub(crate) fn program(&self) -> &[Instruction] {
        &self.program
    }

    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }
}
