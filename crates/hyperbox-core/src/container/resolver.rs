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
    pub address: Option<IpAddr>,
    pub gateway: Option<IpAddr>,
    /// Names with addresses; `host-gateway` means the gateway.
    pub extra: &'a [(String, String)],
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
        let address = match (address.as_str(), input.gateway) {
            ("host-gateway", Some(gateway)) => gateway.to_string(),
            ("host-gateway", None) => "127.0.0.1".to_owned(),
            (address, _) => address.to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{address}\t{name}");
    }
    if let Some(address) = input.address {
        let hostname = input.hostname;
        let _ = if input.domainname.is_empty() {
            writeln!(text, "{address}\t{hostname}")
        } else {
            writeln!(text, "{address}\t{hostname}.{} {hostname}", input.domainname)
        };
    }
    text
}

/// Returns the text of `/etc/resolv.conf`: the wishes of the container, and the host's for what it does not wish.
pub(super) fn resolv_conf(spec: &ContainerSpec, host: &str) -> String {
    let of_host = |keyword: &str| -> Vec<String> {
        host.lines()
            .filter_map(|line| line.trim().strip_prefix(keyword))
            .filter(|rest| rest.starts_with([' ', '\t']))
            .map(|rest| rest.trim().to_owned())
            .collect()
    };
    let servers: Vec<String> = if spec.dns_servers.is_empty() {
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
    let options = if spec.dns_options.is_empty() {
        of_host("options").join(" ")
    } else {
        spec.dns_options.join(" ")
    };
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
            address: Some([172, 30, 0, 2].into()),
            gateway: Some([172, 30, 0, 1].into()),
            extra: &extra,
        });
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with("10.0.0.9\tdb\n172.30.0.1\thost.docker.internal\n172.30.0.2\tweb.example.org web\n"));
    }

    #[test]
    fn resolver_takes_from_the_host_what_is_not_wished() {
        let host = "nameserver 192.0.2.1\nsearch corp.example\noptions edns0\n";
        let mut spec = ContainerSpec::default();
        assert_eq!(resolv_conf(&spec, host), host);
        spec.dns_servers = vec![[1, 1, 1, 1].into()];
        spec.dns_search = vec![".".to_owned()];
        spec.dns_options = vec!["ndots:2".to_owned()];
        assert_eq!(resolv_conf(&spec, host), "nameserver 1.1.1.1\noptions ndots:2\n");
    }
}
