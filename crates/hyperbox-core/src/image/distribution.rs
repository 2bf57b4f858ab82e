// SPDX-License-Identifier: MIT
//! What a registry says of an image, without pulling it: the descriptor that its name leads to, and the platforms behind it.
//!
//! An index names its platforms itself, attestations (`unknown/unknown`) among them, as Docker shows them; the platform of a plain
//! manifest stands in its configuration, a small blob that is fetched (and verified) like one of a pull.

use hyperbox_types::ImageReference;
use serde::{Deserialize, Serialize};

use super::fetch::{Blobs, Source, progress_channel};
use super::manifest::{self, CONFIG_LIMIT, ParsedManifest};
use super::service::{Images, registry_failure};
use crate::seam::{Credentials, Descriptor};
use crate::{Result, ServiceError};

/// An image as its registry describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The manifest or index that the name leads to.
    pub descriptor: Descriptor,
    /// The platforms that it has, in its order.
    pub platforms: Vec<DistributionPlatform>,
}

/// A platform in the words of the image specification, as written there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DistributionPlatform {
    /// Architecture, such as `amd64`.
    pub architecture: String,
    /// Operating system, such as `linux`.
    pub os: String,
    /// Version of the operating system.
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// What it requires of the operating system.
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Variant of the architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// What the registry says of a manifest that it lacks is told alone here, other than in a pull.
fn without_name(error: ServiceError) -> ServiceError {
    match error.message().split_once(" not found: ") {
        Some((named, told)) if named.starts_with("manifest for ") => ServiceError::not_found(told),
        _ => error,
    }
}

impl Images {
    /// Asks the registry about an image. Cancel-safe; changes nothing.
    ///
    /// # Errors
    /// Those of resolving the reference; `InvalidArgument` for what is no image.
    pub async fn inspect_distribution(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Distribution> {
        let registry = &self.inner.with.registry;
        let top = registry
            .manifest(reference, credentials)
            .await
            .map_err(|error| without_name(registry_failure("inspect", error)))?;
        let parsed = manifest::parse(&top.descriptor.media_type, &top.bytes)
            .map_err(|error| ServiceError::from_mechanism("cannot use the manifest", error.kind(), error))?;
        let platforms = match parsed {
            ParsedManifest::Index(_) => index_platforms(&top.bytes),
            ParsedManifest::Image(image) => {
                let lease = self.inner.leases.open().await;
                // Nobody looks at the progress of so little.
                let (progress, _receiver) = progress_channel();
                let source = Source {
                    inner: &self.inner,
                    reference,
                    credentials,
                    progress: &progress,
                    lease: &lease,
                    delta: None,
                    blobs: Blobs::None,
                };
                let config = source.small_blob(&image.config, CONFIG_LIMIT).await?;
                let platform: DistributionPlatform = serde_json::from_slice(&config.bytes).unwrap_or_default();
                let known = !platform.os.is_empty() || !platform.architecture.is_empty();
                known.then_some(platform).into_iter().collect()
            }
        };
        Ok(Distribution {
            descriptor: top.descriptor,
            platforms,
        })
    }
}

/// The platforms of an index as it writes them; an entry without one counts as an empty one, as for Docker.
fn index_platforms(bytes: &[u8]) -> Vec<DistributionPlatform> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Index {
        manifests: Vec<Entry>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Entry {
        platform: Option<DistributionPlatform>,
    }
    // The bytes were parsed as an index before.
    let index: Index = serde_json::from_slice(bytes).unwrap_or_default();
    let platforms = index.manifests.into_iter();
    platforms.map(|entry| entry.platform.unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_of_an_index_are_told_as_written() {
        let index = br#"{"manifests":[
            {"platform":{"architecture":"amd64","os":"linux"}},
            {"platform":{"architecture":"arm","os":"linux","variant":"v7","os.version":"1"}},
            {"digest":"x"},
            {"platform":{"architecture":"unknown","os":"unknown"}}]}"#;
        let platforms = index_platforms(index);
        assert_eq!(
            serde_json::to_string(&platforms).expect("plain data"),
            r#"[{"architecture":"amd64","os":"linux"},{"architecture":"arm","os":"linux","os.version":"1","variant":"v7"},{"architecture":"","os":""},{"architecture":"unknown","os":"unknown"}]"#
        );
        assert!(index_platforms(b"nonsense").is_empty());
    }
}
