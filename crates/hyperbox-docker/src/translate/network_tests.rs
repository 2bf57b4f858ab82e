// SPDX-License-Identifier: MIT
//! Networks, endpoints and ports in Docker's words and in the engine's. Texts and shapes are those of Docker Engine 28.5.2.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyperbox_core::container::EndpointWish;
use hyperbox_core::network::{NetworkRecord, NetworkSpec};
use hyperbox_core::seam::{AddressPool, NetworkSettings};
use hyperbox_core::time::Timestamp;
use hyperbox_types::{NetworkId, NetworkName};
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
use serde_json::{Value, json};

use super::endpoint_wish::{link, mac_address, wish};
use super::network::{KnownNetworks, network};
use super::networking::{modernize, refuse_conflicts, wishes};
use super::ports::{PortFilter, requests};
use super::{network_create, networking};
use crate::call::parse_json;
use crate::version::ApiVersion;
use crate::wire::config::{CreateBody, EndpointRequest};

fn created(body: &Value) -> Result<NetworkSpec, (u16, String)> {
    let mut body = body.clone();
    if body.get("Name").is_none() {
        body["Name"] = "net".into();
    }
    let body = parse_json(body.to_string().as_bytes()).expect("a body");
    network_create::translate(body).map_err(|error| (error.status().as_u16(), error.message().to_owned()))
}

fn record(name: &str, spec: NetworkSpec, chosen: &[(&str, &str)]) -> Arc<NetworkRecord> {
    let id = NetworkId::from_bytes([7; 32]);
    let pools = chosen.iter().map(|(subnet, gateway)| AddressPool {
        subnet: subnet.parse().expect(subnet),
        range: None,
        gateway: gateway.parse().ok(),
        reserved: BTreeMap::new(),
    });
    Arc::new(NetworkRecord {
        id: id.clone(),
        name: NetworkName::parse(name).expect(name),
        created_at: Timestamp(0),
        settings: NetworkSettings {
            id,
            name: name.to_owned(),
            link: "br-x".to_owned(),
            pools: pools.collect(),
            mtu: 1500,
            internal: spec.internal,
            options: spec.options.clone(),
        },
        spec,
    })
}

#[test]
fn bad_subnets_are_all_named() {
    let four = "10.98.0.0/24";
    for (config, faults) in [
        (json!([{}]), "invalid subnet : invalid CIDR block notation"),
        (
            json!([{ "Gateway": "10.98.0.1" }]),
            "invalid subnet : invalid CIDR block notation",
        ),
        (
            json!([{ "Subnet": "10.98.0.5/24" }]),
            "invalid subnet 10.98.0.5/24: it should be 10.98.0.0/24",
        ),
        (
            json!([{ "Subnet": "10.98.0.0" }]),
            "invalid subnet 10.98.0.0: invalid CIDR block notation",
        ),
        (
            json!([{ "Subnet": "10.98.0.0/33" }]),
            "invalid subnet 10.98.0.0/33: invalid CIDR block notation",
        ),
        (
            json!([{ "Subnet": four, "Gateway": "10.98.1.1" }]),
            "invalid gateway 10.98.1.1: parent subnet 10.98.0.0/24 doesn't contain this address",
        ),
        (
            json!([{ "Subnet": four, "Gateway": "x" }]),
            "invalid gateway x: invalid address",
        ),
        (
            json!([{ "Subnet": four, "Gateway": "fd00::1" }]),
            "invalid gateway fd00::1: parent subnet is an IPv4 block",
        ),
        (
            json!([{ "Subnet": four, "IPRange": "10.98.1.0/25" }]),
            "invalid ip-range 10.98.1.0/25: parent subnet 10.98.0.0/24 doesn't contain ip-range",
        ),
        (
            json!([{ "Subnet": four, "IPRange": "10.98.0.0/23" }]),
            "invalid ip-range 10.98.0.0/23: CIDR block is bigger than its parent subnet 10.98.0.0/24",
        ),
        (
            json!([{ "Subnet": four, "IPRange": "x" }]),
            "invalid ip-range x: invalid CIDR block notation",
        ),
        (
            json!([{ "Subnet": four, "IPRange": "10.98.0.130/25" }]),
            "invalid ip-range 10.98.0.130/25: it should be 10.98.0.128/25",
        ),
        (
            json!([{ "Subnet": four, "IPRange": "fd00::/64" }]),
            "invalid ip-range fd00::/64: parent subnet is an IPv4 block",
        ),
        (
            json!([{ "Subnet": four, "AuxiliaryAddresses": { "a": "10.98.0.4", "b": "10.98.1.4" } }]),
            "invalid auxiliary address b: parent subnet 10.98.0.0/24 doesn't contain this address",
        ),
        (
            json!([
                { "Subnet": "fd99::/64", "Gateway": "10.0.0.9", "IPRange": "zz", "AuxiliaryAddresses": { "q": "1" } },
                { "Subnet": "hm" },
            ]),
            "* invalid ip-range zz: invalid CIDR block notation\n* invalid gateway 10.0.0.9: parent subnet is an IPv6 block\n\
             * invalid auxiliary address q: invalid address\n* invalid subnet hm: invalid CIDR block notation",
        ),
    ] {
        let refused = created(&json!({ "EnableIPv6": true, "IPAM": { "Config": config } })).expect_err(faults);
        assert_eq!(refused, (400, format!("invalid network config:\n{faults}")));
    }
    // Subnets of a family that is not wished are kept, unseen.
    let kept = created(&json!({ "IPAM": { "Config": [{ "Subnet": "fd99::1/64", "Gateway": "x" }] } })).expect("kept");
    assert_eq!(kept.pools[0].gateway, None);
}

#[test]
fn creations_that_docker_refuses() {
    let operator = "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | \
                    attachable | scope ] are not supported.";
    let user = "user specified configurations are not supported if the network depends on a configuration network";
    for (body, status, message) in [
        (json!({ "Name": "" }), 400, "invalid name: name is empty"),
        (json!({ "Name": " " }), 400, "invalid name: name is empty"),
        (
            json!({ "Name": "bridge" }),
            403,
            "operation is not permitted on predefined bridge network ",
        ),
        (
            json!({ "Name": "default" }),
            403,
            "operation is not permitted on predefined default network ",
        ),
        (json!({ "EnableIPv4": false }), 400, "IPv4 or IPv6 must be enabled"),
        (
            json!({ "Options": { "com.docker.network.enable_ipv4": "false" } }),
            400,
            "IPv4 or IPv6 must be enabled",
        ),
        (
            json!({ "Options": { "com.docker.network.enable_ipv6": "x" } }),
            400,
            "driver-opt \"com.docker.network.enable_ipv6\" is not a valid bool",
        ),
        (
            json!({ "IPAM": { "Driver": "nosuch" } }),
            404,
            "plugin \"nosuch\" not found",
        ),
        (json!({ "IPAM": { "Driver": "null" } }), 400, "ipv4 pool is empty"),
        (
            json!({ "Driver": "macvlan", "IPAM": { "Driver": "null" } }),
            400,
            "ipv4 pool is empty",
        ),
        (
            json!({ "EnableIPv4": false, "EnableIPv6": true, "IPAM": { "Driver": "null" } }),
            400,
            "ipv6 pool is empty",
        ),
        (
            json!({ "IPAM": { "Driver": "null", "Config": [{ "Subnet": "10.98.0.0/24" }] } }),
            400,
            "null ipam driver does not handle specific address pool requests",
        ),
        (
            json!({ "Ingress": true }),
            403,
            "Ingress network can only be global scope network",
        ),
        (
            json!({ "Scope": "swarm" }),
            403,
            "cannot create a swarm scoped network when swarm is not active",
        ),
        (json!({ "ConfigOnly": true, "Internal": true }), 403, operator),
        (
            json!({ "ConfigOnly": true, "ConfigFrom": { "Network": "x" } }),
            403,
            "a configuration network cannot depend on another configuration network",
        ),
        (
            json!({ "ConfigFrom": { "Network": "x" }, "Labels": { "a": "b" } }),
            403,
            user,
        ),
        (
            json!({ "ConfigFrom": { "Network": "x" }, "EnableIPv6": true }),
            403,
            user,
        ),
        (
            json!({ "ConfigFrom": { "Network": "x" }, "Options": { "a": "b" } }),
            403,
            "network driver options are not supported if the network depends on a configuration network",
        ),
    ] {
        assert_eq!(
            created(&body).expect_err(message),
            (status, message.to_owned()),
            "{body}"
        );
    }
}

#[test]
fn subnets_are_shown_as_they_were_wished() {
    let chosen = &[("172.30.1.0/24", "172.30.1.1"), ("fd00:1::/64", "fd00:1::1")][..];
    let four = json!({ "Subnet": "10.98.0.0/24" });
    let all = json!({
        "Subnet": "10.98.0.0/24", "IPRange": "10.98.0.64/26", "Gateway": "10.98.0.9",
        "AuxiliaryAddresses": { "a": "10.98.0.4" },
    });
    let six = json!({ "Subnet": "fd99::/64", "Gateway": "fd99::9" });
    let given = |index: usize| json!({ "Subnet": chosen[index].0, "Gateway": chosen[index].1 });
    for (wishes, chosen, shown) in [
        (json!([]), &chosen[..1], json!([given(0)])),
        (json!([]), chosen, json!([given(0), given(1)])),
        (json!([four]), &chosen[..1], json!([four])),
        (json!([all]), &chosen[..1], json!([all])),
        (json!([six]), chosen, json!([six, given(0)])),
        (json!([six, four]), chosen, json!([four, six])),
        (json!([]), &[], Value::Null),
    ] {
        let spec = created(&json!({ "EnableIPv6": true, "IPAM": { "Config": wishes } })).expect("accepted");
        let ipam = network(&record("net", spec, chosen), &[]).ipam;
        assert_eq!(
            json!(ipam),
            json!({ "Driver": "default", "Options": null, "Config": shown })
        );
    }
}

fn faults_of(name: &str, network: Option<&NetworkRecord>, request: Value) -> Result<EndpointWish, String> {
    let request: EndpointRequest = parse_json(request.to_string().as_bytes()).expect("a request");
    wish(name, network, &request)
}

#[test]
fn endpoint_wishes_and_their_faults() {
    let config =
        json!({ "EnableIPv6": true, "IPAM": { "Config": [{ "Subnet": "10.62.0.0/24" }, { "Subnet": "fd97::/64" }] } });
    let chosen = record("fixed", created(&config).expect("accepted"), &[]);
    let automatic = record(
        "any",
        NetworkSpec {
            driver: "bridge".to_owned(),
            ..NetworkSpec::default()
        },
        &[],
    );
    let fixed = NetworkSpec {
        driver: "bridge".to_owned(),
        ..chosen.spec.clone()
    };
    let fixed = record("fixed", fixed, &[]);
    let range = "no configured subnet or ip-range contain the IP address";
    let ip = |address: &str| json!({ "IPAMConfig": { "IPv4Address": address } });
    for (network, request, faults) in [
        (&fixed, ip("10.1.0.44"), format!("{range} 10.1.0.44")),
        (&fixed, ip("fd97::1"), format!("* invalid IPv4 address: fd97::1\n* {range} fd97::1")),
        (&fixed, ip("0.0.0.0"), format!("* invalid IPv4 address: 0.0.0.0\n* {range} 0.0.0.0")),
        (
            &fixed,
            json!({ "IPAMConfig": { "IPv4Address": "x", "IPv6Address": "y", "LinkLocalIPs": ["z"] } }),
            format!(
                "* invalid IPv4 address: x\n* invalid IPv6 address: y\n* invalid link-local IP address: z\n* {range} x\n* {range} y"
            ),
        ),
        (
            &automatic,
            ip("172.17.0.44"),
            "user specified IP address is supported only when connecting to networks with user configured subnets".to_owned(),
        ),
        (
            &fixed,
            json!({ "DriverOpts": { "com.docker.network.endpoint.sysctls": "a.b" } }),
            "unrecognised network interface sysctl 'a.b'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', \
             'ipv6' or 'mpls'"
                .to_owned(),
        ),
    ] {
        let text = format!("invalid endpoint settings:\n{faults}");
        assert_eq!(faults_of("n", Some(network), request), Err(text));
    }
    let mac = faults_of("n", None, json!({ "MacAddress": "zz", "Aliases": ["x"] }));
    assert_eq!(mac, Err("invalid MAC address zz".to_owned()));
    let good = json!({
        "IPAMConfig": { "IPv4Address": "10.62.0.4", "IPv6Address": "fd97::4", "LinkLocalIPs": ["169.254.34.68"] },
        "Links": ["db:d", "/web"], "Aliases": ["a"], "GwPriority": 7, "DriverOpts": { "o": "1" }, "MacAddress": "02-42-0A-00-00-09",
    });
    let wish = faults_of("fixed", Some(&fixed), good).expect("accepted");
    assert_eq!(wish.ipv4, "10.62.0.4".parse().ok());
    assert_eq!((wish.gateway_priority, wish.link_local.len()), (7, 1));
    assert_eq!(wish.mac_address.as_deref(), Some("02:42:0a:00:00:09"));
    assert_eq!(json!(wish.links), json!([["db", "d"], ["web", "web"]]));
}

#[test]
fn links_and_mac_addresses() {
    for (text, expected) in [
        ("db", Ok(("db", "db"))),
        ("db:d", Ok(("db", "d"))),
        ("/db:/web/d", Ok(("db", "d"))),
        ("db:", Ok(("db", "db"))),
        ("", Err("empty string specified for links")),
        ("a:b:c", Err("bad format for links: a:b:c")),
    ] {
        let parsed = link(text);
        let parsed = parsed.as_ref().map(|(target, alias)| (target.as_str(), alias.as_str()));
        assert_eq!(parsed.map_err(String::as_str), expected, "{text}");
    }
    for (text, expected) in [
        ("02:42:AC:11:00:02", Some("02:42:ac:11:00:02")),
        ("0242.ac11.0002", Some("02:42:ac:11:00:02")),
        ("02:42:ac:11:00", None),
        ("02:42:ac:11:00:02:03:04", None),
        ("02:42-ac:11:00:02", None),
        ("é2:42:ac:11:00:02", None),
        ("", None),
    ] {
        assert_eq!(mac_address(text).as_deref(), expected, "{text}");
    }
}

fn body(value: &Value) -> CreateBody {
    let mut value = value.clone();
    value["Image"] = "x".into();
    parse_json(value.to_string().as_bytes()).expect("a body")
}

#[test]
fn modes_and_what_contradicts_them() {
    let with = |field: &str, value: Value| json!({ "HostConfig": { "NetworkMode": "container:x", field: value } });
    for (value, message) in [
        (
            json!({ "HostConfig": { "NetworkMode": "container" } }),
            "invalid network mode: invalid container format container:<name|id>",
        ),
        (
            json!({ "Hostname": "h", "HostConfig": { "NetworkMode": "container:x" } }),
            "conflicting options: hostname and the network mode",
        ),
        (
            with("Links", json!(["a"])),
            "conflicting options: container type network can't be used with links. This would result in undefined behavior",
        ),
        (
            with("Dns", json!(["1.1.1.1"])),
            "conflicting options: dns and the network mode",
        ),
        (
            with("ExtraHosts", json!(["a:1.1.1.1"])),
            "conflicting options: custom host-to-IP mapping and the network mode",
        ),
        (
            with("PortBindings", json!({ "80": [{}] })),
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            with("PublishAllPorts", json!(true)),
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            json!({ "ExposedPorts": { "80": {} }, "HostConfig": { "NetworkMode": "container:x" } }),
            "conflicting options: port exposing and the container type network mode",
        ),
        (
            json!({ "Hostname": "h", "HostConfig": { "UTSMode": "host" } }),
            "conflicting options: hostname and the UTS mode",
        ),
        (
            json!({ "HostConfig": { "NetworkMode": "host", "Links": ["a"] } }),
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
        ),
    ] {
        let error = refuse_conflicts(&body(&value)).expect_err(message);
        assert_eq!(error.message(), message);
    }
    let fine = json!({ "Hostname": "h", "HostConfig": { "NetworkMode": "host", "PublishAllPorts": true } });
    refuse_conflicts(&body(&fine)).expect("accepted");
}

fn modern(value: &Value, minor: u16) -> Result<(CreateBody, Vec<String>), String> {
    let mut body = body(value);
    let warnings = modernize(&mut body, ApiVersion::new(1, minor)).map_err(|error| error.message().to_owned())?;
    Ok((body, warnings))
}

#[test]
fn wishes_of_older_clients() {
    let (one, other) = ("02:42:0a:00:00:09", "02:42:0a:00:00:08");
    let mac = |body: &CreateBody, network: &str| {
        let wishes = networking::wishes(body, &KnownNetworks::default()).expect("wishes");
        wishes.get(network).and_then(|wish| wish.mac_address.clone())
    };
    let (old, warnings) = modern(&json!({ "MacAddress": one }), 43).expect("accepted");
    assert_eq!((mac(&old, "bridge").as_deref(), warnings.len()), (Some(one), 0));
    let (new, warnings) = modern(&json!({ "MacAddress": one }), 51).expect("accepted");
    assert_eq!(mac(&new, "bridge").as_deref(), Some(one));
    assert_eq!(
        warnings,
        ["The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."]
    );
    let endpoint =
        json!({ "NetworkingConfig": { "EndpointsConfig": { "default": { "MacAddress": one, "GwPriority": 3 } } } });
    assert_eq!(mac(&modern(&endpoint, 43).expect("accepted").0, "bridge"), None);
    let (body, _) = modern(&endpoint, 47).expect("accepted");
    let wishes = wishes(&body, &KnownNetworks::default()).expect("wishes");
    assert_eq!(
        (wishes["bridge"].gateway_priority, mac(&body, "bridge").as_deref()),
        (0, Some(one))
    );
    let both = json!({ "MacAddress": other, "NetworkingConfig": endpoint["NetworkingConfig"] });
    let elsewhere = json!({ "MacAddress": one, "NetworkingConfig": { "EndpointsConfig": { "n": {} } } });
    let two = json!({ "NetworkingConfig": { "EndpointsConfig": { "a": {}, "b": {} } } });
    let host = json!({ "MacAddress": one, "HostConfig": { "NetworkMode": "host" } });
    for (value, minor, message) in [
        (
            &both,
            51,
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
        ),
        (
            &elsewhere,
            51,
            "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the identity of a \
             network in NetworkSettings.Networks",
        ),
        (
            &two,
            43,
            "Container cannot be created with multiple network endpoints: a, b",
        ),
        (&host, 43, "conflicting options: mac-address and the network mode"),
    ] {
        assert_eq!(modern(value, minor).expect_err(message), message);
    }
    assert_eq!(
        mac(&modern(&elsewhere, 43).expect("accepted").0, "n").as_deref(),
        Some(one)
    );
}

#[test]
fn kernel_parameters_of_links_move_to_their_endpoint() {
    let value = |name: &str| json!({ "HostConfig": { "Sysctls": { name: "1", "net.core.somaxconn": "5" } } });
    let (body, warnings) = modern(&value("net.ipv4.conf.eth0.log_martians"), 47).expect("accepted");
    assert_eq!(
        warnings,
        ["Migrated sysctl \"net.ipv4.conf.eth0.log_martians\" to \
          DriverOpts{\"com.docker.network.endpoint.sysctls\":\"net.ipv4.conf.IFNAME.log_martians=1\"}."]
    );
    assert_eq!(body.host_config.sysctls.len(), 1);
    let wishes = wishes(&body, &KnownNetworks::default()).expect("wishes");
    let option = &wishes["bridge"].options["com.docker.network.endpoint.sysctls"];
    assert_eq!(option, "net.ipv4.conf.IFNAME.log_martians=1");
    let refused = modern(&value("net.ipv4.conf.eth0.log_martians"), 48).expect_err("new clients know better");
    assert_eq!(
        refused,
        "interface specific sysctl setting \"net.ipv4.conf.eth0.log_martians\" must be supplied using driver option \
         'com.docker.network.endpoint.sysctls'"
    );
    let refused = modern(&value("net.ipv4.conf.eth1.log_martians"), 47).expect_err("not the first");
    assert!(refused.starts_with("unable to determine network endpoint for sysctl net.ipv4.conf.eth1.log_martians"));
}

#[test]
fn faults_of_all_networks_are_named() {
    let value = json!({ "NetworkingConfig": { "EndpointsConfig": {
        "a": null, "host": { "Aliases": ["x"] }, "z": { "IPAMConfig": { "IPv4Address": "x" } },
    } } });
    let error = wishes(&body(&value), &KnownNetworks::default()).expect_err("faults");
    assert_eq!(
        error.message(),
        "* invalid config for network a: EndpointsConfig is nil\n* invalid config for network host: invalid endpoint settings:\n\t\
         network-scoped alias is supported only for containers in user defined networks\n* invalid config for network z: invalid \
         endpoint settings:\n\tinvalid IPv4 address: x"
    );
}

/// Texts near to what is understood.
fn near() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        "[0-9.]{0,15}(/[0-9]{0,3})?",
        "[0-9a-f:]{0,12}(/[0-9]{0,3})?",
        "[0-9]{0,6}(-[0-9]{0,6})?(/[a-z]{0,4})?",
        Just("10.0.0.0/8".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_client_sends_is_understood_or_refused(
        texts in proptest::collection::vec(near(), 9..10),
        ipv6 in proptest::bool::ANY,
    ) {
        let [subnet, range, gateway, auxiliary, address, mac, link_text, key, port] = &texts[..] else { unreachable!() };
        let config = json!({
            "Subnet": subnet, "IPRange": range, "Gateway": gateway, "AuxiliaryAddresses": { "a": auxiliary },
        });
        if let Ok(spec) = created(&json!({ "EnableIPv6": ipv6, "IPAM": { "Config": [config] } })) {
            // What was understood can be kept and read again, and shown.
            let kept = serde_json::to_string(&spec).expect("JSON");
            let read: NetworkSpec = serde_json::from_str(&kept).expect("readable");
            proptest::prop_assert_eq!(&read, &spec);
            let _shown = network(&record("net", spec, &[]), &[]);
        }
        let endpoint = json!({
            "IPAMConfig": { "IPv4Address": address, "IPv6Address": gateway, "LinkLocalIPs": [address] }, "MacAddress": mac,
            "Links": [link_text], "DriverOpts": { "com.docker.network.endpoint.sysctls": key },
        });
        let fixed = record("fixed", NetworkSpec::default(), &[]);
        let _answer = (faults_of("n", None, endpoint.clone()).is_ok(), faults_of("n", Some(&fixed), endpoint).is_ok());
        let bindings = parse_json(json!({ key: [{ "HostIp": address, "HostPort": port }] }).to_string().as_bytes());
        for request in requests(&bindings.expect("bindings")).unwrap_or_default() {
            proptest::prop_assert!(request.container.number != 0);
            proptest::prop_assert!(request.host_ports.is_none_or(|(first, last)| 0 < first && first <= last));
        }
        let _filter = (PortFilter::parse("publish", key).is_ok(), PortFilter::parse("expose", port).is_ok());
    }
}
