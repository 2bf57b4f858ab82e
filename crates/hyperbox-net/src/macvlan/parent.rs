// SPDX-License-Identifier: MIT
//! The link that a network's containers are on: found, or made and removed again. Runs on the worker's thread, but for the parts that
//! decide.
//!
//! What was made here carries an alias with the daemon's instance, which `ip link` shows and which survives a crash: nothing without
//! it is ever removed.

use std::collections::BTreeSet;
use std::io;

use hyperbox_core::seam::NetworkError;
use hyperbox_types::{ErrorKind, NetworkId};
use rustix::io::Errno;

use crate::error::{failed, refused};
use crate::link_name;
use crate::macvlan::link;
use crate::macvlan::mode::Kind;
use crate::netlink::Socket;
use crate::route;

/// How a parent that is missing comes to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It leads nowhere.
    Dummy,
    /// A VLAN of a link of that name.
    Vlan { link: String, id: u16 },
}

/// Returns the name of a network's parent that leads nowhere; Docker's.
pub(crate) fn dummy_name(kind: Kind, network: &NetworkId) -> String {
    format!("{}{}", kind.dummy_prefix(), &network.as_str()[..12])
}

/// Decides how a missing parent comes to be; the text of an error is Docker's.
pub(crate) fn origin(kind: Kind, network: &NetworkId, name: &str) -> Result<Origin, String> {
    if name == dummy_name(kind, network) {
        return Ok(Origin::Dummy);
    }
    if !name.contains('.') {
        return Err(format!(
            "invalid subinterface vlan name {name}, example formatting is eth0.10"
        ));
    }
    let Some((link, id)) = name.split_once('.').filter(|(_, id)| !id.contains('.')) else {
        return Err(format!(
            "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received {name}"
        ));
    };
    let Ok(number) = id.parse::<i64>() else {
        return Err(format!(
            "unable to parse a valid vlan id from: {id} (ex. eth0.10 for vlan 10)"
        ));
    };
    // IEEE 802.1Q keeps 0 and 4095 for itself.
    match u16::try_from(number) {
        Ok(id @ 1..=4094) => Ok(Origin::Vlan {
            link: link.to_owned(),
            id,
        }),
        _ => Err(format!("vlan id must be between 1-4094, received: {number}")),
    }
}

/// A network's parent.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub(crate) kind: Kind,
    pub(crate) network: NetworkId,
    pub(crate) name: String,
    /// What is made carries this alias.
    pub(crate) alias: String,
}

impl Parent {
    /// Checks that it is there or can be made. Changes nothing.
    pub(crate) fn check(&self, socket: &mut Socket) -> Result<(), NetworkError> {
        if self.name == "lo" {
            let message = format!("loopback interface is not a valid {} parent link", self.kind.as_str());
            return Err(self.refused(message));
        }
        if link_name::is_inner_link(&self.name) && self.find(socket, &self.name)?.is_some() {
            return Ok(());
        }
        match self.origin()? {
            Origin::Dummy => Ok(()),
            Origin::Vlan { link, .. } => self.carrier(socket, &link).map(|_| ()),
        }
    }

    /// Makes it if it is missing; returns its index.
    pub(crate) fn ensure(&self, socket: &mut Socket) -> Result<u32, NetworkError> {
        if let Some(found) = self.find(socket, &self.name)? {
            return Ok(found.index);
        }
        let made = match self.origin()? {
            Origin::Dummy => link::create_dummy(socket, &self.name).map_err(|source| self.not_made("", &source)),
            Origin::Vlan { link, id } => {
                let carrier = self.carrier(socket, &link)?;
                let context = format!("failed to create {} vlan link: ", self.name);
                link::create_vlan(socket, &self.name, carrier, id).map_err(|source| self.not_made(&context, &source))
            }
        };
        made?;
        let error = |operation: &'static str| move |source| failed(&self.name, operation, source);
        route::set_alias(socket, &self.name, &self.alias).map_err(error("mark the parent link"))?;
        let Some(made) = self.find(socket, &self.name)? else {
            return Err(self.refused("the parent link was removed while it was being made".to_owned()));
        };
        route::set_up(socket, made.index, None).map_err(error("set the parent link up"))?;
        Ok(made.index)
    }

    fn origin(&self) -> Result<Origin, NetworkError> {
        origin(self.kind, &self.network, &self.name).map_err(|message| self.refused(message))
    }

    fn carrier(&self, socket: &mut Socket, name: &str) -> Result<u32, NetworkError> {
        let found = if link_name::is_inner_link(name) {
            self.find(socket, name)?
        } else {
            None
        };
        let missing = || self.refused(format!("-o parent interface was not found on the host: {name}"));
        found.map(|link| link.index).ok_or_else(missing)
    }

    fn find(&self, socket: &mut Socket, name: &str) -> Result<Option<route::Link>, NetworkError> {
        route::find(socket, name).map_err(|source| failed(name, "look for the parent link", source))
    }

    fn not_made(&self, context: &str, source: &io::Error) -> NetworkError {
        let reason = match Errno::from_io_error(source) {
            Some(Errno::OPNOTSUPP) => "operation not supported".to_owned(),
            _ => source.to_string(),
        };
        // The message tells the cause; as a source it would be told twice.
        self.refused(format!("{context}{reason}"))
    }

    /// Docker answers 500 to all of these.
    fn refused(&self, message: String) -> NetworkError {
        refused(&self.name, ErrorKind::Internal, message)
    }
}

/// Removes the parents that were made here and that no network needs any more.
pub(crate) fn remove_unused(socket: &mut Socket, alias: &str, needed: &BTreeSet<String>) -> io::Result<()> {
    for (name, index) in link::with_alias(socket, alias)? {
        if !needed.contains(&name) {
            route::remove(socket, index)?;
            tracing::debug!(link = %name, "removed a parent link that no network needs");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each text was Docker Engine's.
    #[test]
    fn missing_parents() {
        let network = NetworkId::from_bytes([0xab; 32]);
        let origin = |name: &str| origin(Kind::Macvlan, &network, name);
        assert_eq!(dummy_name(Kind::Macvlan, &network), "dm-abababababab");
        assert_eq!(origin("dm-abababababab"), Ok(Origin::Dummy));
        let link = "eth0".to_owned();
        assert_eq!(origin("eth0.4094"), Ok(Origin::Vlan { link, id: 4094 }));
        for (name, expected) in [
            (
                "eth7",
                "invalid subinterface vlan name eth7, example formatting is eth0.10",
            ),
            ("eth0.5000", "vlan id must be between 1-4094, received: 5000"),
            ("eth0.0", "vlan id must be between 1-4094, received: 0"),
            (
                "eth0.x",
                "unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)",
            ),
            (
                "eth0.1.2",
                "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received eth0.1.2",
            ),
        ] {
            assert_eq!(origin(name), Err(expected.to_owned()));
        }
    }
}
