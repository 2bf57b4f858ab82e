// SPDX-License-Identifier: MIT
//! Counts that cannot be, whoever says them.

use std::collections::BTreeMap;

use hyperbox_project::model::Model;
use hyperbox_project::plan::{Observed, UpOptions, up};
use serde_json::json;

use super::{complete, model};

fn scaled(service: &str, count: u32) -> UpOptions {
    UpOptions {
        scale: BTreeMap::from([(service.to_owned(), count)]),
        ..UpOptions::default()
    }
}

#[test]
fn counts_are_bounded() {
    let model = model("services: {a: {image: a}, b: {image: b, scale: 2}, one: {image: c, container_name: first}}");
    let refused = |options: &UpOptions| up(&model, &Observed::default(), options).unwrap_err().to_string();
    for (service, count, expected) in [
        (
            "a",
            u32::MAX,
            "the services are to have 4294967298 containers together, of which there can be 2000",
        ),
        (
            "a",
            1998,
            "the services are to have 2001 containers together, of which there can be 2000",
        ),
        ("nope", 2, "no such service: nope"),
        (
            "one",
            2,
            "the service \"one\" has the container name \"first\", which only one container can have: remove it to scale the service",
        ),
    ] {
        assert_eq!(refused(&scaled(service, count)), expected, "{service}={count}");
    }
    assert!(up(&model, &complete(&model), &scaled("one", 0)).is_ok());
    // What does not take part does not count.
    let other = UpOptions {
        services: vec!["b".to_owned()],
        ..scaled("a", u32::MAX)
    };
    assert!(up(&model, &Observed::default(), &other).is_ok());
}

#[test]
fn counts_of_a_model_are_bounded_too() {
    let document = json!({ "name": "p", "services": { "a": { "image": "a", "scale": u32::MAX } } });
    let model = Model::from_document(&document).unwrap();
    assert!(up(&model, &Observed::default(), &UpOptions::default()).is_err());
}
