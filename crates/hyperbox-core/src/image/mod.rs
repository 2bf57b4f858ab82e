// SPDX-License-Identifier: MIT
//! Images: what manifests and configurations say, which images there are, and how they come and go.

mod archive;
pub mod change;
mod check;
mod collect;
pub mod compression;
mod delta;
mod difference;
mod distribution;
mod elsewhere;
mod fetch;
mod inspect;
mod lease;
mod make;
pub mod manifest;
mod optimize;
mod pull;
mod push;
mod record;
mod remake;
mod removal;
mod service;
mod usage;

pub use archive::ArchiveStream;
pub use check::{CheckOptions, CheckStream};
pub use collect::Collected;
pub use distribution::{Distribution, DistributionPlatform};
pub use elsewhere::PulledBlobs;
pub(crate) use fetch::ChunkReader;
pub use inspect::{DockerFields, shared_sizes};
pub use lease::LayerLease;
pub use make::{BuiltImage, LayerHolder, MadeFrom, NewImage};
pub use manifest::{ImageManifest, ManifestError, ParsedManifest, choose_platform, media_type};
pub use optimize::{IdleWork, OptimizeOptions};
pub use record::{HistoryEntry, ImageConfig, ImageLayer, ImageRecord};
pub use remake::Remade;
pub use service::{
    ImageDependencies, ImageUser, ImageUsers, Images, ProgressStream, RemoveImageOptions, RemovedImage,
    TransferProgress,
};
