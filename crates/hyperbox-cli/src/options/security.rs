// SPDX-License-Identifier: MIT
//! `--security-opt`: seccomp profiles are read by the client, `systempaths=unconfined` becomes empty path lists. `--cap-add` and
//! `--cap-drop`: names in their long form, each once, sorted; what is added is not dropped.

use std::collections::BTreeSet;

/// What the options ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Security {
    /// Options for the daemon.
    pub(crate) options: Vec<String>,
    /// Neither masked nor read-only paths.
    pub(crate) unconfined_paths: bool,
}

/// Checks the options; `read` returns the content of a file.
pub(crate) fn parse(options: &[String], read: impl Fn(&str) -> Result<String, String>) -> Result<Security, String> {
    let mut security = Security::default();
    for option in options {
        if option == "systempaths=unconfined" {
            security.unconfined_paths = true;
            continue;
        }
        let (name, value) = match option.split_once('=').or_else(|| option.split_once(':')) {
            Some(pair) => pair,
            None if option == "no-new-privileges" => (option.as_str(), ""),
            None => return Err(format!("invalid --security-opt: {option:?}")),
        };
        if name == "seccomp" && !matches!(value, "unconfined" | "builtin" | "") {
            let content =
                read(value).map_err(|reason| format!("opening seccomp profile ({value}) failed: {reason}"))?;
            let profile: &serde_json::value::RawValue = serde_json::from_str(&content)
                .map_err(|error| format!("compacting json for seccomp profile ({value}) failed: {error}"))?;
            security.options.push(format!("seccomp={}", compact(profile.get())));
        } else {
            security.options.push(option.clone());
        }
    }
    Ok(security)
}

/// Returns which capabilities are added and dropped; `ALL` stands for all others beside it.
pub(crate) fn capabilities(add: &[String], drop: &[String]) -> (Vec<String>, Vec<String>) {
    let (add, mut drop) = (names(add), names(drop));
    drop.retain(|name| !add.contains(name));
    (add.into_iter().collect(), drop.into_iter().collect())
}

fn names(names: &[String]) -> BTreeSet<String> {
    let long = |name: &String| {
        let name = name.trim().to_ascii_uppercase();
        if name == ALL || name.starts_with("CAP_") {
            name
        } else {
            format!("CAP_{name}")
        }
    };
    let names: BTreeSet<String> = names.iter().map(long).collect();
    if names.contains(ALL) {
        return BTreeSet::from([ALL.to_owned()]);
    }
    names
}

const ALL: &str = "ALL";

/// Removes white space outside of strings.
fn compact(json: &str) -> String {
    let mut output = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        output.push(character);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let read = |path: &str| match path {
            "p.json" => Ok("{ \"a b\\\"\": [ 1,\n 2 ] }\n".to_owned()),
            "bad.json" => Ok("nope".to_owned()),
            path => Err(format!("open {path}: no such file or directory")),
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let parsed = parse(
            &words(&[
                "seccomp=p.json",
                "no-new-privileges",
                "label=disable",
                "systempaths=unconfined",
            ]),
            read,
        )
        .unwrap();
        assert!(parsed.unconfined_paths);
        assert_eq!(
            parsed.options,
            [r#"seccomp={"a b\"":[1,2]}"#, "no-new-privileges", "label=disable"]
        );
        assert_eq!(
            parse(&words(&["seccomp=unconfined"]), read).unwrap().options,
            ["seccomp=unconfined"]
        );
        assert_eq!(
            parse(&words(&["seccomp=/nope"]), read).unwrap_err(),
            "opening seccomp profile (/nope) failed: open /nope: no such file or directory"
        );
        assert!(
            parse(&words(&["seccomp=bad.json"]), read)
                .unwrap_err()
                .starts_with("compacting json for seccomp profile (bad.json)")
        );
        assert_eq!(
            parse(&words(&["foo"]), read).unwrap_err(),
            "invalid --security-opt: \"foo\""
        );
    }

    #[test]
    fn capabilities_are_named_as_dockers_command_line_does() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (add, drop, expected) in [
            ("", "", ("", "")),
            ("net_admin CAP_CHOWN NET_ADMIN", "", ("CAP_CHOWN CAP_NET_ADMIN", "")),
            ("all chown", "chown", ("ALL", "CAP_CHOWN")),
            ("chown", "ALL chown", ("CAP_CHOWN", "ALL")),
            ("chown", "CHOWN kill", ("CAP_CHOWN", "CAP_KILL")),
        ] {
            let (add, drop) = capabilities(&words(add), &words(drop));
            assert_eq!((add.join(" ").as_str(), drop.join(" ").as_str()), expected);
        }
    }
}
