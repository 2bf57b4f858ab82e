// SPDX-License-Identifier: MIT
//! In which form a layer is kept.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The form of a layer on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerForm {
    /// A directory with the layer's files.
    #[default]
    Directory,
    /// The uncompressed tar and an EROFS index over it.
    Erofs,
}

impl fmt::Display for LayerForm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Directory => "directories",
            Self::Erofs => "EROFS indexes over tars",
        })
    }
}
