// SPDX-License-Identifier: MIT
//! Tables: documents of both formats, and everything that must be refused.

use serde_json::{Value, json};

use super::*;

fn digest(fill: char) -> String {
    format!("sha256:{}", fill.to_string().repeat(64))
}

fn image(manifest: &str, config: &str, layer: &str) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": manifest,
        "config": {"mediaType": config, "digest": digest('a'), "size": 7},
        "layers": [
            {"mediaType": layer, "digest": digest('b'), "size": 100, "annotations": {"k": "v"}},
            {"mediaType": layer, "digest": digest('c'), "size": 200, "urls": ["https://example.org/x"]},
        ],
    })
}

fn parse_value(media_type: &str, value: &Value) -> Result<ParsedManifest, ManifestError> {
    parse(media_type, value.to_string().as_bytes())
}

fn entry(fill: char, platform: Option<&str>) -> (Descriptor, Option<Platform>) {
    let descriptor = Descriptor {
        media_type: media_type::OCI_MANIFEST.to_owned(),
        digest: Digest::parse(&digest(fill)).expect("digest"),
        size: ByteSize(1),
        annotations: BTreeMap::new(),
    };
    let platform = platform.map(|text| Platform::parse(text).expect(text));
    (descriptor, platform)
}

#[test]
fn both_formats_give_the_same_model() {
    use media_type as m;
    for (manifest, config, layer) in [
        (m::OCI_MANIFEST, m::OCI_CONFIG, m::OCI_LAYER_GZIP),
        (m::OCI_MANIFEST, m::OCI_CONFIG, m::OCI_LAYER_ZSTD),
        (m::DOCKER_MANIFEST, m::DOCKER_CONFIG, m::DOCKER_LAYER_GZIP),
        (m::OCI_MANIFEST, m::DOCKER_CONFIG, m::DOCKER_LAYER),
    ] {
        let value = image(manifest, config, layer);
        for stated in [manifest, &format!("{manifest}; charset=utf-8"), "", "application/json"] {
            let Ok(ParsedManifest::Image(parsed)) = parse_value(stated, &value) else {
                panic!("{manifest} as {stated:?} is an image");
            };
            assert_eq!(parsed.media_type, manifest);
            assert_eq!(parsed.config.size, ByteSize(7));
            let sizes: Vec<u64> = parsed.layers.iter().map(|layer| layer.size.0).collect();
            assert_eq!(sizes, [100, 200]);
            assert_eq!(parsed.layers[0].annotations["k"], "v");
        }
    }
}

#[test]
fn shape_decides_when_nothing_else_does() {
    let mut value = image(media_type::OCI_MANIFEST, media_type::OCI_CONFIG, media_type::OCI_LAYER);
    value["mediaType"].take();
    assert!(matches!(
        parse_value("text/plain", &value),
        Ok(ParsedManifest::Image(_))
    ));
    let index = json!({"schemaVersion": 2, "manifests": []});
    assert_eq!(parse_value("", &index), Ok(ParsedManifest::Index(Vec::new())));
}

#[test]
fn index_entries_keep_their_platforms() {
    let value = json!({"schemaVersion": 2, "mediaType": media_type::DOCKER_INDEX, "manifests": [
        {"mediaType": media_type::DOCKER_MANIFEST, "digest": digest('a'), "size": 1,
         "platform": {"os": "linux", "architecture": "x86_64", "os.version": "1"}},
        {"mediaType": media_type::DOCKER_MANIFEST, "digest": digest('b'), "size": 1,
         "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {"mediaType": media_type::OCI_MANIFEST, "digest": digest('c'), "size": 1},
    ]});
    let Ok(ParsedManifest::Index(entries)) = parse_value(media_type::DOCKER_INDEX, &value) else {
        panic!("an index");
    };
    let platforms: Vec<String> = entries
        .iter()
        .map(|(_, platform)| platform.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string))
        .collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64/v8", "-"]);
}

#[test]
fn refuses_with_a_reason() {
    use media_type as m;
    let good = || image(m::OCI_MANIFEST, m::OCI_CONFIG, m::OCI_LAYER_GZIP);
    let with = |key: &str, value: Value| {
        let mut changed = good();
        changed[key] = value;
        changed
    };
    let layer = |media_type: &str| image(m::OCI_MANIFEST, m::OCI_CONFIG, media_type);
    let descriptor = json!({"mediaType": m::OCI_LAYER, "digest": digest('b'), "size": 1});
    let cases = [
        (m::OCI_MANIFEST, with("manifests", json!([])), "must not have manifests"),
        (
            m::OCI_INDEX,
            json!({"schemaVersion": 2, "manifests": [], "layers": []}),
            "must not have a config",
        ),
        (m::DOCKER_MANIFEST, good(), "calls itself"),
        (m::OCI_MANIFEST, with("schemaVersion", json!(3)), "schema version 3"),
        (m::OCI_MANIFEST, with("schemaVersion", json!(1)), "schema version 1"),
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            good(),
            "schema version 1",
        ),
        ("", json!({"schemaVersion": 2, "fsLayers": []}), "schema version 1"),
        (m::OCI_MANIFEST, with("config", Value::Null), "without a config"),
        (
            m::OCI_MANIFEST,
            with("layers", json!([{"digest": "sha256:zz", "size": 1}])),
            "invalid digest",
        ),
        (
            m::OCI_MANIFEST,
            with("layers", json!([{"digest": digest('a'), "size": -1}])),
            "malformed manifest",
        ),
        (
            m::OCI_MANIFEST,
            with("layers", Value::Array(vec![descriptor; MAX_LAYERS + 1])),
            "501 layers",
        ),
        (
            m::OCI_MANIFEST,
            with(
                "config",
                json!({"mediaType": "application/vnd.cncf.helm.config.v1+json",
            "digest": digest('a'), "size": 1}),
            ),
            "not a container image",
        ),
        (
            m::OCI_MANIFEST,
            with(
                "config",
                json!({"mediaType": m::OCI_CONFIG, "digest": digest('a'),
            "size": CONFIG_LIMIT.0 + 1}),
            ),
            "bytes of configuration",
        ),
        (
            "",
            layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
            "foreign media type",
        ),
        (
            "",
            layer("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"),
            "foreign media type",
        ),
        ("", layer("application/vnd.in-toto+json"), "not a container image"),
        ("text/html", good(), "calls itself"),
        ("", json!([1, 2]), "malformed manifest"),
    ];
    for (media_type, value, expected) in cases {
        let error = parse_value(media_type, &value).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error:?} names {expected:?}");
    }
    let huge = vec![b' '; 4 * 1024 * 1024 + 1];
    assert!(matches!(parse("", &huge), Err(ManifestError::TooMany { .. })));
}

#[test]
fn the_best_platform_wins() {
    let entries = [
        entry('a', Some("unknown/unknown")),
        entry('b', Some("linux/arm/v6")),
        entry('c', Some("linux/arm/v7")),
        entry('d', Some("linux/amd64")),
        entry('e', Some("linux/amd64")),
        entry('f', None),
    ];
    for (wanted, chosen) in [
        ("linux/arm/v7", Some('c')),
        ("linux/arm/v6", Some('b')),
        ("linux/amd64", Some('d')),
        ("linux/s390x", Some('f')),
    ] {
        let wanted = Platform::parse(wanted).expect(wanted);
        let found = choose_platform(&entries, &wanted).map(|descriptor| descriptor.digest.to_string());
        assert_eq!(found, chosen.map(digest), "{wanted}");
    }
    let s390x = Platform::parse("linux/s390x").expect("platform");
    assert_eq!(choose_platform(&entries[..5], &s390x), None);
}

#[test]
fn attestations_are_skipped_by_annotation_too() {
    let mut attestation = entry('a', Some("linux/amd64"));
    attestation.0.annotations.insert(
        "vnd.docker.reference.type".to_owned(),
        "attestation-manifest".to_owned(),
    );
    let amd64 = Platform::parse("linux/amd64").expect("platform");
    assert_eq!(choose_platform(&[attestation], &amd64), None);
}

#[test]
fn media_types_translate_both_ways() {
    use media_type as m;
    for oci in [
        m::OCI_INDEX,
        m::OCI_MANIFEST,
        m::OCI_CONFIG,
        m::OCI_LAYER,
        m::OCI_LAYER_GZIP,
        m::OCI_LAYER_ZSTD,
    ] {
        let docker = m::to_docker(oci);
        assert_ne!(docker, oci);
        assert_eq!(m::to_oci(docker), oci);
        assert_eq!(m::layer_compression(docker), m::layer_compression(oci));
    }
    assert_eq!(m::to_oci("text/plain"), "text/plain");
}

#[test]
fn no_prefix_of_a_manifest_panics() {
    let bytes = image(media_type::OCI_MANIFEST, media_type::OCI_CONFIG, media_type::OCI_LAYER).to_string();
    for end in 0..bytes.len() {
        assert!(parse("", &bytes.as_bytes()[..end]).is_err());
    }
}
