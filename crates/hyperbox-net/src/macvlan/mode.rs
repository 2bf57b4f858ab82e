// SPDX-License-Identifier: MIT
//! How packets go between the links of one parent. Pure.
//!
//! See `enum macvlan_mode` and `enum ipvlan_mode` of `linux/if_link.h`.

use std::collections::BTreeMap;

/// Which of the two kinds of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each link has a MAC address of its own.
    Macvlan,
    /// All links have the parent's MAC address.
    Ipvlan,
}

impl Kind {
    /// Returns the name of the driver and of the kernel's kind of links.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }

    /// Returns what the names of parents that lead nowhere begin with; the same as Docker's.
    pub(crate) fn dummy_prefix(self) -> &'static str {
        match self {
            Self::Macvlan => "dm-",
            Self::Ipvlan => "di-",
        }
    }
}

/// The kernel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Macvlan { mode: u32 },
    Ipvlan { mode: u16, flags: u16 },
}

const PASSTHRU: u32 = 8;
const L2: u16 = 0;

impl Mode {
    /// Reads the options of a network; the text of an error is Docker's.
    pub(crate) fn parse(kind: Kind, options: &BTreeMap<String, String>) -> Result<Self, String> {
        let option = |key: &str| options.get(key).map_or("", String::as_str);
        match kind {
            Kind::Macvlan => Ok(Self::Macvlan {
                mode: match option("macvlan_mode") {
                    "private" => 1,
                    "vepa" => 2,
                    "" | "bridge" => 4,
                    "passthru" => PASSTHRU,
                    other => {
                        return Err(format!(
                            "requested macvlan mode '{other}' is not valid, 'bridge' mode is the macvlan driver default"
                        ));
                    }
                },
            }),
            Kind::Ipvlan => Ok(Self::Ipvlan {
                mode: match option("ipvlan_mode") {
                    "" | "l2" => L2,
                    "l3" => 1,
                    "l3s" => 2,
                    other => {
                        return Err(format!(
                            "requested ipvlan mode '{other}' is not valid, 'l2' mode is the ipvlan driver default"
                        ));
                    }
                },
                flags: match option("ipvlan_flag") {
                    "" | "bridge" => 0,
                    "private" => 1,
                    "vepa" => 2,
                    other => {
                        return Err(format!(
                            "requested ipvlan flag '{other}' is not valid, 'bridge' is the ipvlan driver default"
                        ));
                    }
                },
            }),
        }
    }

    /// Returns whether one link has the parent for itself.
    pub(crate) fn is_passthru(self) -> bool {
        self == Self::Macvlan { mode: PASSTHRU }
    }

    /// Returns whether packets are routed by the parent: there is no neighbour, and so no gateway.
    pub(crate) fn is_routed(self) -> bool {
        matches!(self, Self::Ipvlan { mode, .. } if mode != L2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        let parse = |kind, options: &[(&str, &str)]| {
            let options = options
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            Mode::parse(kind, &options)
        };
        assert_eq!(parse(Kind::Macvlan, &[]), Ok(Mode::Macvlan { mode: 4 }));
        assert!(parse(Kind::Macvlan, &[("macvlan_mode", "passthru")]).is_ok_and(Mode::is_passthru));
        let routed = parse(Kind::Ipvlan, &[("ipvlan_mode", "l3s"), ("ipvlan_flag", "vepa")]);
        assert_eq!(routed, Ok(Mode::Ipvlan { mode: 2, flags: 2 }));
        assert!(routed.is_ok_and(Mode::is_routed) && !parse(Kind::Ipvlan, &[]).is_ok_and(Mode::is_routed));
        for (kind, key, expected) in [
            (
                Kind::Macvlan,
                "macvlan_mode",
                "requested macvlan mode 'x' is not valid, 'bridge' mode is the macvlan driver default",
            ),
            (
                Kind::Ipvlan,
                "ipvlan_mode",
                "requested ipvlan mode 'x' is not valid, 'l2' mode is the ipvlan driver default",
            ),
            (
                Kind::Ipvlan,
                "ipvlan_flag",
                "requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default",
            ),
        ] {
            assert_eq!(parse(kind, &[(key, "x")]), Err(expected.to_owned()));
        }
    }
}
