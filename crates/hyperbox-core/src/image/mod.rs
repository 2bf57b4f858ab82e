// SPDX-License-Identifier: MIT
//! Images: what manifests say.

pub mod manifest;

pub use manifest::{ImageManifest, ManifestError, ParsedManifest, choose_platform, media_type};
