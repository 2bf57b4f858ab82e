// SPDX-License-Identifier: MIT
//! What a wish for a network comes to, and how its settings are read back. Pure.
//!
//! The whole list is kept among the settings' options: what happens to the file afterwards does not matter to the network.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hyperbox_core::seam::{NetworkError, NetworkSettings, NetworkWish, PoolWish};
use hyperbox_types::ErrorKind;

use crate::failure::refused;
use crate::list::List;

/// Option with the list: its path, its name or itself. In settings it is always the list itself.
pub(crate) const LIST: &str = "conflist";
/// The same option in the words of a longer kind.
const LIST_LONG: &str = "cni.conflist";
/// Option with the directories of plugins, separated by colons.
pub(crate) const PLUGIN_DIRS: &str = "cni.path";
const DEFAULT_MTU: u32 = 1500;

/// A network of plugins.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) list: Arc<List>,
    pub(crate) plugin_dirs: Vec<PathBuf>,
}

/// Takes the option that names the list, under either name.
pub(crate) fn take_list(network: &str, options: &mut BTreeMap<String, String>) -> Result<String, NetworkError> {
    let invalid = |message: &str| refused(network, ErrorKind::InvalidArgument, message);
    match (options.remove(LIST), options.remove(LIST_LONG)) {
        (Some(list), None) | (None, Some(list)) if !list.is_empty() => Ok(list),
        (Some(_), Some(_)) => Err(invalid(
            "options \"conflist\" and \"cni.conflist\" are the same: only one can be given",
        )),
        _ => Err(invalid(
            "the cni driver needs option \"conflist\": the path of a network configuration list, or the name of one",
        )),
    }
}

/// Reads the directories of plugins.
pub(crate) fn plugin_dirs(
    network: &str,
    options: &BTreeMap<String, String>,
    usual: &[PathBuf],
) -> Result<Vec<PathBuf>, NetworkError> {
    let Some(text) = options.get(PLUGIN_DIRS) else {
        return Ok(usual.to_vec());
    };
    let directories: Vec<PathBuf> = text.split(':').map(PathBuf::from).collect();
    if directories.iter().any(|directory| !directory.is_absolute()) {
        let message = format!("option \"{PLUGIN_DIRS}\" must be absolute paths separated by colons: {text:?}");
        return Err(refused(network, ErrorKind::InvalidArgument, message));
    }
    Ok(directories)
}

/// Decides the settings of a new network.
pub(crate) fn settings(
    wish: NetworkWish,
    list: &List,
    others: &[NetworkSettings],
) -> Result<NetworkSettings, NetworkError> {
    let refuse = |kind, message: String| Err(refused(&wish.name, kind, message));
    if wish.internal {
        let message = "the cni driver has no internal networks: what leads out of one is up to its plugins";
        return refuse(ErrorKind::InvalidArgument, message.to_owned());
    }
    if wish.pools.iter().any(|pool| *pool != PoolWish::default()) {
        let message = "subnet, ip-range, gateway and aux-address cannot be set with the cni driver: addresses are up to its plugins";
        return refuse(ErrorKind::InvalidArgument, message.to_owned());
    }
    if let Some(other) = others.iter().find(|other| same_list(other, list)) {
        let message = format!("network {} uses the CNI network {:?} already", other.name, list.name);
        return refuse(ErrorKind::Conflict, message);
    }
    let mut options = wish.options;
    options.insert(LIST.to_owned(), list.to_text());
    Ok(NetworkSettings {
        id: wish.id,
        name: wish.name,
        link: list.bridge().unwrap_or_default().to_owned(),
        pools: list.pools(),
        mtu: list.mtu().unwrap_or(DEFAULT_MTU),
        internal: false,
        options,
    })
}

/// What plugins keep they keep by the list's name: two networks of the same name would give each other's addresses away.
fn same_list(other: &NetworkSettings, list: &List) -> bool {
    let text = other.options.get(LIST).map(String::as_bytes);
    text.and_then(|text| List::parse(text).ok())
        .is_some_and(|other| other.name == list.name)
}

/// Reads settings back; they come from a record that another version may have written.
pub(crate) fn network(settings: &NetworkSettings, usual_dirs: &[PathBuf]) -> Result<Network, NetworkError> {
    let text = settings.options.get(LIST).map(String::as_bytes).unwrap_or_default();
    let list = List::parse(text).map_err(|problem| {
        let message = format!("the list of network {} is invalid: {problem}", settings.name);
        refused(&settings.name, ErrorKind::InvalidArgument, message)
    })?;
    Ok(Network {
        list: Arc::new(list),
        plugin_dirs: plugin_dirs(&settings.name, &settings.options, usual_dirs)?,
    })
}

#[cfg(test)]
mod tests {
    use hyperbox_types::NetworkId;

    use super::*;

    const TEXT: &str = r#"{"cniVersion": "1.0.0", "name": "web", "plugins": [{"type": "bridge", "bridge": "cni7", "ipam": {"type": "host-local", "subnet": "10.0.0.0/24"}}]}"#;

    fn wish() -> NetworkWish {
        NetworkWish {
            id: NetworkId::from_bytes([1; 32]),
            name: "n".to_owned(),
            predefined: false,
            options: BTreeMap::from([("other".to_owned(), "kept".to_owned())]),
            pools: vec![PoolWish::default()],
            address_options: BTreeMap::new(),
            ipv4: true,
            ipv6: false,
            internal: false,
        }
    }

    #[test]
    fn settings_say_what_the_list_says() {
        let list = List::parse(TEXT.as_bytes()).unwrap();
        let chosen = settings(wish(), &list, &[]).unwrap();
        assert_eq!(
            (chosen.link.as_str(), chosen.mtu, chosen.pools.len()),
            ("cni7", 1500, 1)
        );
        assert_eq!(chosen.options["other"], "kept");
        let usual = [PathBuf::from("/usual")];
        let read = network(&chosen, &usual).unwrap();
        assert_eq!((&*read.list, read.plugin_dirs.as_slice()), (&list, &usual[..]));
        let again = settings(wish(), &list, &[chosen]).unwrap_err();
        assert_eq!(
            (again.kind, again.to_string()),
            (
                ErrorKind::Conflict,
                "network n uses the CNI network \"web\" already".to_owned()
            )
        );
    }

    #[test]
    fn what_plugins_decide_cannot_be_wished() {
        let list = List::parse(TEXT.as_bytes()).unwrap();
        let subnet = PoolWish {
            subnet: Some("10.0.0.0/24".parse().unwrap()),
            ..PoolWish::default()
        };
        for wish in [
            NetworkWish {
                internal: true,
                ..wish()
            },
            NetworkWish {
                pools: vec![subnet],
                ..wish()
            },
        ] {
            assert_eq!(settings(wish, &list, &[]).unwrap_err().kind, ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn options() {
        let options = |all: &[(&str, &str)]| -> BTreeMap<String, String> {
            all.iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        assert_eq!(take_list("n", &mut options(&[("cni.conflist", "web")])).unwrap(), "web");
        for missing in [
            options(&[]),
            options(&[(LIST, "")]),
            options(&[(LIST, "a"), ("cni.conflist", "a")]),
        ] {
            assert!(take_list("n", &mut missing.clone()).is_err(), "{missing:?}");
        }
        let directories = |text| plugin_dirs("n", &options(&[(PLUGIN_DIRS, text)]), &[]);
        assert_eq!(directories("/a:/b").unwrap().len(), 2);
        for bad in ["", "a", "/a:", "/a::/b"] {
            assert!(directories(bad).is_err(), "{bad}");
        }
    }
}
