// SPDX-License-Identifier: MIT
//! Which ports of a container are declared and which are to be published, purely.

use hyperbox_types::ContainerPort;

use super::ContainerSpec;
use crate::seam::PortRequest;

/// Returns the ports that a declaration such as `80`, `53/udp` or `8000-8010/tcp` means; none for one that makes no sense, which an
/// image may contain.
pub fn exposed_ports(text: &str) -> Vec<ContainerPort> {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (Ok(first), Ok(last), Ok(protocol)) = (first.parse::<u16>(), last.parse::<u16>(), protocol.parse()) else {
        return Vec::new();
    };
    if first == 0 || last < first {
        return Vec::new();
    }
    (first..=last)
        .map(|number| ContainerPort { number, protocol })
        .collect()
}

impl ContainerSpec {
    /// Returns the ports to be published when it starts: those wished for, and all declared ones if that is wished.
    pub(crate) fn wished_ports(&self) -> Vec<PortRequest> {
        let mut ports = self.ports.clone();
        if self.publish_all_ports {
            let declared = self.exposed_ports.iter().flat_map(|text| exposed_ports(text));
            for container in declared {
                if ports.iter().any(|port| port.container == container) {
                    continue;
                }
                ports.push(PortRequest {
                    container,
                    host_address: None,
                    host_ports: None,
                });
            }
        }
        ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_ports_and_ranges() {
        for (text, expected) in [
            ("80", vec!["80/tcp"]),
            ("53/udp", vec!["53/udp"]),
            ("8000-8002/tcp", vec!["8000/tcp", "8001/tcp", "8002/tcp"]),
            ("9-8", vec![]),
            ("0", vec![]),
            ("x/tcp", vec![]),
            ("80/icmp", vec![]),
        ] {
            let ports: Vec<_> = exposed_ports(text).iter().map(ToString::to_string).collect();
            assert_eq!(ports, expected, "{text}");
        }
    }

    #[test]
    fn declared_ports_are_published_once() {
        let wish = PortRequest {
            container: "80/tcp".parse().expect("port"),
            host_address: None,
            host_ports: Some((8080, 8080)),
        };
        let spec = ContainerSpec {
            ports: vec![wish.clone()],
            exposed_ports: vec!["80/tcp".to_owned(), "90".to_owned()],
            publish_all_ports: true,
            ..ContainerSpec::default()
        };
        let wished = spec.wished_ports();
        assert_eq!(wished[0], wish);
        assert_eq!(wished[1].container.to_string(), "90/tcp");
        assert_eq!(wished.len(), 2);
    }
}
