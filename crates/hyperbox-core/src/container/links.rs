// SPDX-License-Identifier: MIT
//! Links of the default bridge: what a container is told of another one, as names and as environment, purely.
//!
//! Docker keeps them for old clients; on networks that users make, the name service does better.

use std::net::IpAddr;

use super::exposed_ports;

/// A container that another one is linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Linked {
    pub alias: String,
    pub name: String,
    pub hostname: String,
    pub address: IpAddr,
    pub exposed_ports: Vec<String>,
    pub environment: Vec<String>,
}

impl Linked {
    /// Returns the names of the other container in `/etc/hosts`.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = vec![self.alias.clone()];
        for name in [&self.hostname, &self.name] {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Returns the environment that `own` (the name of the container that is told) gets of it.
    pub(super) fn environment(&self, own: &str) -> Vec<String> {
        let prefix = self.alias.replace('-', "_").to_uppercase();
        let mut ports: Vec<_> = self.exposed_ports.iter().flat_map(|text| exposed_ports(text)).collect();
        ports.sort();
        let mut environment = Vec::new();
        let address = self.address;
        if let Some(first) = ports.first() {
            environment.push(format!("{prefix}_PORT={}://{address}:{}", first.protocol, first.number));
        }
        for block in ports.chunk_by(|one, next| one.protocol == next.protocol && one.number + 1 == next.number) {
            if let [first, .., last] = block {
                let protocol = first.protocol.as_str();
                let key = format!("{prefix}_PORT_{}_{}", first.number, protocol.to_uppercase());
                environment.push(format!("{key}_START={protocol}://{address}:{}", first.number));
                environment.push(format!("{key}_PORT_START={}", first.number));
                environment.push(format!("{key}_END={protocol}://{address}:{}", last.number));
                environment.push(format!("{key}_PORT_END={}", last.number));
            }
        }
        for port in &ports {
            let protocol = port.protocol.as_str();
            let key = format!("{prefix}_PORT_{}_{}", port.number, protocol.to_uppercase());
            environment.push(format!("{key}={protocol}://{address}:{}", port.number));
            environment.push(format!("{key}_ADDR={address}"));
            environment.push(format!("{key}_PORT={}", port.number));
            environment.push(format!("{key}_PROTO={protocol}"));
        }
        environment.push(format!("{prefix}_NAME=/{own}/{}", self.alias));
        for variable in &self.environment {
            // As Docker: what every process has tells nothing of a container.
            if let Some((name, value)) = variable
                .split_once('=')
                .filter(|(name, _)| !matches!(*name, "HOME" | "PATH"))
            {
                environment.push(format!("{prefix}_ENV_{name}={value}"));
            }
        }
        environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_is_dockers() {
        let linked = Linked {
            alias: "my-db".to_owned(),
            name: "t3db".to_owned(),
            hostname: "50b35d205fd4".to_owned(),
            address: [172, 28, 0, 2].into(),
            exposed_ports: vec!["5432".to_owned()],
            environment: vec!["PATH=/bin".to_owned(), "FOO=bar".to_owned()],
        };
        assert_eq!(linked.names(), ["my-db", "50b35d205fd4", "t3db"]);
        assert_eq!(
            linked.environment("web"),
            [
                "MY_DB_PORT=tcp://172.28.0.2:5432",
                "MY_DB_PORT_5432_TCP=tcp://172.28.0.2:5432",
                "MY_DB_PORT_5432_TCP_ADDR=172.28.0.2",
                "MY_DB_PORT_5432_TCP_PORT=5432",
                "MY_DB_PORT_5432_TCP_PROTO=tcp",
                "MY_DB_NAME=/web/my-db",
                "MY_DB_ENV_FOO=bar",
            ]
        );
    }

    #[test]
    fn consecutive_ports_are_told_as_a_range_too() {
        let linked = Linked {
            alias: "a".to_owned(),
            name: "b".to_owned(),
            hostname: "c".to_owned(),
            address: [172, 28, 0, 2].into(),
            exposed_ports: ["90-92/tcp", "93/udp", "80"].map(str::to_owned).to_vec(),
            environment: Vec::new(),
        };
        let environment = linked.environment("web");
        let ranges: Vec<&String> = environment
            .iter()
            .filter(|line| line.contains("_START") || line.contains("_END"))
            .collect();
        assert_eq!(
            ranges,
            [
                "A_PORT_90_TCP_START=tcp://172.28.0.2:90",
                "A_PORT_90_TCP_PORT_START=90",
                "A_PORT_90_TCP_END=tcp://172.28.0.2:92",
                "A_PORT_90_TCP_PORT_END=92",
            ]
        );
        assert_eq!(environment.len(), 1 + ranges.len() + 5 * 4 + 1);
    }
}
