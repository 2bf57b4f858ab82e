// SPDX-License-Identifier: MIT
//! The options by which a project is named.

use std::path::PathBuf;

use clap::Args;

/// Which project.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ProjectOptions {
    /// Compose configuration files [default: those of the folder, or of the nearest one above it]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,
    /// Project name [default: that of the files, or the folder's]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) project_name: Option<String>,
    /// The folder that paths start from [default: that of the first file]
    #[arg(long, value_name = "DIR")]
    pub(crate) project_directory: Option<PathBuf>,
    /// Profile to enable; `*` enables all
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Vec<String>,
    /// File of variables for the Compose files [default: `.env` of the folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
}
