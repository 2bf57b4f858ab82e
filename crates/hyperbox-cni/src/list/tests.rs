// SPDX-License-Identifier: MIT
//! Tables and properties of lists.

use proptest::prelude::{any, prop, proptest};

use super::*;

const WHOLE: &str = r#"{
    "cniVersion": "1.0.0", "name": "web", "disableCheck": "true",
    "plugins": [
        {"type": "bridge", "bridge": "cni7", "mtu": 1400, "capabilities": {"ips": true, "mac": false},
         "ipam": {"type": "host-local", "ranges": [[{"subnet": "fd00::/64"}], [{"subnet": "10.1.2.3/24", "gateway": "10.1.2.9"}]]}},
        {"type": "portmap", "capabilities": {"portMappings": true}}
    ]}"#;

fn parse(text: &str) -> Result<List, InvalidList> {
    List::parse(text.as_bytes())
}

#[test]
fn what_a_list_tells() {
    let list = parse(WHOLE).unwrap();
    assert_eq!(
        (list.version, list.name.as_str(), list.disable_check),
        (Version::V1_0_0, "web", true)
    );
    assert_eq!(
        list.programs().into_iter().collect::<Vec<_>>(),
        ["bridge", "host-local", "portmap"]
    );
    assert!(list.wants("ips") && list.wants("portMappings") && !list.wants("mac"));
    let pools: Vec<_> = list
        .pools()
        .into_iter()
        .map(|pool| format!("{} {}", pool.subnet, pool.gateway.unwrap()))
        .collect();
    assert_eq!(pools, ["10.1.2.0/24 10.1.2.9", "fd00::/64 fd00::1"]);
    assert_eq!((list.bridge(), list.mtu()), (Some("cni7"), Some(1400)));
    assert_eq!(
        List::parse(list.to_text().as_bytes()),
        Ok(list),
        "what is kept says the same"
    );
}

#[test]
fn a_single_plugin_is_a_list_of_one() {
    let list = parse(r#"{"cniVersion": "0.3.1", "name": "one", "type": "bridge", "ipam": {"type": "host-local", "subnet": "10.0.0.0/8"}}"#).unwrap();
    assert_eq!(
        (list.plugins.len(), list.plugins[0].kind.as_str(), list.bridge()),
        (1, "bridge", Some("cni0"))
    );
    assert!(!list.plugins[0].settings.contains_key("name"));
    assert_eq!(list.pools()[0].gateway, Some("10.0.0.1".parse().unwrap()));
}

#[test]
fn the_newest_understood_version_counts() {
    for (versions, expected) in [
        (r#""cniVersion": "0.4.0""#, Version::V0_4_0),
        (
            r#""cniVersion": "0.4.0", "cniVersions": ["1.0.0", "1.1.0", "9.0.0"]"#,
            Version::V1_1_0,
        ),
        (r#""cniVersions": ["0.3.0"]"#, Version::V0_3_0),
    ] {
        let list = parse(&format!(r#"{{{versions}, "name": "n", "plugins": [{{"type": "x"}}]}}"#)).unwrap();
        assert_eq!(list.version, expected, "{versions}");
    }
}

#[test]
fn what_is_no_list() {
    let with = |version: &str, name: &str, plugins: &str| {
        format!(r#"{{"cniVersion": {version}, "name": {name}, "plugins": {plugins}}}"#)
    };
    let good = r#"[{"type": "x"}]"#;
    for (text, expected) in [
        (String::new(), "not JSON"),
        ("[]".to_owned(), "the list is missing or is not an object"),
        (with("\"1.0.0\"", "7", good), "\"name\" is missing"),
        (
            with("\"1.0.0\"", "\"../x\"", good),
            "\"../x\" is not a valid name of a network",
        ),
        (with("\"1.0.0\"", "\"\"", good), "\"\" is not a valid name of a network"),
        (with("\"0.2.0\"", "\"n\"", good), "version \"0.2.0\""),
        (with("null", "\"n\"", good), "version \"\""),
        (with("\"1.0.0\"", "\"n\"", "[]"), "it has 0 plugins"),
        (
            with("\"1.0.0\"", "\"n\"", "{}"),
            "\"plugins\" is missing or is not an array",
        ),
        (with("\"1.0.0\"", "\"n\"", "[{}]"), "\"type\" is missing"),
        (
            with("\"1.0.0\"", "\"n\"", r#"[{"type": "/bin/sh"}]"#),
            "\"/bin/sh\" is not a valid name of a plugin",
        ),
        (
            with("\"1.0.0\"", "\"n\"", r#"[{"type": ".."}]"#),
            "\"..\" is not a valid name of a plugin",
        ),
        (
            with("\"1.0.0\"", "\"n\"", r#"[{"type": "x", "ipam": {"type": "../y"}}]"#),
            "\"../y\" is not",
        ),
        (
            with("\"1.0.0\"", "\"n\"", r#"[{"type": "x", "capabilities": 1}]"#),
            "\"capabilities\" is missing",
        ),
        (format!("{{\"name\": \"{}\"", "x".repeat(LARGEST)), "larger than"),
    ] {
        let refused = parse(&text).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused:?} for {text:.100}");
    }
}

#[test]
fn numbers_and_unknown_fields_stay_as_they_are() {
    let list = parse(r#"{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "x", "a": 18446744073709551615, "b": [1.5, null]}]}"#).unwrap();
    assert!(list.to_text().contains(r#""a":18446744073709551615,"b":[1.5,null]"#));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in any::<Vec<u8>>()) {
        drop(List::parse(&text));
    }

    #[test]
    fn any_fields_are_read_without_panic(
        fields in prop::collection::vec(("(cniVersion|name|plugins|type|ipam|capabilities|mtu|bridge|x)", "(1|-1e99|null|\"1.0.0\"|\"n\"|\\[\\]|\\{\\}|\\[\\{\"type\":\"bridge\",\"bridge\":3,\"ipam\":\\{\"type\":\"host-local\",\"ranges\":\\[\\[\\{\"subnet\":\"255.255.255.255/32\"\\}\\]\\]\\}\\}\\])"), 0..8)
    ) {
        let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        if let Ok(list) = List::parse(format!("{{{}}}", fields.join(",")).as_bytes()) {
            drop((list.pools(), list.bridge(), list.mtu(), list.to_text()));
        }
    }
}
