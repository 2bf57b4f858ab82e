// SPDX-License-Identifier: MIT
//! `provider`: a service that is no container. Nothing here runs one; it is known so that nobody looks for its image.

use serde::{Deserialize, Serialize};

/// `provider`: a program of Docker Compose's that makes a service of something else than containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provider {
    /// Which program.
    #[serde(rename = "type")]
    pub kind: String,
}
