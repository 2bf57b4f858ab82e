// SPDX-License-Identifier: MIT
//! Whole builds on fakes of the seams: what is carried out, what the cache has, what is left.

mod sharing;
mod world;

use hyperbox_core::image::RemoveImageOptions;
use hyperbox_types::ImageReference;

use self::world::{Fakes, build_args, last_layers};
use crate::request::NoCache;
use crate::{BuildError, PruneOptions, StepError};

#[tokio::test]
async fn a_second_build_carries_nothing_out_and_makes_the_same_image() {
    let fakes = Fakes::new().await;
    let text = "FROM scratch AS a\nCOPY f /\nRUN one\nFROM scratch\nCOPY --from=a /f /g\nRUN two\nCMD x\n";
    let first = fakes.build(text).await.unwrap();
    assert_eq!(fakes.carried_out(), ["COPY /", "RUN one", "COPY /g", "RUN two"]);
    let second = fakes.build(text).await.unwrap();
    assert_eq!(fakes.carried_out(), Vec::<String>::new());
    assert_eq!(first.image, second.image);
}

#[tokio::test]
async fn what_a_change_makes_anew_is_that_step_and_what_builds_on_it() {
    let fakes = Fakes::new().await;
    let text = |last: &str| format!("FROM scratch\nRUN one\nCOPY f /\nRUN {last}\n");
    fakes.build(&text("a")).await.unwrap();
    fakes.carried_out();
    fakes.build(&text("b")).await.unwrap();
    assert_eq!(fakes.carried_out(), ["RUN b"]);
    fakes.set_content(b"changed");
    fakes.build(&text("b")).await.unwrap();
    assert_eq!(fakes.carried_out(), ["COPY /", "RUN b"]);
    // What was there before is still there.
    fakes.set_content(b"content");
    fakes.build(&text("a")).await.unwrap();
    assert_eq!(fakes.carried_out(), Vec::<String>::new());
}

#[tokio::test]
async fn a_step_that_makes_the_same_as_before_ends_the_change() {
    let fakes = Fakes::new().await;
    let text = |first: &str| format!("FROM scratch\nRUN {first}\nRUN two\n");
    // The fake's layers are what the last word says.
    fakes.build(&text("x same")).await.unwrap();
    fakes.carried_out();
    fakes.build(&text("y same")).await.unwrap();
    assert_eq!(fakes.carried_out(), ["RUN y same"]);
}

#[tokio::test]
async fn stages_that_nobody_needs_are_not_built() {
    let fakes = Fakes::new().await;
    let text = "FROM scratch AS unused\nRUN bad\nFROM scratch AS used\nRUN good\nFROM used AS wanted\nRUN last\nFROM scratch\nRUN behind\n";
    fakes.build_target(text, "wanted").await.unwrap();
    assert_eq!(fakes.carried_out(), ["RUN good", "RUN last"]);
    let error = fakes.build_target(text, "nope").await.unwrap_err();
    assert!(matches!(error, BuildError::Dockerfile { .. }), "{error}");
}

#[tokio::test]
async fn nothing_is_taken_from_the_cache_when_it_is_not_wanted() {
    let fakes = Fakes::new().await;
    let text = "FROM scratch AS a\nRUN one\nFROM scratch AS b\nCOPY --from=a /f /\nRUN two\n";
    fakes.build(text).await.unwrap();
    fakes.carried_out();
    fakes
        .build_with(text, |request| request.no_cache = NoCache::Everything)
        .await
        .unwrap();
    assert_eq!(fakes.carried_out(), ["RUN one", "COPY /", "RUN two"]);
    fakes
        .build_with(text, |request| request.no_cache = NoCache::Stages(vec!["b".to_owned()]))
        .await
        .unwrap();
    assert_eq!(fakes.carried_out(), ["COPY /", "RUN two"]);
}

#[tokio::test]
async fn a_failed_step_is_named_and_nothing_is_tagged() {
    let fakes = Fakes::new().await;
    let error = fakes.build("FROM scratch\nRUN fine\nRUN fail\n").await.unwrap_err();
    let BuildError::Step { name, lines, source } = &error else {
        panic!("{error}")
    };
    assert_eq!(name, "[2/2] RUN fail");
    assert_eq!(lines.unwrap().first, 3);
    assert!(matches!(&**source, StepError::Exit { code: 1, .. }));
    assert!(fakes.images().list().is_empty());
    fakes.carried_out();
    // What went well is kept.
    fakes.build("FROM scratch\nRUN fine\nRUN other\n").await.unwrap();
    assert_eq!(fakes.carried_out(), ["RUN other"]);
}

#[tokio::test]
async fn builds_at_the_same_time_do_the_same_step_once() {
    let fakes = Fakes::new().await;
    let text = "FROM scratch\nRUN wait\n";
    let release = async {
        fakes.waiting(1).await;
        fakes.go();
    };
    let (one, other, ()) = tokio::join!(fakes.build(text), fakes.build(text), release);
    assert_eq!(one.unwrap().image, other.unwrap().image);
    assert_eq!(fakes.carried_out(), ["RUN wait"]);
}

#[tokio::test]
async fn a_build_that_is_dropped_stops_its_steps() {
    let fakes = Fakes::new().await;
    tokio::select! {
        built = fakes.build("FROM scratch\nRUN wait\n") => panic!("{built:?}"),
        () = fakes.waiting(1) => {}
    }
    fakes.stopped(1).await;
    assert!(fakes.images().list().is_empty());
}

#[tokio::test]
async fn the_cache_holds_its_layers_until_it_forgets_them() {
    let fakes = Fakes::new().await;
    let text = "FROM scratch\nRUN one\n";
    let id = fakes.build(text).await.unwrap().image.unwrap().to_string();
    let layer = last_layers(&fakes.images(), &id);
    fakes.images().remove(&id, RemoveImageOptions::default()).await.unwrap();
    fakes.images().collect().await;
    assert!(fakes.has(&layer[0]), "the cache holds it");
    fakes.carried_out();
    fakes.build(text).await.unwrap();
    assert_eq!(fakes.carried_out(), Vec::<String>::new());
    // An image has it too: it only goes when everything is to go.
    assert!(fakes.prune(PruneOptions::default()).await.ids.is_empty());
    let all = PruneOptions {
        all: true,
        ..PruneOptions::default()
    };
    assert_eq!(fakes.prune(all).await.ids.len(), 1);
    assert!(fakes.has(&layer[0]), "the image holds it");
    fakes.images().remove(&id, RemoveImageOptions::default()).await.unwrap();
    assert!(!fakes.has(&layer[0]), "nobody holds it");
    fakes.build(text).await.unwrap();
    assert_eq!(fakes.carried_out(), ["RUN one"]);
}

#[tokio::test]
async fn a_restart_keeps_the_cache() {
    let fakes = Fakes::new().await;
    let text = "FROM scratch\nRUN one\n";
    let id = fakes.build(text).await.unwrap().image.unwrap().to_string();
    fakes.images().remove(&id, RemoveImageOptions::default()).await.unwrap();
    fakes.carried_out();
    let fakes = fakes.restarted().await;
    fakes.build(text).await.unwrap();
    assert_eq!(fakes.carried_out(), Vec::<String>::new());
}

#[tokio::test]
async fn a_layer_that_went_is_made_again() {
    let fakes = Fakes::new().await;
    let text = "FROM scratch\nRUN one\nRUN two\n";
    let id = fakes.build(text).await.unwrap().image.unwrap().to_string();
    let layers = last_layers(&fakes.images(), &id);
    fakes.carried_out();
    fakes.lose(&layers[1]).await;
    fakes.build(text).await.unwrap();
    assert_eq!(fakes.carried_out(), ["RUN two"]);
}

#[tokio::test]
async fn an_image_has_its_names_labels_and_history() {
    let fakes = Fakes::new().await;
    let name = ImageReference::parse("made:1").unwrap();
    let built = fakes
        .build_with("FROM scratch\nARG V=1\nENV A=$V\nRUN one\nLABEL own=1\n", |request| {
            request.tags = vec![name.clone()];
            request.labels = build_args(&[("given", "2")]);
            request.build_args = build_args(&[("V", "3")]);
        })
        .await
        .unwrap();
    let image = fakes.images().get("made:1").unwrap();
    assert_eq!(Some(image.id.clone()), built.image);
    assert_eq!(image.config.labels, build_args(&[("given", "2"), ("own", "1")]));
    assert!(image.config.env.contains(&"A=3".to_owned()));
    let told: Vec<&str> = image.history.iter().map(|step| step.created_by.as_str()).collect();
    assert_eq!(
        told,
        [
            "ARG V=3",
            "ENV A=3",
            "RUN |1 V=3 /bin/sh -c one # buildkit",
            "LABEL own=1"
        ]
    );
    assert!(image.history.iter().all(|step| step.created_at == image.created_at));
}
