// SPDX-License-Identifier: MIT
//! Steps that were kept elsewhere are taken over, and nothing else changes: no image is listed, and no name moves.

use std::path::Path;

use futures_util::StreamExt as _;
use hyperbox_core::image::{Images, RemoveImageOptions};
use hyperbox_types::ImageReference;
use serde_json::json;

use super::world::Fakes;
use crate::PruneOptions;
use crate::request::{CacheMode, CacheSource, CacheTarget};

const TEXT: &str = "FROM scratch\nRUN one\nRUN two\n";

fn reference(name: &str) -> ImageReference {
    ImageReference::parse(name).unwrap()
}

/// Builds, keeping the steps, and forgets that this machine did it.
async fn keep(fakes: &Fakes, target: CacheTarget) {
    let built = fakes.build_with(TEXT, |request| request.cache_to = vec![target]).await;
    let id = built.unwrap().image.unwrap().to_string();
    forget(fakes, &id).await;
}

async fn forget(fakes: &Fakes, image: &str) {
    fakes
        .images()
        .remove(image, RemoveImageOptions::default())
        .await
        .unwrap();
    let all = PruneOptions {
        all: true,
        ..PruneOptions::default()
    };
    fakes.prune(all).await;
    fakes.carried_out();
}

/// Builds with steps from elsewhere; returns what was carried out all the same.
async fn take(fakes: &Fakes, source: CacheSource) -> Vec<String> {
    let built = fakes.build_with(TEXT, |request| {
        request.cache_from = vec![source];
        request.tags = vec![reference("again:1")];
    });
    built.await.unwrap();
    fakes.carried_out()
}

fn names(images: &Images) -> Vec<String> {
    let mut names: Vec<String> = images
        .list()
        .iter()
        .flat_map(|image| image.references.iter().map(ImageReference::familiar))
        .collect();
    names.sort();
    names
}

fn local(directory: &Path) -> CacheTarget {
    CacheTarget::Local {
        directory: directory.to_owned(),
        mode: CacheMode::Max,
    }
}

#[tokio::test]
async fn what_a_registry_gives_is_not_listed() {
    let fakes = Fakes::new().await;
    let name = reference("registry.example/cache:1");
    let target = CacheTarget::Registry {
        reference: name.clone(),
        mode: CacheMode::Max,
    };
    keep(&fakes, target).await;
    assert_eq!(
        take(&fakes, CacheSource::Registry(name.clone())).await,
        Vec::<String>::new()
    );
    let images = fakes.images();
    assert_eq!((images.list().len(), names(&images)), (1, vec!["again:1".to_owned()]));
    assert!(images.get(&name.to_string()).is_err());
    // What was fetched besides goes when nobody holds it.
    forget(&fakes, "again:1").await;
    images.collect().await;
    assert_eq!(take(&fakes, CacheSource::Registry(name)).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_directory_gives_is_not_listed() {
    let (fakes, place) = (Fakes::new().await, tempfile::tempdir().unwrap());
    keep(&fakes, local(place.path())).await;
    let source = CacheSource::Local(place.path().to_owned());
    assert_eq!(take(&fakes, source).await, Vec::<String>::new());
    let images = fakes.images();
    assert_eq!((images.list().len(), names(&images)), (1, vec!["again:1".to_owned()]));
}

#[tokio::test]
async fn an_archive_that_names_its_images_moves_no_name() {
    let (fakes, place) = (Fakes::new().await, tempfile::tempdir().unwrap());
    let images = fakes.images();
    // The archive of an image called app:1, which is called so here no more.
    let theirs = fakes.build_with("FROM scratch\nRUN theirs\n", |request| {
        request.tags = vec![reference("app:1")];
    });
    let theirs = theirs.await.unwrap().image.unwrap();
    let mut archive = images.save(&["app:1".to_owned()]).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = archive.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    std::fs::write(place.path().join("layers.tar"), bytes).unwrap();
    let ours = fakes.build_with("FROM scratch\nRUN ours\n", |request| {
        request.tags = vec![reference("app:1")];
    });
    let ours = ours.await.unwrap().image.unwrap();
    forget(&fakes, &theirs.to_string()).await;
    for image in [theirs.to_string(), format!("sha256:{}", "7".repeat(64))] {
        let index = json!({ "image": image, "cache": null }).to_string();
        std::fs::write(place.path().join("hyperbox-cache.json"), index).unwrap();
        take(&fakes, CacheSource::Local(place.path().to_owned())).await;
        assert_eq!(images.get("app:1").unwrap().id, ours, "{image}");
        assert!(images.get(&theirs.to_string()).is_err(), "{image}");
        assert_eq!(images.list().len(), 2, "{image}");
    }
}
