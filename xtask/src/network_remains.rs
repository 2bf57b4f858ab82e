// SPDX-License-Identifier: MIT
//! Bridges and nftables tables that a stopped daemon leaves on purpose: its network outlives it, as its containers do.
//!
//! Whoever made a daemon for a moment removes them afterwards. Names are those of `hyperbox-net`: `hyperbox0` and `hyperbox` for the
//! default root, `hb-ID` and `hyperbox-ID` for others.

use std::collections::BTreeSet;

use crate::process::{capture, command};

/// What there is of HyperBox in this network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetworkRemains {
    links: BTreeSet<String>,
    tables: BTreeSet<String>,
}

impl NetworkRemains {
    /// Looks what is there; nothing where the tools are missing.
    pub(crate) fn look() -> Self {
        let links = capture(&mut command(&["ip", "-brief", "link"])).unwrap_or_default();
        let tables = capture(&mut command(&["nft", "list", "tables"])).unwrap_or_default();
        Self::parse(&links, &tables)
    }

    fn parse(links: &str, tables: &str) -> Self {
        let ours = |name: &str| {
            name == "hyperbox" || name == "hyperbox0" || name.starts_with("hyperbox-") || name.starts_with("hb-")
        };
        let link = |line: &str| {
            line.split_whitespace()
                .next()
                .map(|name| name.split('@').next().unwrap_or(name).to_owned())
        };
        // `table ip hyperbox`
        let table = |line: &str| line.strip_prefix("table ").map(str::to_owned);
        Self {
            links: links.lines().filter_map(link).filter(|name| ours(name)).collect(),
            tables: tables
                .lines()
                .filter_map(table)
                .filter(|name| name.rsplit(' ').next().is_some_and(ours))
                .collect(),
        }
    }

    /// Keeps only what the default daemon makes.
    pub(crate) fn of_default_daemon(mut self) -> Self {
        self.links.retain(|name| name == "hyperbox0");
        self.tables.retain(|name| name.ends_with(" hyperbox"));
        self
    }

    /// Keeps only what was not there before.
    pub(crate) fn since(mut self, before: &Self) -> Self {
        self.links.retain(|name| !before.links.contains(name));
        self.tables.retain(|name| !before.tables.contains(name));
        self
    }

    /// Removes all of it and says so; what vanishes meanwhile needs no removal.
    pub(crate) fn remove(&self) {
        for link in &self.links {
            println!("removing the bridge {link}");
            let _gone = capture(&mut command(&["ip", "link", "delete", link]));
        }
        for table in &self.tables {
            println!("removing the nftables table {table}");
            let words: Vec<&str> = ["nft", "delete", "table"].into_iter().chain(table.split(' ')).collect();
            let _gone = capture(&mut command(&words));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_and_ours_is_removed() {
        let before = NetworkRemains::parse(
            "lo UNKNOWN\nhb-aaaaaa DOWN\n",
            "table ip hyperbox-aaaaaa\ntable ip nat\n",
        );
        let after = NetworkRemains::parse(
            "lo UNKNOWN\nhb-aaaaaa DOWN\nhb-bbbbbb@if3 DOWN\nhyperbox0 DOWN\nbr-x UP\n",
            "table ip hyperbox-aaaaaa\ntable ip hyperbox-bbbbbb\ntable ip hyperbox\ntable ip nat\n",
        );
        let new = after.clone().since(&before);
        assert_eq!(new.links.iter().collect::<Vec<_>>(), ["hb-bbbbbb", "hyperbox0"]);
        assert_eq!(
            new.tables.iter().collect::<Vec<_>>(),
            ["ip hyperbox", "ip hyperbox-bbbbbb"]
        );
        let default = after.of_default_daemon();
        assert_eq!(default.links.iter().collect::<Vec<_>>(), ["hyperbox0"]);
        assert_eq!(default.tables.iter().collect::<Vec<_>>(), ["ip hyperbox"]);
    }
}
