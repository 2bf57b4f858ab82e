// SPDX-License-Identifier: MIT
//! Whatever a client sends, parsers answer or refuse; they never panic, and what they accept holds what they promise.

use hyperbox_core::time::Timestamp;
use hyperbox_types::stream::{Channel, header};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use serde_json::{Value, json};

use crate::call::parse_json;
use crate::detach_keys::DetachKeys;
use crate::filters::Filters;
use crate::frames::FrameReader;
use crate::pattern::{finds, glob};
use crate::query::{Query, Space, decode, parse_duration, parse_moment};
use crate::registry_auth::from_header;
use crate::routes;
use crate::translate::complete::Defaults;
use crate::translate::create::translate;
use crate::version::ApiVersion;
use crate::{router, version};

/// JSON with the fields of a creation and any values.
fn body() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        "\\PC{0,12}",
        "[a-z/:=,.@-]{0,16}",
        Just("container:x".to_owned()),
        Just("/a:/b:ro".to_owned())
    ];
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        word.prop_map(Value::from),
        Just(Value::Null),
    ];
    let value = scalar.prop_recursive(3, 24, 4, |inner| {
        let keys = prop_oneof![
            Just("Name"),
            Just("Type"),
            Just("Target"),
            Just("Source"),
            Just("Test"),
            Just("80/tcp")
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(keys.prop_map(str::to_owned), inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    let field = prop_oneof![
        Just("Binds"),
        Just("Mounts"),
        Just("Tmpfs"),
        Just("NetworkMode"),
        Just("PidMode"),
        Just("RestartPolicy"),
        Just("Memory"),
        Just("NanoCpus"),
        Just("Ulimits"),
        Just("SecurityOpt"),
        Just("ExtraHosts"),
        Just("PortBindings"),
        Just("CapAdd"),
        Just("ShmSize"),
        Just("Dns"),
        Just("OomScoreAdj"),
        Just("LogConfig"),
        Just("VolumesFrom"),
        Just("BlkioWeight"),
        Just("ConsoleSize"),
        Just("Sysctls"),
        Just("MemorySwappiness"),
    ];
    let config = prop_oneof![
        Just("Cmd"),
        Just("Entrypoint"),
        Just("Env"),
        Just("Labels"),
        Just("Healthcheck"),
        Just("StopSignal"),
        Just("StopTimeout"),
        Just("Volumes"),
        Just("ExposedPorts"),
        Just("NetworkingConfig"),
        Just("Tty"),
    ];
    let host = proptest::collection::btree_map(field.prop_map(str::to_owned), value.clone(), 0..5);
    let config = proptest::collection::btree_map(config.prop_map(str::to_owned), value, 0..5);
    (host, config).prop_map(|(host, config)| {
        let mut body = json!(config);
        body["Image"] = "x".into();
        body["HostConfig"] = json!(host);
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn creations(body in body()) {
        if let Ok(body) = parse_json(body.to_string().as_bytes())
            && let Ok(wish) = translate(body, None, &Defaults::default())
        {
            // What was understood can be kept and read again.
            let kept = wish.document.to_value();
            let read: crate::translate::document::DoorDocument = serde_json::from_value(kept.clone()).expect("readable");
            proptest::prop_assert_eq!(read.to_value(), kept);
            proptest::prop_assert!(wish.spec.mounts.iter().all(|mount| mount.target.is_absolute()));
        }
    }

    #[test]
    fn texts(text in "\\PC{0,40}", other in "\\PC{0,40}") {
        let query = Query::parse(&text);
        let _answers = (query.flag("a"), query.integer("a").is_ok(), query.moment("a").is_ok());
        let _parsed = (parse_moment(&text, Timestamp(0)).is_ok(), parse_duration(&text), DetachKeys::parse(&text).is_ok());
        let _matched = (glob(&text, &other), finds(&text, &other), from_header(Some(&text)).is_some());
        let _filters = Filters::parse(&text).is_ok();
        proptest::prop_assert!(glob("*", &other) || other.contains('/'));
    }

    #[test]
    fn globs_and_numbers(pattern in "[a*?\\[\\]^\\\\-]{0,12}", text in "[a/^-]{0,12}", number in "[0-9.]{0,24}[smh]?") {
        let _matched = glob(&pattern, &text);
        let _parsed = (parse_moment(&number, Timestamp(i64::MIN)).is_ok(), parse_duration(&number));
    }

    #[test]
    fn paths(path in "(/[a-zA-Z0-9%:.@_-]{0,9}){0,6}") {
        let path = decode(&path, Space::Literal);
        let (wish, rest) = version::split(&path);
        if let Ok(version) = version::choose(wish) {
            proptest::prop_assert!((ApiVersion::MINIMUM..=ApiVersion::MAXIMUM).contains(&version));
        }
        for method in [http::Method::GET, http::Method::POST, http::Method::DELETE] {
            let _found = router::find(routes::all(), &method, rest).is_some();
        }
    }

    #[test]
    fn frames(bytes in proptest::collection::vec(any::<u8>(), 0..64), length in any::<u32>()) {
        let mut reader = FrameReader::default();
        reader.feed(&header(Channel::Stdin, length));
        reader.feed(&bytes);
        while let Ok(Some((channel, payload))) = reader.next() {
            proptest::prop_assert!(matches!(channel, Channel::Stdin | Channel::Control));
            proptest::prop_assert!(payload.len() <= crate::frames::LIMIT);
        }
    }
}
