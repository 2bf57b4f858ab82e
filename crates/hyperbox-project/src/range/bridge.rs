// SPDX-License-Identifier: MIT
//! Names of the bridges of projects' networks: `br-shop`, `br-shop-back`.
//!
//! The kernel allows 15 bytes (`IFNAMSIZ`, netdevice(7)). A name that is longer, or that is somebody else's, ends with a checksum of all of
//! it. Names of `br-` and twelve hexadecimal digits are those of networks without a project, and no name looks like one.

/// The longest name of a link.
const LONGEST: usize = 15;
const PREFIX: &str = "br-";
/// How many digits of a checksum a name ends with.
const DIGITS: usize = 5;
/// A name is tried so often; after that the engine chooses.
const ATTEMPTS: u32 = 64;

/// Chooses the name of the bridge of the network `key` of `project`.
///
/// `None` when all names that were tried are taken.
pub fn bridge_name(project: &str, key: &str, is_taken: impl Fn(&str) -> bool) -> Option<String> {
    let whole = if key == "default" {
        project.to_owned()
    } else {
        format!("{project}-{key}")
    };
    let plain = format!("{PREFIX}{whole}");
    let fits = plain.len() <= LONGEST && plain.is_ascii() && !is_of_a_network(&plain);
    if fits && is_link(&plain) && !is_taken(&plain) {
        return Some(plain);
    }
    let room = LONGEST - PREFIX.len() - DIGITS - 1;
    let kept = |byte: char| byte.is_ascii_alphanumeric() || matches!(byte, '-' | '_');
    let beginning: String = whole.chars().filter(|byte| kept(*byte)).take(room).collect();
    (0..ATTEMPTS)
        .map(|attempt| {
            // A project's name has no slash, so no two networks have one text.
            let sum = checksum(&format!("{project}/{key}/{attempt}")) & 0xf_ffff;
            format!("{PREFIX}{beginning}-{sum:0DIGITS$x}")
        })
        .find(|name| !is_taken(name))
}

/// Returns whether the kernel allows it (`dev_valid_name`).
fn is_link(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%'))
}

fn is_of_a_network(name: &str) -> bool {
    let id = &name[PREFIX.len()..];
    id.len() == LONGEST - PREFIX.len() && id.bytes().all(|byte| byte.is_ascii_hexdigit())
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
    fn names() {
        let free = |_: &str| false;
        for (project, key, expected) in [
            ("shop", "default", "br-shop"),
            ("shop", "back", "br-shop-back"),
            ("twelve-bytes", "default", "br-twelve-bytes"),
        ] {
            assert_eq!(bridge_name(project, key, free).as_deref(), Some(expected));
        }
        for (project, key) in [
            ("thirteen-byte", "default"),
            ("abcdefabcdef", "default"),
            ("a", "with/slash"),
            ("a", "über"),
            ("shop", "a-long-name-of-a-network"),
        ] {
            let name = bridge_name(project, key, free).unwrap();
            assert!(
                name.len() <= LONGEST && is_link(&name) && !is_of_a_network(&name),
                "{name}"
            );
            assert_eq!(name.as_bytes()[name.len() - DIGITS - 1], b'-', "{name}");
        }
    }

    #[test]
    fn what_is_taken_is_not_taken_again() {
        let mut taken = vec!["br-shop".to_owned()];
        for _ in 0..5 {
            let name = bridge_name("shop", "default", |name| taken.iter().any(|other| other == name)).unwrap();
            assert!(name.starts_with("br-shop-"), "{name}");
            taken.push(name);
        }
        assert_eq!(bridge_name("shop", "default", |_| true), None);
    }
}
