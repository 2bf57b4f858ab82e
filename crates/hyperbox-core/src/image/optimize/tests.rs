// SPDX-License-Identifier: MIT
//! Which blobs can be left to registries, and what images share in files.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hyperbox_types::{Architecture, ByteSize, DiffId, Digest, ImageId, ImageReference, Platform};

use super::blobs::{changed, releasable};
use crate::image::usage::with_shared_files;
use crate::image::{ImageConfig, ImageLayer, ImageRecord};
use crate::seam::Descriptor;

fn digest(number: u8) -> Digest {
    Digest::from_sha256([number; 32])
}

fn descriptor(number: u8) -> Descriptor {
    Descriptor {
        media_type: "x".to_owned(),
        digest: digest(number),
        size: ByteSize(1),
        annotations: BTreeMap::new(),
    }
}

/// An image with layers; with a repository, a registry has it.
fn image(number: u8, repository: Option<&str>, layers: &[u8]) -> Arc<ImageRecord> {
    let layer = |layer: &u8| ImageLayer {
        diff_id: DiffId(digest(*layer)),
        blob: descriptor(layer + 100),
    };
    let name = repository.map(|repository| ImageReference::parse(&format!("{repository}@{}", digest(number))));
    Arc::new(ImageRecord {
        id: ImageId(digest(number)),
        manifest: descriptor(number),
        configuration: descriptor(number),
        platform: Platform {
            os: "linux".to_owned(),
            architecture: Architecture::new("amd64"),
            variant: None,
        },
        created_at: None,
        size: ByteSize(1000),
        layers: layers.iter().map(layer).collect(),
        elsewhere: BTreeMap::new(),
        config: ImageConfig::default(),
        history: Vec::new(),
        author: String::new(),
        comment: String::new(),
        parent: None,
        tagged_at: None,
        labels_given: false,
        references: Vec::new(),
        digests: name.map(|name| name.expect("a name")).into_iter().collect(),
    })
}

#[test]
fn blobs_go_that_a_registry_has_and_whose_layers_are_here() {
    // The second image was built here on the first one; the fourth layer of the third is not unpacked.
    let images = [
        image(1, Some("r.example/a"), &[1, 2]),
        image(2, None, &[1, 2, 3]),
        image(3, Some("r.example/b"), &[4, 1]),
    ];
    let sources = releasable(&images, |_| true, |layer| *layer != DiffId(digest(4)));
    let blobs: Vec<&Digest> = sources.keys().collect();
    assert_eq!(blobs, [&digest(101), &digest(102)]);
    assert!(
        sources
            .values()
            .all(|source| source.repository().to_string().ends_with("r.example/a"))
    );
    let records = changed(&images, &sources);
    let told: Vec<_> = records
        .iter()
        .map(|record| (record.id.clone(), record.elsewhere.len()))
        .collect();
    assert_eq!(
        told,
        [
            (ImageId(digest(1)), 2),
            (ImageId(digest(2)), 2),
            (ImageId(digest(3)), 1)
        ]
    );
    let records: Vec<_> = records.into_iter().map(Arc::new).collect();
    assert!(changed(&records, &sources).is_empty(), "it is told once");
}

#[test]
fn shared_files_count_once_for_each_image() {
    let images = [image(1, None, &[1, 2]), image(2, None, &[1, 3])];
    let sizes = |pairs: &[(u8, u64)]| -> HashMap<DiffId, ByteSize> {
        let size = |(layer, size): &(u8, u64)| (DiffId(digest(*layer)), ByteSize(*size));
        pairs.iter().map(size).collect()
    };
    // The first layer is shared as a whole already; of the others fifty bytes are.
    let all = sizes(&[(1, 300), (2, 100), (3, 150)]);
    let own = sizes(&[(1, 0), (2, 50), (3, 100)]);
    let shared = with_shared_files(&images, &[ByteSize(300), ByteSize(300)], &all, &own);
    assert_eq!(shared, [ByteSize(350), ByteSize(350)]);
}
