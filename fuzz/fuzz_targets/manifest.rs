// SPDX-License-Identifier: MIT
//! Manifests and indexes: any bytes under any media type are survived, and limits hold.
#![no_main]

use hyperbox_core::image::manifest::{MAX_INDEX_ENTRIES, MAX_LAYERS, ParsedManifest, parse};
use hyperbox_core::image::{choose_platform, media_type};
use hyperbox_types::Platform;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let stated = media_type::ACCEPTED
        .get(usize::from(choice))
        .copied()
        .unwrap_or_default();
    match parse(stated, bytes) {
        Ok(ParsedManifest::Image(image)) => {
            assert!(media_type::is_manifest(&image.media_type));
            assert!(image.layers.len() <= MAX_LAYERS);
        }
        Ok(ParsedManifest::Index(entries)) => {
            assert!(entries.len() <= MAX_INDEX_ENTRIES);
            choose_platform(&entries, &Platform::host());
        }
        Err(_) => {}
    }
});
