// SPDX-License-Identifier: MIT
//! IPv4 subnets in CIDR form.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 subnet; the host bits of its address are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: u32,
    prefix_length: u8,
}

/// A text that is not a subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubnet {
    /// It is not `address/length`.
    #[error("invalid subnet {text:?}: expected an IPv4 address and a prefix length, such as 172.30.0.0/16")]
    Malformed {
        /// The beginning of the text.
        text: String,
    },
    /// The address lies inside the subnet.
    #[error("invalid subnet {text}: it should be {expected}")]
    HostBits {
        /// The text.
        text: String,
        /// The subnet that contains the address.
        expected: Subnet,
    },
}

impl Subnet {
    /// Returns the subnet of that prefix length that contains the address; lengths over 32 count as 32.
    pub fn containing(address: Ipv4Addr, prefix_length: u8) -> Self {
        let prefix_length = prefix_length.min(32);
        Self {
            base: u32::from(address) & mask(prefix_length),
            prefix_length,
        }
    }

    /// Returns the network address.
    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::from(self.base)
    }

    /// Returns the broadcast address.
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from(self.base | !mask(self.prefix_length))
    }

    /// Returns the length of the prefix.
    pub fn prefix_length(self) -> u8 {
        self.prefix_length
    }

    /// Returns the first address after the network address.
    pub fn first_host(self) -> Ipv4Addr {
        Ipv4Addr::from(self.base | 1)
    }

    /// Returns whether the address lies inside.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix_length) == self.base
    }

    /// Returns whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        let shorter = mask(self.prefix_length.min(other.prefix_length));
        self.base & shorter == other.base & shorter
    }

    /// Returns the subnets of that prefix length inside this one, in order; none if it is shorter than this one's.
    pub fn split(self, prefix_length: u8) -> impl Iterator<Item = Self> {
        let fits = (self.prefix_length..=32).contains(&prefix_length);
        let count = if fits {
            1_u64 << (prefix_length - self.prefix_length)
        } else {
            0
        };
        (0..count).map(move |index| {
            let offset = u32::try_from(index << (32 - u32::from(prefix_length))).unwrap_or(0);
            Self {
                base: self.base | offset,
                prefix_length,
            }
        })
    }
}

fn mask(prefix_length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix_length)).unwrap_or(0)
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || InvalidSubnet::Malformed {
            text: text.chars().take(80).collect(),
        };
        let (address, length) = text.split_once('/').ok_or_else(malformed)?;
        let address: Ipv4Addr = address.parse().map_err(|_| malformed())?;
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length = length.parse::<u8>().ok().filter(|length| digits && *length <= 32);
        let subnet = Self::containing(address, length.ok_or_else(malformed)?);
        if subnet.network() == address {
            Ok(subnet)
        } else {
            Err(InvalidSubnet::HostBits {
                text: text.to_owned(),
                expected: subnet,
            })
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.network(), self.prefix_length)
    }
}

impl TryFrom<String> for Subnet {
    type Error = InvalidSubnet;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn parses_only_canonical_subnets() {
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "172.30.0.0/16",
            "192.0.2.7/32",
            "192.0.2.4/30",
        ] {
            assert_eq!(subnet(text).to_string(), text);
        }
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0/8",
            "fd00::/64",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
        ] {
            assert!(
                matches!(text.parse::<Subnet>(), Err(InvalidSubnet::Malformed { .. })),
                "{text}"
            );
        }
        let error = "10.1.2.3/16".parse::<Subnet>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid subnet 10.1.2.3/16: it should be 10.1.0.0/16"
        );
    }

    #[test]
    fn overlap_is_containment_either_way() {
        for (left, right, expected) in [
            ("10.0.0.0/8", "10.88.0.0/16", true),
            ("10.88.0.0/16", "10.88.0.0/16", true),
            ("10.88.0.0/16", "10.89.0.0/16", false),
            ("0.0.0.0/0", "192.0.2.0/24", true),
        ] {
            assert_eq!(subnet(left).overlaps(subnet(right)), expected, "{left} {right}");
            assert_eq!(subnet(right).overlaps(subnet(left)), expected, "{right} {left}");
        }
    }

    #[test]
    fn splits_in_order() {
        let parts: Vec<_> = subnet("10.88.0.0/14").split(16).map(|part| part.to_string()).collect();
        assert_eq!(parts, ["10.88.0.0/16", "10.89.0.0/16", "10.90.0.0/16", "10.91.0.0/16"]);
        assert_eq!(subnet("10.0.0.0/16").split(8).count(), 0);
        assert_eq!(subnet("10.0.0.0/16").split(16).count(), 1);
        assert_eq!(
            subnet("255.255.240.0/20").split(32).last().unwrap().to_string(),
            "255.255.255.255/32"
        );
    }

    proptest! {
        #[test]
        fn text_never_panics(text in ".*") {
            drop(text.parse::<Subnet>());
        }

        #[test]
        fn ends_lie_inside(address in any::<u32>(), length in 0_u8..=32) {
            let subnet = Subnet::containing(address.into(), length);
            prop_assert!(subnet.contains(subnet.network()) && subnet.contains(subnet.broadcast()));
            prop_assert_eq!(subnet.to_string().parse::<Subnet>(), Ok(subnet));
        }
    }
}
