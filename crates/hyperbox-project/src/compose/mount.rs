// SPDX-License-Identifier: MIT
//! Mounts as they are written short: `[SOURCE:]TARGET[:OPTIONS]`.
//!
//! A path as source is a directory of the host, a name is a volume. Options that nobody knows are ignored, as Compose does. Paths of Windows
//! are known by their drive letter, whatever this runs on.
//!
//! Source: <https://docs.docker.com/reference/compose-file/services/#short-syntax-5>.

use super::path;
use super::short;
use super::tree::{At, Map, Node, Value};

/// Gives the long form.
///
/// # Errors
/// A sentence.
pub(crate) fn parse(text: &str, at: At) -> Result<Node, &'static str> {
    let parts = split(text)?;
    let (source, target, options) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err("too many colons"),
    };
    let is_path = is_path(source);
    let mut bind = Map::new();
    let mut volume = Map::new();
    let mut read_only = false;
    for option in options.split(',') {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "nocopy" => {
                volume.insert("nocopy".to_owned(), Node::new(Value::Boolean(true), at));
            }
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                bind.insert("propagation".to_owned(), Node::text(option, at));
            }
            "z" | "Z" => {
                bind.insert("selinux".to_owned(), Node::text(option, at));
            }
            _ => {}
        }
    }
    let mut members = vec![("target", Value::Text(path::clean(target)))];
    if !source.is_empty() {
        members.push(("source", Value::Text(source.to_owned())));
    }
    if read_only {
        members.push(("read_only", Value::Boolean(true)));
    }
    if is_path {
        bind.insert("create_host_path".to_owned(), Node::new(Value::Boolean(true), at));
        members.push(("type", Value::Text("bind".to_owned())));
    } else {
        members.push(("type", Value::Text("volume".to_owned())));
    }
    if !bind.is_empty() {
        members.push(("bind", Value::Map(bind)));
    }
    // Compose says nothing of a volume whose target is that short; so that the documents are the same.
    if (!is_path && text.len() > 2) || !volume.is_empty() {
        members.push(("volume", Value::Map(volume)));
    }
    Ok(short::map(at, members))
}

fn split(text: &str) -> Result<Vec<&str>, &'static str> {
    if text.is_empty() {
        return Err("invalid empty volume spec");
    }
    if text.len() <= 2 {
        return Ok(vec![text]);
    }
    let mut parts = Vec::new();
    let mut start = 0;
    for (position, character) in text.char_indices() {
        if character != ':' || is_drive(&text[start..position]) {
            continue;
        }
        parts.push(&text[start..position]);
        start = position + 1;
    }
    parts.push(&text[start..]);
    if parts.iter().any(|part| part.is_empty()) {
        return Err("empty section between colons");
    }
    Ok(parts)
}

fn is_drive(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(char::is_alphabetic) && characters.next().is_none()
}

/// Whether a source is a path of the host: absolute, from here, from home, or of Windows.
fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
        || source.starts_with("\\\\")
        || source.split_once(':').is_some_and(|(drive, _)| is_drive(drive))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let node = match parse(text, At::default()) {
            Ok(node) => node,
            Err(reason) => return reason.to_owned(),
        };
        let part = |key: &str| node.get(key).and_then(Node::to_text).unwrap_or_default();
        format!(
            "{} {}>{} {}",
            part("type"),
            part("source"),
            part("target"),
            part("read_only")
        )
    }

    #[test]
    fn every_form() {
        for (text, expected) in [
            ("/data", "volume >/data "),
            ("/a", "volume >/a "),
            ("data:/data", "volume data>/data "),
            ("data:/data/:ro", "volume data>/data true"),
            ("./here:/there", "bind ./here>/there "),
            ("~/here:/there:rw", "bind ~/here>/there "),
            ("/x:/y:ro,rshared", "bind /x>/y true"),
            ("C:\\x:/y", "bind C:\\x>/y "),
            ("C:\\x:D:\\y:ro", "bind C:\\x>D:\\y true"),
            ("", "invalid empty volume spec"),
            ("::/x", "empty section between colons"),
            ("data::ro", "empty section between colons"),
            ("name:/b:ro:more", "too many colons"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }
}
