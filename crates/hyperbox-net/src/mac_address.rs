// SPDX-License-Identifier: MIT
//! MAC addresses of endpoints and bridges.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A unicast MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MacAddress(pub(crate) [u8; 6]);

/// A text that is not a unicast MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid MAC address {0:?}: expected six pairs of hexadecimal digits, the first pair even, such as 02:42:ac:1e:00:02"
)]
pub(crate) struct InvalidMacAddress(String);

impl MacAddress {
    /// Makes the address that Docker would: locally administered, `02:42`, then the IPv4 address or the end of the IPv6 address. An
    /// address that comes back to the network so has the same MAC again, and neighbours need not learn anything.
    pub(crate) fn of(address: IpAddr) -> Self {
        let [a, b, c, d] = match address {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(address) => {
                let [.., a, b, c, d] = address.octets();
                [a, b, c, d]
            }
        };
        Self([0x02, 0x42, a, b, c, d])
    }
}

impl FromStr for MacAddress {
    type Err = InvalidMacAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidMacAddress(text.chars().take(40).collect());
        let mut octets = [0; 6];
        let mut pairs = text.split([':', '-']);
        for octet in &mut octets {
            let pair = pairs
                .next()
                .filter(|pair| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
            *octet = pair
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or_else(invalid)?;
        }
        let multicast = octets[0] & 1 != 0;
        if pairs.next().is_some() || multicast || octets == [0; 6] {
            return Err(invalid());
        }
        Ok(Self(octets))
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_from_an_address() {
        let of = |text: &str| MacAddress::of(text.parse().unwrap()).to_string();
        assert_eq!(of("172.30.0.2"), "02:42:ac:1e:00:02");
        assert_eq!(of("fd00::1:2"), "02:42:00:01:00:02");
    }

    #[test]
    fn only_unicast_addresses_parse() {
        for text in ["02:42:ac:1e:00:02", "AA-bb-cc-dd-ee-0f"] {
            assert!(text.parse::<MacAddress>().is_ok(), "{text}");
        }
        for text in [
            "",
            "02:42:ac:1e:00",
            "02:42:ac:1e:00:02:03",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "2:42:ac:1e:0:2",
            "+2:42:ac:1e:00:02",
            "ff:ff:ff:ff:ff:ff",
        ] {
            assert!(text.parse::<MacAddress>().is_err(), "{text}");
        }
    }
}
