// SPDX-License-Identifier: MIT
//! Progress messages of pull, push and load.

use serde::Deserialize;
use serde_json::value::RawValue;

/// One message.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// A line of text that stands for itself.
    pub stream: Option<String>,
    /// What is happening.
    pub status: Option<String>,
    /// To which layer.
    pub id: Option<String>,
    /// How far it is.
    #[serde(rename = "progressDetail")]
    pub detail: Option<ProgressDetail>,
    /// Why it failed.
    #[serde(rename = "errorDetail")]
    pub error_detail: Option<ProgressError>,
    /// Why it failed, for old clients.
    pub error: Option<String>,
    /// Results for programs, such as the digest of a push.
    pub aux: Option<Box<RawValue>>,
}

impl Progress {
    /// Returns the failure that this message reports.
    pub fn failure(&self) -> Option<&str> {
        self.error_detail
            .as_ref()
            .map(|detail| detail.message.as_str())
            .or(self.error.as_deref())
    }
}

/// How far a layer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    /// Done.
    pub current: i64,
    /// In all; 0 when unknown.
    pub total: i64,
    /// Counts things that are not bytes.
    #[serde(rename = "hidecounts")]
    pub hide_counts: bool,
}

/// A failure.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ProgressError {
    /// One sentence.
    pub message: String,
}
