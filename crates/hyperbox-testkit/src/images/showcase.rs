// SPDX-License-Identifier: MIT
//! An image with everything that unpackers get wrong.
//!
//! What a container sees of it (all below `/show`):
//!
//! | path | must be |
//! | --- | --- |
//! | `removed` | missing (whiteout in the second layer) |
//! | `opaque/` | only `new` (opaque in the second layer) |
//! | `refilled/` | only `second`: removed and made again in the same layer |
//! | `kept` | `first` |
//! | `replaced` | a file with `second`, a directory below |
//! | `hard-a`, `hard-b` | one inode, `linked` |
//! | `setuid` | mode 4755 |
//! | `sticky/` | mode 1777 |
//! | `attributed` | `user.hyperbox` = `value` |
//! | `owned` | 1000:100 |
//! | `null` | character device 1:3 |
//! | `pipe` | named pipe |
//! | [`LONG_NAME`], [`LONG_PATH`] | `long` |
//! | `relative`, `absolute` | links to `kept` |
//! | `empty` | an empty file |

use super::entry::{Entry, EntryKind, Layer};
use super::layout::Image;
use super::starter::starter;

/// A name longer than a tar header's field, and exactly as long as Linux allows.
pub const LONG_NAME: &str = concat!(
    "show/long-nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
);

/// A path longer than name and prefix of a ustar header together (255 bytes).
pub const LONG_PATH: &str = concat!(
    "show/deep/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/",
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc/file"
);

/// Returns an image of three layers: the starter's, one with content, one that changes it.
pub fn showcase() -> Image {
    let mut image = starter();
    image.layers.push(lower());
    image.layers.push(upper());
    image
        .config
        .labels
        .push(("org.hyperbox.test".to_owned(), "showcase".to_owned()));
    image.config.volumes.push("/show/volume".to_owned());
    image
}

fn lower() -> Layer {
    let plain = |path: &str, kind: EntryKind| Entry {
        path: path.to_owned(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        xattrs: Vec::new(),
    };
    let file = |path: &str, text: &'static str| {
        let content = super::entry::Content::Bytes(text.into());
        plain(path, EntryKind::File(content))
    };
    Layer::new()
        .directory("show", 0o755)
        .file("show/removed", 0o644, "first")
        .directory("show/opaque", 0o755)
        .file("show/opaque/old", 0o644, "first")
        .directory("show/refilled", 0o755)
        .file("show/refilled/first", 0o644, "first")
        .file("show/kept", 0o644, "first")
        .directory("show/replaced", 0o755)
        .file("show/replaced/below", 0o644, "first")
        .file("show/hard-a", 0o644, "linked")
        .hard_link("show/hard-b", "show/hard-a")
        .file("show/setuid", 0o4755, "first")
        .directory("show/sticky", 0o1777)
        .entry(file("show/attributed", "first").with_xattr("user.hyperbox", "value"))
        .entry(file("show/owned", "first").owned_by(1000, 100))
        .character_device("show/null", 0o666, 1, 3)
        .fifo("show/pipe", 0o600)
        .file(LONG_NAME, 0o644, "long")
        .file(LONG_PATH, 0o644, "long")
        .symlink("show/relative", "kept")
        .symlink("show/absolute", "/show/kept")
        .file("show/empty", 0o644, "")
        .directory("show/volume", 0o750)
        .entry(file("show/volume/seed", "seed").owned_by(1000, 100))
}

fn upper() -> Layer {
    Layer::new()
        .directory("show", 0o755)
        .whiteout("show", "removed")
        .directory("show/opaque", 0o755)
        .opaque("show/opaque")
        .file("show/opaque/new", 0o644, "second")
        .whiteout("show", "refilled")
        .directory("show/refilled", 0o755)
        .opaque("show/refilled")
        .file("show/refilled/second", 0o644, "second")
        .file("show/replaced", 0o644, "second")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_long_as_promised() {
        let name = LONG_NAME.rsplit('/').next().unwrap();
        assert!((101..=255).contains(&name.len()), "{}", name.len());
        assert!(LONG_PATH.len() > 255, "{}", LONG_PATH.len());
    }
}
