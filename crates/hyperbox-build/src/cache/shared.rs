// SPDX-License-Identifier: MIT
//! Steps as they are kept for builds elsewhere: which key made which layer. Pure.
//!
//! It is a field of an image's configuration, or a file beside an archive: a JSON object with a version and a list. What another
//! version or somebody else wrote there is nothing. A key says all that a step depends on, layers below it included, so a step that is
//! taken from elsewhere is right wherever it fits; who may write to the place is trusted as with any image.

use std::collections::HashMap;

use hyperbox_core::image::ImageLayer;
use hyperbox_core::time::Timestamp;
use hyperbox_types::{DiffId, Digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Record;

/// What is written now.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    steps: Vec<Step>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    key: Digest,
    layer: DiffId,
    made: Timestamp,
    #[serde(default)]
    description: String,
}

/// Writes steps, sorted by key so that the same steps are the same text.
pub(crate) fn write<'a>(steps: impl IntoIterator<Item = (&'a Digest, &'a Record)>) -> Value {
    let steps = steps.into_iter().map(|(key, record)| Step {
        key: key.clone(),
        layer: record.layer.diff_id.clone(),
        made: record.created_at,
        description: record.description.clone(),
    });
    let mut steps: Vec<Step> = steps.collect();
    steps.sort_by(|one, other| one.key.cmp(&other.key));
    steps.dedup_by(|one, other| one.key == other.key);
    // Texts and numbers always encode.
    serde_json::to_value(Document {
        version: VERSION,
        steps,
    })
    .unwrap_or_default()
}

/// Reads steps whose layers are among these.
pub(crate) fn read(document: Value, layers: &[ImageLayer]) -> Vec<(Digest, Record)> {
    let Ok(document) = serde_json::from_value::<Document>(document) else {
        return Vec::new();
    };
    if document.version != VERSION {
        return Vec::new();
    }
    let known: HashMap<&DiffId, &ImageLayer> = layers.iter().map(|layer| (&layer.diff_id, layer)).collect();
    let now = Timestamp::now();
    let steps = document.steps.into_iter().filter_map(|step| {
        let layer = known.get(&step.layer)?;
        let record = Record {
            layer: (*layer).clone(),
            created_at: step.made,
            used_at: now,
            uses: 0,
            description: step.description,
        };
        Some((step.key, record))
    });
    steps.collect()
}
