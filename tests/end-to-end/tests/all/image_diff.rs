// SPDX-License-Identifier: MIT
//! `hb image diff`: paths and bytes in which two images differ.

use hyperbox_testkit::environment::TestEnvironment;
use hyperbox_testkit::images::{Content, Image, Layer, starter};

fn with(layer: Layer) -> Image {
    let mut image = starter();
    image.layers.push(layer);
    image
}

/// A file that is the same in both but for what stands before it.
fn large(layer: Layer) -> Layer {
    layer.content(
        "srv/large",
        0o644,
        Content::Generated {
            seed: 5,
            length: 4_000_000,
        },
    )
}

#[test]
fn privileged_images_are_compared() {
    let environment = TestEnvironment::start();
    let one = Layer::new()
        .directory("srv", 0o755)
        .file("srv/old", 0o644, "old")
        .file("srv/both", 0o644, "1");
    let two = Layer::new()
        .directory("srv", 0o755)
        .file("srv/both", 0o644, "22")
        .file("srv/new", 0o600, "new")
        .whiteout("bin", "cat");
    environment.load(&with(large(one)), "one:1");
    environment.load(&with(large(two)), "two:1");
    let diff = environment
        .hb(["image", "diff", "one:1", "two:1", "--format", "json"])
        .json();
    let paths: Vec<String> = diff["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            let side = |name: &str| change[name].as_u64().map_or("-".to_owned(), |size| size.to_string());
            format!(
                "{} {} {}",
                change["path"].as_str().unwrap(),
                side("left-size"),
                side("right-size")
            )
        })
        .collect();
    let expected = ["/srv/both 1 2", "/srv/new - 3", "/srv/old 3 -"];
    assert!(
        expected.iter().all(|line| paths.contains(&(*line).to_owned())),
        "{paths:?}"
    );
    assert!(
        paths
            .iter()
            .any(|line| line.starts_with("/bin/cat ") && line.ends_with(" -")),
        "{paths:?}"
    );
    assert!(!paths.iter().any(|line| line.contains("large")), "{paths:?}");
    assert_eq!(
        (diff["shared-layers"].as_u64(), diff["left-layers"].as_u64()),
        (Some(1), Some(1))
    );
    let bytes = |name: &str| diff[name].as_u64().unwrap();
    // All but the chunks at the beginning and at the end.
    assert!(bytes("shared-bytes") > 3_000_000, "{diff}");
    assert!(
        bytes("left-bytes") < 700_000 && bytes("right-bytes") < 700_000,
        "{diff}"
    );
    let text = environment.hb(["image", "diff", "one:1", "two:1"]).succeeds();
    assert!(
        text.starts_with("D /bin/cat") && text.contains("C /srv/both (1B -> 2B)\nA /srv/new (3B)\nD /srv/old (3B)"),
        "{text}"
    );
    let same = environment.hb(["image", "diff", "one:1", "one:1"]).succeeds();
    assert!(same.starts_with("2 layers shared, 0 and 0 of their own"), "{same}");
    let _refused = environment
        .hb(["image", "diff", "one:1", "none:1"])
        .exits_with(1)
        .complains("No such image: none:1");
    environment.finish();
}
