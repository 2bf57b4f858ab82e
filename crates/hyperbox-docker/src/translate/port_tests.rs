// SPDX-License-Identifier: MIT
//! Bindings and filters of ports, with the texts of Docker Engine 28.5.2.

use serde_json::{Value, json};

use super::ports::{PortFilter, requests};
use crate::call::parse_json;

#[test]
fn bindings() {
    let translated = |bindings: Value| {
        let bindings = parse_json(bindings.to_string().as_bytes()).expect("bindings");
        requests(&bindings).map_err(|error| error.message().to_owned())
    };
    let one =
        |key: &str, address: &str, port: &str| translated(json!({ key: [{ "HostIp": address, "HostPort": port }] }));
    for (key, address, port, expected) in [
        ("80/tcp", "", "", Some(("80/tcp", None, None))),
        ("80/tcp", "", "0", Some(("80/tcp", None, None))),
        (
            "80",
            "127.0.0.1",
            "8080",
            Some(("80/tcp", Some("127.0.0.1"), Some((8080, 8080)))),
        ),
        (
            "53/UDP",
            "::1",
            "8000-8010",
            Some(("53/udp", Some("::1"), Some((8000, 8010)))),
        ),
        ("9/sctp", "[::1]", "9/sctp", Some(("9/sctp", Some("::1"), Some((9, 9))))),
        (
            "80/",
            "0.0.0.0",
            "80",
            Some(("80/tcp", Some("0.0.0.0"), Some((80, 80)))),
        ),
        ("", "", "80", None),
        ("0", "", "80", None),
        ("/tcp", "", "80", None),
    ] {
        let ports = one(key, address, port).expect(key);
        let shown: Vec<_> = ports
            .iter()
            .map(|port| {
                (
                    port.container.to_string(),
                    port.host_address.map(|address| address.to_string()),
                    port.host_ports,
                )
            })
            .collect();
        let expected = expected.map(|(port, address, host)| (port.to_owned(), address.map(str::to_owned), host));
        assert_eq!(shown, Vec::from_iter(expected), "{key}");
    }
    for (key, address, port, message) in [
        ("x", "", "", "invalid port specification: \"x\""),
        ("70000/tcp", "", "", "invalid port specification: \"70000\""),
        ("8000-8002/tcp", "", "", "invalid port specification: \"8000-8002\""),
        ("80/icmp", "", "", "invalid port specification: \"80/icmp\""),
        ("80/tcp", "", "x", "invalid port specification: \"x\""),
        ("80/tcp", "", "+80", "invalid port specification: \"+80\""),
        ("80/tcp", "", "70000", "invalid port specification: \"70000\""),
        (
            "80/tcp",
            "",
            "18082-18080",
            "invalid port specification: \"18082-18080\"",
        ),
        ("80/tcp", "localhost", "80", "invalid IP address: localhost"),
    ] {
        assert_eq!(one(key, address, port), Err(message.to_owned()));
    }
    assert_eq!(translated(json!({ "80/tcp": null, "81/tcp": [] })), Ok(Vec::new()));
    let many: Vec<_> = (0..20_000).map(|_| json!({})).collect();
    assert_eq!(
        translated(json!({ "80/tcp": many })).map(|ports| ports.len()),
        Ok(20_000)
    );
}

#[test]
fn port_filters() {
    for (value, message) in [
        (
            "x",
            "error while looking up for publish x: strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            "80-x",
            "error while looking up for publish 80-x: strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            "70000",
            "error while looking up for publish 70000: strconv.ParseUint: parsing \"70000\": value out of range",
        ),
        (
            "9-8",
            "error while looking up for publish 9-8: Invalid range specified for the Port: 9-8",
        ),
        (
            "",
            "error while looking up for publish : Empty string specified for ports.",
        ),
        ("80:1", "filter for 'publish' should not contain ':': 80:1"),
    ] {
        let error = PortFilter::parse("publish", value).expect_err(value);
        assert_eq!(error.message(), message);
    }
    for value in ["80", "53/udp", "8000-8010/tcp", "80/icmp"] {
        PortFilter::parse("expose", value).expect(value);
    }
}
