// SPDX-License-Identifier: MIT
//! Links and nftables rules of a network namespace, as iproute2 and nft show them.

use std::collections::BTreeSet;
use std::process::Command;

/// Names of the links.
pub(super) fn links(network_of: Option<u32>) -> BTreeSet<String> {
    let text = output(network_of, &["ip", "-brief", "link"]);
    let first_words = text.lines().filter_map(|line| line.split_whitespace().next());
    first_words
        .map(|name| name.split('@').next().unwrap_or(name).to_owned())
        .collect()
}

/// Lines of the ruleset, with what encloses them, without counters.
pub(super) fn rules(network_of: Option<u32>) -> BTreeSet<String> {
    qualify(&output(network_of, &["nft", "--stateless", "list", "ruleset"]))
}

pub(super) fn qualify(ruleset: &str) -> BTreeSet<String> {
    let mut enclosing: Vec<&str> = Vec::new();
    let mut lines = BTreeSet::new();
    for line in ruleset.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line == "}" {
            enclosing.pop();
            continue;
        }
        let name = line.trim_end_matches('{').trim();
        lines.insert(enclosing.iter().chain([&name]).copied().collect::<Vec<_>>().join(" / "));
        if line.ends_with('{') {
            enclosing.push(name);
        }
    }
    lines
}

fn output(network_of: Option<u32>, words: &[&str]) -> String {
    let mut command = match network_of {
        Some(pid) => {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net=/proc/{pid}/ns/net")).args(words);
            command
        }
        None => {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]);
            command
        }
    };
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {words:?}: {error}"));
    // What has no rights to see rules sees none: the same before and after.
    String::from_utf8_lossy(&output.stdout).into_owned()
}
