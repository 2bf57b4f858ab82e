// SPDX-License-Identifier: MIT
//! The shapes of Docker's JSON, one file per resource. Requests are read leniently (`go_json`; every field may be absent); answers have exactly the fields that Docker 28 sends, `null` where it sends `null`.

pub(crate) mod config;
pub(crate) mod container;
pub(crate) mod exec;
pub(crate) mod host_config;
pub(crate) mod image;
pub(crate) mod network;
mod shapes;
pub(crate) mod stats;
pub(crate) mod system;
pub(crate) mod volume;

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::go_json::Json;

/// Go's `map[string]struct{}`: a set.
pub(crate) type Set = BTreeMap<String, Empty>;

/// Go's `struct{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Empty {}

/// One text or a list of texts (Docker's `strslice`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Words {
    /// A single word.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Text(word) => Ok(Self::One(word)),
            other => Vec::deserialize(other).map(Self::Many).map_err(D::Error::custom),
        }
    }
}

impl Words {
    /// Returns the list.
    pub(crate) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word],
            Self::Many(words) => words,
        }
    }
}
