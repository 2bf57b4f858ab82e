// SPDX-License-Identifier: MIT
//! The column of ports in the list of containers, grouped as Docker groups them.
//!
//! Neighbouring ports become a range when they are published under their own number, or not at all; a port that has another
//! number on the host stands alone, after all ranges.

use hyperbox_client::model::PortSummary;

/// Ports that follow each other, on one address and with one protocol.
struct Group<'a> {
    address: &'a str,
    protocol: &'a str,
    first: u16,
    last: u16,
}

impl Group<'_> {
    fn text(&self) -> String {
        let range = if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}-{}", self.first, self.last)
        };
        if self.address.is_empty() {
            format!("{range}/{}", self.protocol)
        } else {
            format!("{}->{range}/{}", join(self.address, &range), self.protocol)
        }
    }
}

/// Shows the ports of a container.
pub(super) fn show(ports: &[PortSummary]) -> String {
    let mut sorted: Vec<&PortSummary> = ports.iter().collect();
    sorted.sort_by(|left, right| {
        (left.private_port, &left.ip, left.public_port, &left.protocol).cmp(&(
            right.private_port,
            &right.ip,
            right.public_port,
            &right.protocol,
        ))
    });
    let (mut finished, mut moved) = (Vec::new(), Vec::new());
    let mut open: Vec<Group<'_>> = Vec::new();
    for port in sorted {
        let number = port.private_port;
        if !port.ip.is_empty() && port.public_port != number {
            let host = join(&port.ip, &port.public_port.to_string());
            moved.push(format!("{host}->{number}/{}", port.protocol));
            continue;
        }
        let group = Group {
            address: &port.ip,
            protocol: &port.protocol,
            first: number,
            last: number,
        };
        let known = open
            .iter_mut()
            .find(|known| known.address == group.address && known.protocol == group.protocol);
        match known {
            None => open.push(group),
            Some(known) if known.last.checked_add(1) == Some(number) => known.last = number,
            Some(known) => finished.push(std::mem::replace(known, group).text()),
        }
    }
    finished.extend(open.iter().map(Group::text));
    finished.extend(moved);
    finished.join(", ")
}

/// Joins an address and a port; an IPv6 address gets brackets.
pub(super) fn join(address: &str, port: &str) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `address|private|public|protocol` words.
    fn list(text: &str) -> Vec<PortSummary> {
        let port = |word: &str| {
            let parts: Vec<&str> = word.split('|').collect();
            PortSummary {
                ip: parts[0].to_owned(),
                private_port: parts[1].parse().unwrap(),
                public_port: parts[2].parse().unwrap(),
                protocol: parts[3].to_owned(),
            }
        };
        text.split_whitespace().map(port).collect()
    }

    #[test]
    fn columns() {
        for (ports, text) in [
            ("", ""),
            ("|80|0|tcp", "80/tcp"),
            ("|80|8080|tcp", "80/tcp"),
            (
                "0.0.0.0|80|8080|tcp ::|80|8080|tcp",
                "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
            ),
            ("|81|0|tcp |80|0|tcp |82|0|tcp", "80-82/tcp"),
            (
                "0.0.0.0|80|8080|tcp 0.0.0.0|81|8081|tcp",
                "0.0.0.0:8080->80/tcp, 0.0.0.0:8081->81/tcp",
            ),
            (
                "0.0.0.0|80|80|tcp 0.0.0.0|81|81|tcp ::|80|80|tcp ::|81|81|tcp",
                "0.0.0.0:80-81->80-81/tcp, [::]:80-81->80-81/tcp",
            ),
            (
                "0.0.0.0|80|80|tcp 0.0.0.0|82|82|tcp ::|80|80|tcp ::|82|82|tcp",
                "0.0.0.0:80->80/tcp, [::]:80->80/tcp, 0.0.0.0:82->82/tcp, [::]:82->82/tcp",
            ),
            (
                "0.0.0.0|53|53|udp 0.0.0.0|53|53|tcp |90|0|sctp |91|0|udp |92|0|udp",
                "0.0.0.0:53->53/tcp, 0.0.0.0:53->53/udp, 90/sctp, 91-92/udp",
            ),
            (
                "127.0.0.1|80|80|tcp ::1|80|81|tcp 10.0.0.1|80|80|tcp",
                "10.0.0.1:80->80/tcp, 127.0.0.1:80->80/tcp, [::1]:81->80/tcp",
            ),
            (
                "|443|0|tcp |80|0|tcp 0.0.0.0|8080|8080|tcp 0.0.0.0|8081|8081|tcp 0.0.0.0|8083|8083|tcp 0.0.0.0|9000|9001|tcp",
                "80/tcp, 0.0.0.0:8080-8081->8080-8081/tcp, 443/tcp, 0.0.0.0:8083->8083/tcp, 0.0.0.0:9001->9000/tcp",
            ),
        ] {
            assert_eq!(show(&list(ports)), text, "{ports}");
        }
    }
}
