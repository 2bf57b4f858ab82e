// SPDX-License-Identifier: MIT
//! The texts of a container's `/etc/hosts` and `/etc/resolv.conf`, purely.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::ContainerSpec;

/// What `/etc/hosts` is made from.
#[derive(Debug)]
pub(super) struct HostsInput<'a> {
    pub hostname: &'a str,
    pub domainname: &'a str,
    /// The machine's own file, for a container in its network.
    pub of_host: Option<&'a str>,
    /// The container's own addresses.
    pub addresses: &'a [IpAddr],
    /// How containers reach the host, IPv4 first.
    pub host_gateways: &'a [IpAddr],
    /// Names with addresses; `host-gateway` means the host.
    pub extra: &'a [(String, String)],
    /// Addresses and names of linked containers.
    pub linked: &'a [(IpAddr, Vec<String>)],
}

/// Returns the text of `/etc/hosts`.
pub(super) fn hosts_file(input: &HostsInput<'_>) -> String {
    let own = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
    let mut text = input.of_host.unwrap_or(own).to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for (name, address) in input.extra {
        let addresses = match address.as_str() {
            "host-gateway" if input.host_gateways.is_empty() => vec!["127.0.0.1".to_owned()],
            "host-gateway" => input.host_gateways.iter().map(ToString::to_string).collect(),
            address => vec![address.to_owned()],
        };
        for address in addresses {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{address}\t{name}");
        }
    }
    for (address, names) in input.linked {
        let _ = writeln!(text, "{address}\t{}", names.join(" "));
    }
    for address in input.addresses {
        let hostname = input.hostname;
        let _ = if input.domainname.is_empty() {
            writeln!(text, "{address}\t{hostname}")
        } else {
            writeln!(text, "{address}\t{hostname}.{} {hostname}", input.domainname)
        };
    }
    text
}

/// Where the engine's name service answers.
const NAME_SERVICE: &str = "127.0.0.11";

/// Returns the text of `/etc/resolv.conf`: the wishes of the container, and the host's for what it does not wish. Where the engine
/// answers names (`names`), it is the only server, and asks the wished ones itself; a name without dots is then a container's first.
pub(super) fn resolv_conf(spec: &ContainerSpec, host: &str, names: bool) -> String {
    let of_host = |keyword: &str| -> Vec<String> {
        host.lines()
            .filter_map(|line| line.trim().strip_prefix(keyword))
            .filter(|rest| rest.starts_with([' ', '\t']))
            .map(|rest| rest.trim().to_owned())
            .collect()
    };
    let servers: Vec<String> = if names {
        vec![NAME_SERVICE.to_owned()]
    } else if spec.dns_servers.is_empty() {
        of_host("nameserver")
    } else {
        spec.dns_servers.iter().map(ToString::to_string).collect()
    };
    // A search domain of "." means: none at all, not even the host's.
    let search = match spec.dns_search.as_slice() {
        [] => of_host("search").pop().unwrap_or_default(),
        [only] if only == "." => String::new(),
        domains => domains.join(" "),
    };
    let mut options = if spec.dns_options.is_empty() {
        of_host("options").join(" ")
    } else {
        spec.dns_options.join(" ")
    };
    if names && !options.split_whitespace().any(|option| option.starts_with("ndots:")) {
        options = format!("{options} ndots:0").trim_start().to_owned();
    }
    let mut text = String::new();
    for server in servers {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "nameserver {server}");
    }
    for (keyword, value) in [("search", search), ("options", options)] {
        if !value.is_empty() {
            let _ = writeln!(text, "{keyword} {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_end_with_the_container_itself() {
        let extra = [
            ("db".to_owned(), "10.0.0.9".to_owned()),
            ("host.docker.internal".to_owned(), "host-gateway".to_owned()),
        ];
        let text = hosts_file(&HostsInput {
            hostname: "web",
            domainname: "example.org",
            of_host: None,
            addresses: &[[172, 30, 0, 2].into()],
            host_gateways: &[[172, 30, 0, 1].into()],
            extra: &extra,
            linked: &[([172, 30, 0, 7].into(), vec!["db".to_owned(), "postgres".to_owned()])],
        });
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"));
        let end = "10.0.0.9\tdb\n172.30.0.1\thost.docker.internal\n172.30.0.7\tdb postgres\n172.30.0.2\tweb.example.org web\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn resolver_takes_from_the_host_what_is_not_wished() {
        let host = "nameserver 192.0.2.1\nsearch corp.example\noptions edns0\n";
        let mut spec = ContainerSpec::default();
        assert_eq!(resolv_conf(&spec, host, false), host);
        spec.dns_servers = vec![[1, 1, 1, 1].into()];
        spec.dns_search = vec![".".to_owned()];
        spec.dns_options = vec!["ndots:2".to_owned()];
        assert_eq!(resolv_conf(&spec, host, false), "nameserver 1.1.1.1\noptions ndots:2\n");
        assert_eq!(
            resolv_conf(&spec, host, true),
            "nameserver 127.0.0.11\noptions ndots:2\n"
        );
        spec.dns_options.clear();
        assert_eq!(
            resolv_conf(&spec, host, true),
            "nameserver 127.0.0.11\noptions edns0 ndots:0\n"
        );
    }
}
