// SPDX-License-Identifier: MIT
//! Patterns: those of the shell in substitutions, and those of paths in `.dockerignore`.

pub(crate) mod path;
pub(crate) mod shell;
