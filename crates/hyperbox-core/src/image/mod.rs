// SPDX-License-Identifier: MIT
//! Images: what manifests and configurations say, which images there are, and how they come and go.

mod archive;
pub mod change;
mod distribution;
mod fetch;
mod lease;
mod make;
pub mod manifest;
mod pull;
mod push;
mod record;
mod service;

pub use archive::ArchiveStream;
pub use distribution::{Distribution, DistributionPlatform};
pub(crate) use fetch::ChunkReader;
pub use lease::LayerLease;
pub use make::NewImage;
pub use manifest::{ImageManifest, ManifestError, ParsedManifest, choose_platform, media_type};
pub use record::{HistoryEntry, ImageConfig, ImageLayer, ImageRecord};
pub use service::{
    ImageDependencies, ImageUser, ImageUsers, Images, ProgressStream, RemoveImageOptions, RemovedImage,
    TransferProgress,
};
