// SPDX-License-Identifier: MIT
//! What is asked of registries without pulling: distribution and search.

use serde_json::json;

use crate::world::{IMAGE, World};

#[tokio::test]
async fn distribution_tells_descriptor_and_platforms() {
    let world = World::start().await;
    let answer = world.get(&format!("/distribution/{IMAGE}/json")).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let found = answer.json();
    let image = world.engine.images.get(IMAGE).expect("the image");
    let digest = image.digests[0].digest().expect("a digest").to_string();
    assert_eq!(found["Descriptor"]["digest"], digest.as_str());
    assert!(found["Descriptor"]["size"].as_u64().expect("a size") > 0);
    assert_eq!(found["Platforms"][0]["os"], "linux");
    let (status, _) = world.get("/distribution/localhost:5000/nosuch/json").await.failure();
    assert_eq!(status, 404);
    assert_eq!(
        world.get("/distribution/HB/json").await.failure(),
        (
            400,
            "invalid reference format: repository name (library/HB) must be lowercase".to_owned()
        )
    );
    assert_eq!(
        world.get("/distribution/json").await.failure(),
        (404, "page not found".to_owned())
    );
}

#[tokio::test]
async fn search_filters_and_refusals() {
    let world = World::start().await;
    let found = world.get("/images/search?term=app").await.json();
    assert_eq!(found[0]["name"], IMAGE);
    for (query, expected) in [
        ("term=app&limit=1000", "limit 1000 is outside the range of [1, 100]"),
        (
            "term=app&filters=%7B%22bogus%22%3A%5B%221%22%5D%7D",
            "invalid filter 'bogus'",
        ),
        (
            "term=app&filters=%7B%22stars%22%3A%5B%22x%22%5D%7D",
            "invalid filter 'stars=x': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
    ] {
        assert_eq!(
            world.get(&format!("/images/search?{query}")).await.failure(),
            (400, expected.to_owned()),
            "{query}"
        );
    }
    let starred = world
        .get("/images/search?term=app&filters=%7B%22stars%22%3A%5B%223%22%5D%7D")
        .await;
    assert_eq!(starred.json(), json!([]));
}
