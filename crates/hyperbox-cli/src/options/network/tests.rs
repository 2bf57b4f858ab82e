// SPDX-License-Identifier: MIT
//! What Docker's client makes of the options of networks, asked of Docker 28.

use super::*;

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Parses and combines; shows the mode and the endpoints as JSON.
fn build(networks: &[&str], short: &ShortOptions<'_>) -> Result<String, String> {
    let attachments = networks.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
    let (mode, endpoints) = combine(attachments, short)?;
    Ok(format!("{mode} {}", serde_json::to_string(&endpoints).unwrap()))
}

#[test]
fn long_and_short_forms() {
    for (text, expected) in [
        ("host", "host {}"),
        ("container:abc", "container:abc {}"),
        ("name=n", "n {}"),
        ("NAME=n", "n {}"),
        // Without a word on both sides an equals sign is part of a name, which the daemon then refuses.
        ("name=", "name= {}"),
        ("name= n", "name= n {}"),
        ("=b", "=b {}"),
        (
            "name=n,link-local-ip=x",
            r#"n {"n":{"IPAMConfig":{"LinkLocalIPs":["x"]}}}"#,
        ),
        ("name=n,gw-priority=-3", r#"n {"n":{"GwPriority":-3}}"#),
        (r#"name=n,"driver-opt=A=b,c""#, r#"n {"n":{"DriverOpts":{"a":"b,c"}}}"#),
        (
            "name=n,alias=a,alias=b,ip=10.0.0.9,ip6=2001:db8::1,mac-address=02:42:ac:11:00:02,driver-opt=k=v,gw-priority=5",
            r#"n {"n":{"IPAMConfig":{"IPv4Address":"10.0.0.9","IPv6Address":"2001:db8::1"},"MacAddress":"02:42:ac:11:00:02","Aliases":["a","b"],"DriverOpts":{"k":"v"},"GwPriority":5}}"#,
        ),
        (
            "name=bridge,ip=1.2.3.4",
            r#"bridge {"bridge":{"IPAMConfig":{"IPv4Address":"1.2.3.4"}}}"#,
        ),
    ] {
        assert_eq!(
            build(&[text], &ShortOptions::default()).as_deref(),
            Ok(expected),
            "{text}"
        );
    }
}

#[test]
fn refused_forms() {
    for (text, reason) in [
        ("", "no name set for network"),
        ("alias=a", "network name/id is not specified"),
        ("name=n,foo=1", "invalid field key foo"),
        ("name=n,link=c", "invalid field key link"),
        ("n=a=b", "invalid field key n"),
        ("name=n,foo", "invalid field foo"),
        ("foo,name=n", "invalid field foo"),
        ("name=n,driver-opt=k", "invalid key value pair format in driver options"),
        (
            "name=n,driver-opt==v",
            "invalid key value pair format in driver options",
        ),
        ("name=n,gw-priority=x", "invalid gw-priority (x): invalid syntax"),
        ("name=n,mac-address=x", "x is not a valid mac address"),
        (
            "name=host,alias=x",
            "network-scoped aliases are only supported for user-defined networks",
        ),
    ] {
        assert_eq!(
            build(&[text], &ShortOptions::default()),
            Err(reason.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn several_networks() {
    let mixed = "conflicting options: cannot attach both user-defined and non-user-defined network-modes";
    for (networks, expected) in [
        (&[][..], Ok("default {}")),
        (&["a", "b"], Ok(r#"a {"a":{},"b":{}}"#)),
        (&["a", "a"], Err(r#"network "a" is specified multiple times"#)),
        (&["a", "host"], Err(mixed)),
        (&["bridge", "a"], Err(mixed)),
        (&["a", "container:b"], Err(mixed)),
    ] {
        let built = build(networks, &ShortOptions::default());
        assert_eq!(built.as_deref().map_err(String::as_str), expected, "{networks:?}");
    }
}

#[test]
fn short_options_belong_to_the_first_network() {
    let (aliases, links, local) = (texts(&["y", "z"]), texts(&["c:d", "e"]), texts(&["169.254.1.2"]));
    let short = ShortOptions {
        ip: Some("1.2.3.4"),
        ip6: Some("fd00::9"),
        mac: Some("02-42-ac-11-00-03"),
        aliases: &aliases,
        links: &links,
        link_local: &local,
    };
    assert_eq!(
        build(&["a", "b"], &short).as_deref(),
        Ok(
            r#"a {"a":{"IPAMConfig":{"IPv4Address":"1.2.3.4","IPv6Address":"fd00::9","LinkLocalIPs":["169.254.1.2"]},"Links":["c:d","e"],"MacAddress":"02-42-ac-11-00-03","Aliases":["y","z"]},"b":{}}"#
        )
    );
    let links_only = ShortOptions {
        links: &links,
        ..ShortOptions::default()
    };
    assert_eq!(build(&[], &links_only).as_deref(), Ok("default {}"));
    let mac_only = ShortOptions {
        mac: short.mac,
        ..ShortOptions::default()
    };
    assert_eq!(
        build(&["host"], &mac_only).as_deref(),
        Ok(r#"host {"host":{"MacAddress":"02-42-ac-11-00-03"}}"#)
    );
    for network in ["default", "bridge", "host", "none", "container:b"] {
        assert_eq!(
            build(&[network], &short),
            Err("network-scoped aliases are only supported for user-defined networks".to_owned())
        );
    }
    for (network, options) in [
        ("name=a,alias=x", "--network-alias and per-network alias"),
        ("name=a,ip=1.1.1.1", "--ip and per-network IPv4 address"),
        ("name=a,ip6=::1", "--ip6 and per-network IPv6 address"),
        (
            "name=a,mac-address=02:42:ac:11:00:02",
            "--mac-address and per-network MAC address",
        ),
        (
            "name=a,link-local-ip=169.254.1.1",
            "--link-local-ip and per-network link-local IP addresses",
        ),
    ] {
        assert_eq!(
            build(&[network], &short),
            Err(format!("conflicting options: cannot specify both {options}")),
            "{network}"
        );
    }
}

#[test]
fn hardware_addresses() {
    for (text, valid) in [
        ("02:42:ac:11:00:02", true),
        ("02-42-AC-11-00-02", true),
        ("0242.ac11.0002", true),
        ("02:42:ac:11:00:02:03:04", true),
        ("02:42:ac:11:00", false),
        ("02:42:ac-11:00:02", false),
        ("02:42:ac:11:00:0g", false),
        ("", false),
        ("foo", false),
    ] {
        assert_eq!(is_hardware_address(text), valid, "{text}");
    }
}

#[test]
fn links() {
    for (text, expected) in [
        ("c", Ok("c")),
        ("c:d", Ok("c:d")),
        (":b", Ok(":b")),
        ("", Err("empty string specified for links")),
        ("a:b:c", Err("bad format for links: a:b:c")),
    ] {
        assert_eq!(link(text).as_deref().map_err(String::as_str), expected, "{text}");
    }
}
