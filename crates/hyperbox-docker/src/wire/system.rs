// SPDX-License-Identifier: MIT
//! The engine itself: version, information, events, disk usage, login.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::container::Summary;
use super::image::ImageSummary;
use super::volume::Volume;

/// `GET /version`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Version {
    pub platform: Platform,
    pub components: Vec<Component>,
    pub version: String,
    pub api_version: String,
    #[serde(rename = "MinAPIVersion")]
    pub minimum_api_version: String,
    pub git_commit: String,
    pub go_version: &'static str,
    pub os: &'static str,
    pub arch: &'static str,
    pub kernel_version: String,
    pub build_time: String,
}

/// The product.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Platform {
    pub name: &'static str,
}

/// A part of the product.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Component {
    pub name: String,
    pub version: String,
    pub details: BTreeMap<&'static str, String>,
}

/// An event. `status`, `id` and `from` are the old form, sent to container and image listeners beside the new one.
#[derive(Debug, Serialize)]
pub(crate) struct EventMessage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(rename = "Type")]
    pub kind: &'static str,
    #[serde(rename = "Action")]
    pub action: String,
    #[serde(rename = "Actor")]
    pub actor: EventActor,
    pub scope: &'static str,
    pub time: i64,
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// What an event happened to.
#[derive(Debug, Serialize)]
pub(crate) struct EventActor {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

/// `GET /system/df`. What was not asked for is null.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DiskUsage {
    pub layers_size: u64,
    pub images: Option<Vec<ImageSummary>>,
    pub containers: Option<Vec<Summary>>,
    pub volumes: Option<Vec<Volume>>,
    pub build_cache: Option<Vec<Value>>,
}

/// The answer to a login.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LoginResponse {
    pub identity_token: String,
    pub status: &'static str,
}
