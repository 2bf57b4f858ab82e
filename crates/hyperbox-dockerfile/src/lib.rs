// SPDX-License-Identifier: MIT
//! Dockerfiles and `.dockerignore` files, parsed; no input and no output.
//!
//! ```text
//! text ──directive──▶ Directives
//!      ──logical───▶ logical lines: continuations joined, comments gone, here-documents attached
//!      ──parse─────▶ Dockerfile { arguments, stages { instructions } }
//!      ──globals───▶ what FROM lines see
//!      ──graph─────▶ the stages that a target needs, and what each needs of others
//!      ──check─────▶ what the file should not say although it may
//!      ──outline───▶ what the file offers: targets, and what they can be given
//! ```
//! Values stay as they are written: what `$NAME` means is known only when a build evaluates ([`word::expand`]).
//!
//! Source: <https://docs.docker.com/reference/dockerfile/>; where it is silent, what Docker Engine's builder answers. Error texts are
//! Docker's. Nothing here panics on any input.
#![forbid(unsafe_code)]

pub mod check;
mod directive;
mod error;
mod flag;
mod globals;
mod graph;
mod heredoc;
mod ignore;
mod instruction;
mod logical;
mod mount;
pub mod outline;
mod parse;
mod pattern;
mod value;
pub mod word;

pub use directive::Directives;
pub use error::{Lines, ParseError};
pub use globals::{Expanded, GlobalArgument, Globals, GlobalsError};
pub use graph::{Dependency, GraphError, StageGraph};
pub use heredoc::Heredoc;
pub use ignore::{Ignore, IgnoreError};
pub use instruction::{
    Add, Argument, CommandLine, Copy, Dockerfile, Healthcheck, Instruction, KeyValue, Located, Run, RunNetwork,
    RunSecurity, Source, Stage,
};
pub use mount::{CacheSharing, Mount, MountKind};
