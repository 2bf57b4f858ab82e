// SPDX-License-Identifier: MIT
//! Environment variables and labels, from the command line and from files.

use std::collections::BTreeMap;

/// Collects `-e` and `--env-file`: files first, a bare `NAME` takes its value from the client's environment if it has one.
///
/// A later entry of the same name does not remove an earlier one: the daemon lets the last one win, as for Docker.
pub(crate) fn variables(
    files: &[(String, String)],
    options: &[String],
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, String> {
    let mut variables = Vec::new();
    for (name, content) in files {
        for line in lines(name, content) {
            let line = line?;
            match line.split_once('=') {
                Some((key, _)) => {
                    check_key(key)?;
                    variables.push(line.to_owned());
                }
                None => {
                    check_key(line)?;
                    variables.extend(lookup(line).map(|value| format!("{line}={value}")));
                }
            }
        }
    }
    for option in options {
        if option.is_empty() || option.starts_with('=') {
            return Err(format!(
                "invalid argument {option:?} for \"-e, --env\" flag: invalid environment variable: {option}"
            ));
        }
        if option.contains('=') {
            variables.push(option.clone());
        } else if let Some(value) = lookup(option) {
            variables.push(format!("{option}={value}"));
        } else {
            // Without a value the daemon removes the image's variable of that name.
            variables.push(option.clone());
        }
    }
    Ok(variables)
}

fn lines<'a>(name: &'a str, content: &'a str) -> impl Iterator<Item = Result<&'a str, String>> {
    content
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(move |line| {
            if line.starts_with('=') {
                return Err(format!("no variable name on line '{line}' of {name}"));
            }
            Ok(line)
        })
}

fn check_key(key: &str) -> Result<(), String> {
    if key.contains(char::is_whitespace) {
        return Err(format!("variable '{key}' contains whitespaces"));
    }
    Ok(())
}

/// Collects `--label` and `--label-file` into a map.
pub(crate) fn labels(files: &[(String, String)], options: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for (name, content) in files {
        for line in lines(name, content) {
            let line = line?;
            check_key(line.split('=').next().unwrap_or_default())?;
            insert(&mut labels, line);
        }
    }
    for option in options {
        if option.is_empty() || option.starts_with('=') {
            return Err(format!(
                "invalid argument {option:?} for \"-l, --label\" flag: invalid label format: {option:?}"
            ));
        }
        insert(&mut labels, option);
    }
    Ok(labels)
}

/// Checks the form of a label of a network.
pub(crate) fn label(text: &str) -> Result<String, String> {
    if text.split('=').next().is_none_or(|name| name.trim().is_empty()) {
        return Err(format!("invalid label '{text}': empty name"));
    }
    Ok(text.to_owned())
}

/// Turns `key=value` words into a map; a missing value is empty.
pub(crate) fn pairs(options: &[String]) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for option in options {
        insert(&mut pairs, option);
    }
    pairs
}

fn insert(map: &mut BTreeMap<String, String>, pair: &str) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    map.insert(key.to_owned(), value.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_from_everywhere() {
        let lookup = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        let file = ("f".to_owned(), "\u{feff}# note\n\n  A=1 2\nHOME\nMISSING\n".to_owned());
        let options = ["B=".to_owned(), "HOME".to_owned(), "GONE".to_owned()];
        let variables_found = variables(&[file], &options, lookup).unwrap();
        assert_eq!(variables_found, ["A=1 2", "HOME=/root", "B=", "HOME=/root", "GONE"]);
        for (content, reason) in [
            ("=x", "no variable name on line '=x' of f"),
            ("A B=1", "variable 'A B' contains whitespaces"),
        ] {
            assert_eq!(
                variables(&[("f".into(), content.into())], &[], lookup),
                Err(reason.to_owned())
            );
        }
        assert!(variables(&[], &["=x".to_owned()], lookup).is_err());
    }

    #[test]
    fn labels_from_everywhere() {
        let found = labels(&[("f".into(), "a=1\nb\n".into())], &["a=2".into(), "c=x=y".into()]).unwrap();
        assert_eq!(
            found,
            BTreeMap::from([
                ("a".into(), "2".into()),
                ("b".into(), String::new()),
                ("c".into(), "x=y".into())
            ])
        );
        assert!(labels(&[], &[String::new()]).is_err());
    }
}
