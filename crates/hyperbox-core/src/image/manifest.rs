// SPDX-License-Identifier: MIT
//! Image manifests: foreign bytes to one model, whichever of the two formats they are in.
//!
//! OCI image manifests and indexes (image-spec 1.1) and Docker's schema 2 manifests and manifest lists carry the same facts under
//! different media types. Everything downstream sees [`ImageManifest`] only. Parsing is pure, bounded and strict where laxness
//! was exploited before: a document that is both a manifest and an index, or that contradicts its own media type, is refused
//! (CVE-2021-41190), as are layers that live elsewhere (`foreign`, `nondistributable`) and documents that are no images.

use std::collections::BTreeMap;

use hyperbox_types::{Architecture, ByteSize, Digest, ErrorKind, Platform};
use serde::Deserialize;

use crate::seam::Descriptor;

pub mod media_type;

#[cfg(test)]
mod tests;

/// The longest manifest or index that is read (the limit that registries use, too).
pub const MANIFEST_LIMIT: ByteSize = ByteSize(4 * 1024 * 1024);
/// The longest image configuration that is read.
pub const CONFIG_LIMIT: ByteSize = ByteSize(8 * 1024 * 1024);
/// The most layers that an image may have; the kernel's overlay takes fewer, so more is an attack or a mistake.
pub const MAX_LAYERS: usize = 500;
/// The most entries that an index may have.
pub const MAX_INDEX_ENTRIES: usize = 1000;

/// An image for one platform: its configuration and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    /// Media type of the manifest itself.
    pub media_type: String,
    /// The image configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// What the bytes turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParsedManifest {
    /// An image for one platform.
    Image(ImageManifest),
    /// A choice of manifests, each perhaps for a platform.
    Index(Vec<(Descriptor, Option<Platform>)>),
}

/// The bytes are not an image that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Docker's first format, which has no content addresses.
    #[error("manifest schema version 1 is not supported: push the image again with a current tool")]
    Schema1,
    /// Not JSON, or not of the shape that the media type promises.
    #[error("malformed manifest: {reason}")]
    Malformed {
        /// What is wrong, with the place.
        reason: String,
    },
    /// A well-formed document that is no image: a chart, a signature, an attestation.
    #[error("unsupported {what} media type {media_type:?}: not a container image")]
    UnsupportedMediaType {
        /// Which part has it.
        what: &'static str,
        /// The media type.
        media_type: String,
    },
    /// A layer whose content may not be kept in registries, such as Windows base layers.
    #[error("layer {digest} has the foreign media type {media_type:?}: its content is not distributed by the registry")]
    ForeignLayer {
        /// The layer.
        digest: Digest,
        /// The media type.
        media_type: String,
    },
    /// More of something than any image needs.
    #[error("manifest has {count} {what}, more than the allowed {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        count: u64,
        /// How much is allowed.
        limit: u64,
    },
}

impl ManifestError {
    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Schema1 | Self::UnsupportedMediaType { .. } | Self::ForeignLayer { .. } => ErrorKind::Unsupported,
            Self::Malformed { .. } | Self::TooMany { .. } => ErrorKind::InvalidArgument,
        }
    }
}

/// Parses a manifest or an index.
///
/// `media_type` is what the transport said; parameters are ignored. When it is empty or says nothing (`application/json`,
/// `text/plain`, `application/octet-stream`), the document's own `mediaType` or its shape decides.
///
/// # Errors
/// [`ManifestError`] says what is wrong; no input makes it panic.
pub fn parse(media_type: &str, bytes: &[u8]) -> Result<ParsedManifest, ManifestError> {
    let (document, media_type) = read(media_type, bytes)?;
    if media_type::is_index(&media_type) {
        document.into_index().map(ParsedManifest::Index)
    } else {
        document.into_image(media_type).map(ParsedManifest::Image)
    }
}

/// Returns which kind of manifest or index the bytes are, without judging what it refers to.
///
/// # Errors
/// As [`parse`], but not for unusable configurations and layers.
pub fn detect(media_type: &str, bytes: &[u8]) -> Result<String, ManifestError> {
    read(media_type, bytes).map(|(_, media_type)| media_type)
}

fn read(media_type: &str, bytes: &[u8]) -> Result<(Document, String), ManifestError> {
    if bytes.len() as u64 > MANIFEST_LIMIT.0 {
        return Err(too_many("bytes", bytes.len(), MANIFEST_LIMIT.0));
    }
    let stated = media_type::essence(media_type);
    if media_type::is_schema1(&stated) {
        return Err(ManifestError::Schema1);
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| ManifestError::Malformed {
        reason: error.to_string(),
    })?;
    let media_type = document.media_type(&stated)?;
    document.refuse_ambiguity(&media_type)?;
    if media_type::is_index(&media_type) || media_type::is_manifest(&media_type) {
        Ok((document, media_type))
    } else {
        Err(ManifestError::UnsupportedMediaType {
            what: "manifest",
            media_type,
        })
    }
}

/// Returns the entry that runs best on `wanted`, the first of equals; `None` when none does.
///
/// Attestation manifests (`unknown/unknown`, or annotated as BuildKit does) are never chosen. An entry that names no platform is
/// taken only when no entry names a fitting one: its configuration then tells.
pub fn choose_platform<'a>(entries: &'a [(Descriptor, Option<Platform>)], wanted: &Platform) -> Option<&'a Descriptor> {
    let usable = || {
        entries
            .iter()
            .filter(|(descriptor, platform)| !is_attestation(descriptor, platform.as_ref()))
    };
    let ranked = usable().filter_map(|(descriptor, platform)| Some((wanted.rank(platform.as_ref()?)?, descriptor)));
    ranked
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, descriptor)| descriptor)
        .or_else(|| {
            usable()
                .find(|(_, platform)| platform.is_none())
                .map(|(descriptor, _)| descriptor)
        })
}

fn is_attestation(descriptor: &Descriptor, platform: Option<&Platform>) -> bool {
    platform.is_some_and(|platform| platform.os == "unknown" || platform.architecture.as_str() == "unknown")
        || descriptor
            .annotations
            .get("vnd.docker.reference.type")
            .is_some_and(|kind| kind == "attestation-manifest")
}

/// The union of all documents: what is absent decides which one it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    manifests: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

impl Document {
    /// Settles the media type between the transport, the document and its shape.
    fn media_type(&self, stated: &str) -> Result<String, ManifestError> {
        if self.schema_version == 1 || self.fs_layers.is_some() {
            return Err(ManifestError::Schema1);
        }
        if self.schema_version != 2 {
            return Err(malformed(format!("schema version {} is unknown", self.schema_version)));
        }
        let inner = self.media_type.as_deref().map(media_type::essence).unwrap_or_default();
        let says_nothing = media_type::is_generic(stated);
        if !says_nothing && !inner.is_empty() && inner != stated {
            return Err(malformed(format!(
                "it was sent as {stated:?} but calls itself {inner:?}"
            )));
        }
        Ok(match (says_nothing, inner.is_empty()) {
            (false, _) => stated.to_owned(),
            (true, false) => inner,
            (true, true) if self.manifests.is_some() => media_type::OCI_INDEX.to_owned(),
            (true, true) => media_type::OCI_MANIFEST.to_owned(),
        })
    }

    fn refuse_ambiguity(&self, media_type: &str) -> Result<(), ManifestError> {
        let is_index = media_type::is_index(media_type);
        if is_index && (self.layers.is_some() || self.config.is_some()) {
            return Err(malformed("an index must not have a config or layers".to_owned()));
        }
        if !is_index && self.manifests.is_some() {
            return Err(malformed("an image manifest must not have manifests".to_owned()));
        }
        Ok(())
    }

    fn into_index(self) -> Result<Vec<(Descriptor, Option<Platform>)>, ManifestError> {
        let manifests = self
            .manifests
            .ok_or_else(|| malformed("an index without manifests".to_owned()))?;
        if manifests.len() > MAX_INDEX_ENTRIES {
            return Err(too_many("entries", manifests.len(), MAX_INDEX_ENTRIES as u64));
        }
        Ok(manifests.into_iter().map(RawDescriptor::into_entry).collect())
    }

    fn into_image(self, media_type: String) -> Result<ImageManifest, ManifestError> {
        let config = self
            .config
            .ok_or_else(|| malformed("an image manifest without a config".to_owned()))?
            .into_entry()
            .0;
        if !media_type::is_config(&config.media_type) {
            return Err(ManifestError::UnsupportedMediaType {
                what: "config",
                media_type: config.media_type,
            });
        }
        if config.size > CONFIG_LIMIT {
            return Err(ManifestError::TooMany {
                what: "bytes of configuration",
                count: config.size.0,
                limit: CONFIG_LIMIT.0,
            });
        }
        let layers = self.layers.unwrap_or_default();
        if layers.len() > MAX_LAYERS {
            return Err(too_many("layers", layers.len(), MAX_LAYERS as u64));
        }
        let layers: Vec<Descriptor> = layers.into_iter().map(|layer| layer.into_entry().0).collect();
        layers.iter().try_for_each(check_layer)?;
        Ok(ImageManifest {
            media_type,
            config,
            layers,
        })
    }
}

impl RawDescriptor {
    fn into_entry(self) -> (Descriptor, Option<Platform>) {
        let platform = self
            .platform
            .filter(|platform| !platform.os.is_empty() && !platform.architecture.is_empty());
        let platform = platform.map(|platform| Platform {
            os: platform.os.to_ascii_lowercase(),
            architecture: Architecture::new(&platform.architecture),
            variant: platform.variant.filter(|variant| !variant.is_empty()),
        });
        let descriptor = Descriptor {
            media_type: media_type::essence(&self.media_type),
            digest: self.digest,
            size: ByteSize(self.size),
            annotations: self.annotations.unwrap_or_default(),
        };
        (descriptor, platform)
    }
}

fn check_layer(layer: &Descriptor) -> Result<(), ManifestError> {
    if media_type::is_foreign_layer(&layer.media_type) {
        return Err(ManifestError::ForeignLayer {
            digest: layer.digest.clone(),
            media_type: layer.media_type.clone(),
        });
    }
    if media_type::layer_compression(&layer.media_type).is_none() {
        return Err(ManifestError::UnsupportedMediaType {
            what: "layer",
            media_type: layer.media_type.clone(),
        });
    }
    Ok(())
}

fn malformed(reason: String) -> ManifestError {
    ManifestError::Malformed { reason }
}

fn too_many(what: &'static str, count: usize, limit: u64) -> ManifestError {
    ManifestError::TooMany {
        what,
        count: count as u64,
        limit,
    }
}
