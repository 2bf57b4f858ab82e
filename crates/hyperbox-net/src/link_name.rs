// SPDX-License-Identifier: MIT
//! Names of links: at most 15 bytes (`IFNAMSIZ`), unique on the machine.
//!
//! An endpoint's host link is `hb` and thirteen random digits: it may be made before anybody knows whose it will be, and a container that
//! starts again needs a new name at once, while the kernel is still destroying its old link.

use hyperbox_types::NetworkId;

use crate::config::Config;

/// Longest name of a link.
pub(crate) const LONGEST: usize = 15;
const HOST_LINK_PREFIX: &str = "hb";
const HOST_LINK_DIGITS: usize = LONGEST - HOST_LINK_PREFIX.len();

/// Makes the name of a host link.
pub(crate) fn host_link(random: u64) -> String {
    format!("{HOST_LINK_PREFIX}{:013x}", random >> 12)
}

/// Returns whether a name is one that [`host_link`] makes.
pub(crate) fn is_host_link(name: &str) -> bool {
    name.strip_prefix(HOST_LINK_PREFIX).is_some_and(|digits| {
        digits.len() == HOST_LINK_DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Returns the name of an instance's default bridge.
pub(crate) fn default_bridge(instance: &str) -> String {
    if instance == Config::DEFAULT_INSTANCE {
        return "hyperbox0".to_owned();
    }
    let name = format!("hb-{instance}");
    if name.len() <= LONGEST {
        return name;
    }
    // Long instances that begin alike still get bridges of their own.
    format!("hb-{}-{:05x}", &instance[..6], checksum(instance) & 0xf_ffff)
}

/// Returns the name that the bridge of a network has where nobody wished for one; the same as Docker gives.
pub(crate) fn network_bridge(network: &NetworkId) -> String {
    format!("br-{}", &network.as_str()[..LONGEST - 3])
}

/// Returns whether a name is one that [`default_bridge`] or [`network_bridge`] makes.
pub(crate) fn is_made_up_bridge(name: &str) -> bool {
    let id = name.strip_prefix("br-");
    let of_network = id.is_some_and(|id| id.len() == LONGEST - 3 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    of_network || name == "hyperbox0" || name.starts_with("hb-")
}

/// Returns whether a name is one that [`table`] makes.
pub(crate) fn is_table(name: &str) -> bool {
    name == "hyperbox" || name.starts_with("hyperbox-")
}

/// Returns the name of an instance's nftables table.
pub(crate) fn table(instance: &str) -> String {
    if instance == Config::DEFAULT_INSTANCE {
        "hyperbox".to_owned()
    } else {
        format!("hyperbox-{instance}")
    }
}

/// Returns the alias of the bridges that an instance made.
pub(crate) fn alias(instance: &str) -> String {
    format!("hyperbox:{instance}")
}

/// Returns whether an alias is one that [`alias`] makes, for whatever instance.
pub(crate) fn is_alias(text: &str) -> bool {
    text.starts_with("hyperbox:")
}

/// Returns whether a text can name an instance.
pub(crate) fn is_instance(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Returns whether the kernel (`dev_valid_name`) and our own scheme allow a bridge of that name.
pub(crate) fn is_bridge(name: &str) -> bool {
    is_inner_link(name) && !is_host_link(name)
}

/// Returns whether a container's link can have that name.
pub(crate) fn is_inner_link(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%');
    (1..=LONGEST).contains(&name.len())
        && name.bytes().all(allowed)
        && !matches!(name, "." | ".." | "lo" | "all" | "default")
}

/// 32-bit FNV-1a: stable across versions, which the standard library's hashes are not.
fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_links_are_told_from_everything_else() {
        let name = host_link(0x0123_4567_89ab_cdef);
        assert_eq!(name, "hb0123456789abc");
        assert!(is_host_link(&name) && name.len() == LONGEST);
        for other in [
            "hyperbox0",
            "hb-second",
            "hb",
            "hbababa0000000g",
            "veth0",
            "hbababa000000070",
        ] {
            assert!(!is_host_link(other), "{other}");
        }
    }

    #[test]
    fn bridges_of_instances() {
        assert_eq!(default_bridge("default"), "hyperbox0");
        assert_eq!(default_bridge("second"), "hb-second");
        let long = [
            default_bridge("continuous-integration"),
            default_bridge("continuous-delivery"),
        ];
        assert!(
            long[0] != long[1] && long.iter().all(|name| is_bridge(name)),
            "{long:?}"
        );
        assert_eq!(table("default"), "hyperbox");
        assert_eq!(table("second"), "hyperbox-second");
        assert!(is_instance("a-1") && !is_instance("") && !is_instance("A") && !is_instance("a/b"));
    }

    #[test]
    fn bridge_names() {
        for good in ["br0", "hyperbox0", "fifteen-bytes-1"] {
            assert!(is_bridge(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "lo",
            "a b",
            "a/b",
            "a:b",
            "sixteen-bytes-16",
            "br%d",
            "hb0123456789abc",
            "brü",
        ] {
            assert!(!is_bridge(bad), "{bad}");
        }
    }
}
