// SPDX-License-Identifier: MIT
//! What an image shows, as paths and digests: layer archives put on top of one another (OCI image-spec, `layer.md`).
//!
//! The digest of an entry covers what a container can tell apart: kind, mode, owner, device, link and bytes; times are left out, since
//! two builds of the same differ in nothing else. Nothing is written anywhere, so a hostile archive can only lie about itself.

use std::collections::BTreeMap;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// One path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) digest: [u8; 32],
    size: u64,
    is_directory: bool,
}

/// All paths, without a slash at either end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
}

impl Tree {
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Vec<u8>, &Node)> {
        self.nodes.iter()
    }

    pub(super) fn size(&self, path: &[u8]) -> Option<u64> {
        self.nodes.get(path).map(|node| node.size)
    }

    /// Puts a layer on top; reads the archive to the stream's end.
    pub(super) fn apply(&mut self, mut archive: &mut dyn Read) -> io::Result<()> {
        let mut added = Vec::new();
        let mut entries = tar::Archive::new(&mut archive);
        for entry in entries.entries()? {
            let mut entry = entry?;
            let path = normal(&entry.path_bytes());
            let (parent, name) = split(&path);
            if name == OPAQUE {
                self.clear_below(parent);
            } else if let Some(name) = name.strip_prefix(WHITEOUT) {
                let hidden = if parent.is_empty() {
                    name.to_vec()
                } else {
                    [parent, b"/", name].concat()
                };
                self.remove(&hidden);
            } else if !path.is_empty() {
                let linked = entry
                    .header()
                    .entry_type()
                    .is_hard_link()
                    .then(|| entry.link_name_bytes());
                let link = linked.flatten().map(|target| normal(&target));
                let node = describe(&mut entry)?;
                added.push((path, link, node));
            }
        }
        io::copy(&mut archive, &mut io::sink())?;
        // Whiteouts hide what is below, wherever in the archive they stand.
        for (path, link, node) in added {
            let target = link.and_then(|target| self.nodes.get(&target).cloned());
            let node = target.unwrap_or(node);
            if !node.is_directory {
                self.clear_below(&path);
            }
            self.nodes.insert(path, node);
        }
        Ok(())
    }

    fn remove(&mut self, path: &[u8]) {
        self.nodes.remove(path);
        self.clear_below(path);
    }

    /// Removes all below a directory.
    fn clear_below(&mut self, path: &[u8]) {
        if path.is_empty() {
            self.nodes.clear();
            return;
        }
        let (first, last) = ([path, b"/"].concat(), [path, b"0"].concat());
        let below: Vec<Vec<u8>> = self.nodes.range(first..last).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.nodes.remove(&path);
        }
    }
}

fn describe<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Node> {
    let header = entry.header().clone();
    let kind = header.entry_type();
    let mut hasher = Sha256::new();
    hasher.update([kind.as_byte()]);
    // A field that is left blank means nought, as for GNU tar.
    hasher.update(header.mode().unwrap_or_default().to_le_bytes());
    hasher.update(header.uid().unwrap_or_default().to_le_bytes());
    hasher.update(header.gid().unwrap_or_default().to_le_bytes());
    if kind.is_character_special() || kind.is_block_special() {
        hasher.update(header.device_major().ok().flatten().unwrap_or(0).to_le_bytes());
        hasher.update(header.device_minor().ok().flatten().unwrap_or(0).to_le_bytes());
    }
    if let Some(target) = entry.link_name_bytes() {
        hasher.update(target.as_ref());
    }
    let mut size = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = entry.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        size += count as u64;
    }
    Ok(Node {
        digest: hasher.finalize().into(),
        size,
        is_directory: kind.is_dir(),
    })
}

/// Takes `.`, `..` and superfluous slashes away.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, Option<&str>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_entry_type(if text.is_some() {
                tar::EntryType::Regular
            } else {
                tar::EntryType::Directory
            });
            header.set_size(text.map_or(0, str::len) as u64);
            let bytes = text.unwrap_or_default().as_bytes();
            builder.append_data(&mut header, name, bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn tree(layers: &[&[(&str, Option<&str>)]]) -> Tree {
        let mut tree = Tree::default();
        for layer in layers {
            tree.apply(&mut archive(layer).as_slice()).unwrap();
        }
        tree
    }

    #[test]
    fn layers_stand_on_one_another() {
        let base: &[(&str, Option<&str>)] = &[("d/", None), ("d/a", Some("1")), ("d/b", Some("2")), ("d0", Some("x"))];
        for (upper, left) in [
            (&[("d/.wh.a", Some(""))][..], &["d", "d/b", "d0"][..]),
            (&[(".wh.d", Some(""))], &["d0"]),
            (&[("d/c", Some("3")), ("d/.wh..wh..opq", Some(""))], &["d", "d/c", "d0"]),
            (&[("d", Some("now a file"))], &["d", "d0"]),
            (&[(".wh..wh..opq", Some("")), ("new", Some(""))], &["new"]),
            (&[("./d//a", Some("4"))], &["d", "d/a", "d/b", "d0"]),
        ] {
            let tree = tree(&[base, upper]);
            let paths: Vec<String> = tree
                .entries()
                .map(|(path, _)| String::from_utf8_lossy(path).into())
                .collect();
            assert_eq!(paths, left, "{upper:?}");
        }
    }

    #[test]
    fn names_are_brought_into_one_form() {
        for (name, path) in [
            ("./a/", "a"),
            ("/a//b/./c", "a/b/c"),
            ("a/../b", "b"),
            ("../../a", "a"),
            ("./", ""),
        ] {
            assert_eq!(normal(name.as_bytes()), path.as_bytes());
        }
    }

    #[test]
    fn cut_archives_are_errors() {
        let whole = archive(&[("a", Some("some text"))]);
        assert!(Tree::default().apply(&mut &whole[..515]).is_err());
    }
}
