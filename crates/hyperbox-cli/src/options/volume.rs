// SPDX-License-Identifier: MIT
//! `--volume [SOURCE:]TARGET[:MODE]` and `--tmpfs TARGET[:OPTIONS]`.

/// What a `--volume` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    /// An anonymous volume at that path.
    Anonymous(String),
    /// `source:target[:mode]`, for the daemon's list of binds.
    Bind(String),
}

/// Parses one option; `current` is the directory that relative sources start from.
pub(crate) fn parse(text: &str, current: &str) -> Result<Volume, String> {
    if text.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [target] => Ok(Volume::Anonymous((*target).to_owned())),
        [source, rest @ ..] if rest.len() <= 2 => {
            if source.is_empty() || rest[0].is_empty() {
                return Err(format!("invalid spec: {text}: empty section between colons"));
            }
            // A source with a dot or a tilde in front is a path of the client; a bare word is a volume.
            let relative = *source == "." || *source == ".." || source.starts_with("./") || source.starts_with("../");
            let source = if relative {
                clean(&format!("{current}/{source}"))
            } else {
                (*source).to_owned()
            };
            Ok(Volume::Bind(format!("{source}:{}", rest.join(":"))))
        }
        _ => Err(format!("invalid spec: {text}: too many colons")),
    }
}

/// Resolves `.` and `..` in an absolute path.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Splits `target[:options]`.
pub(crate) fn tmpfs(text: &str) -> (String, String) {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    (target.to_owned(), options.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes() {
        let bind = |text: &str| Ok(Volume::Bind(text.to_owned()));
        for (text, expected) in [
            ("/data", Ok(Volume::Anonymous("/data".to_owned()))),
            ("name:/data", bind("name:/data")),
            ("/a:/b:ro,z", bind("/a:/b:ro,z")),
            ("./a/../b:/c", bind("/work/b:/c")),
            (".:/c:ro", bind("/work:/c:ro")),
            ("../x:/c", bind("/x:/c")),
            ("", Err("invalid empty volume spec".to_owned())),
            (":/b", Err("invalid spec: :/b: empty section between colons".to_owned())),
            ("/a:", Err("invalid spec: /a:: empty section between colons".to_owned())),
            ("a:b:c:d", Err("invalid spec: a:b:c:d: too many colons".to_owned())),
        ] {
            assert_eq!(parse(text, "/work"), expected, "{text}");
        }
        assert_eq!(
            tmpfs("/t:size=1m,mode=700"),
            ("/t".to_owned(), "size=1m,mode=700".to_owned())
        );
    }
}
