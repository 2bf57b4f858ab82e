// SPDX-License-Identifier: MIT
//! Capability sets as Docker decides them (`capabilities(7)`).

use std::collections::BTreeSet;

use crate::container::Security;
use crate::{Result, ServiceError};

/// What an ordinary container has.
const DEFAULT: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Every capability that Linux has; a name outside this list is a mistake of the user.
const KNOWN: [&str; 41] = [
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_PERFMON",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
];

/// Returns the capabilities of a container, sorted. `available` is what the daemon itself may give.
///
/// # Errors
/// `InvalidArgument` for a name that Linux does not have, with Docker's text.
pub(crate) fn effective(security: &Security, available: &[String]) -> Result<Vec<String>> {
    let add = normalize(&security.capabilities_add, "CapAdd")?;
    let drop = normalize(&security.capabilities_drop, "CapDrop")?;
    let available: BTreeSet<&str> = available.iter().map(String::as_str).collect();
    if security.privileged {
        return Ok(available.into_iter().map(str::to_owned).collect());
    }
    let mut set: BTreeSet<&str> = if add.contains("ALL") {
        available.iter().copied().collect()
    } else if drop.contains("ALL") {
        BTreeSet::new()
    } else {
        DEFAULT.into_iter().collect()
    };
    set.retain(|name| !drop.contains(*name));
    set.extend(add.iter().map(String::as_str).filter(|name| *name != "ALL"));
    Ok(set
        .into_iter()
        .filter(|name| available.contains(name))
        .map(str::to_owned)
        .collect())
}

/// Refuses names that Linux does not have.
///
/// # Errors
/// `InvalidArgument` with Docker's text.
pub(crate) fn validate(security: &Security) -> Result<()> {
    normalize(&security.capabilities_add, "CapAdd")?;
    normalize(&security.capabilities_drop, "CapDrop")?;
    Ok(())
}

fn normalize(names: &[String], field: &str) -> Result<BTreeSet<String>> {
    names
        .iter()
        .map(|name| {
            let upper = name.to_ascii_uppercase();
            if upper == "ALL" {
                return Ok(upper);
            }
            let full = if upper.starts_with("CAP_") {
                upper
            } else {
                format!("CAP_{upper}")
            };
            if KNOWN.contains(&full.as_str()) {
                Ok(full)
            } else {
                Err(ServiceError::invalid(format!(
                    "invalid {field}: unknown capability: {full:?}"
                )))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn available() -> Vec<String> {
        KNOWN
            .iter()
            .filter(|name| **name != "CAP_SYS_RESOURCE")
            .map(|name| (*name).to_owned())
            .collect()
    }

    fn security(add: &[&str], drop: &[&str], privileged: bool) -> Security {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Security {
            privileged,
            capabilities_add: owned(add),
            capabilities_drop: owned(drop),
            ..Security::default()
        }
    }

    #[test]
    fn table() {
        let count = |add: &[&str], drop: &[&str], privileged| {
            effective(&security(add, drop, privileged), &available())
                .expect("valid")
                .len()
        };
        assert_eq!(count(&[], &[], false), 14);
        assert_eq!(count(&["net_admin"], &[], false), 15);
        assert_eq!(count(&[], &["CAP_KILL", "mknod"], false), 12);
        assert_eq!(count(&[], &["all"], false), 0);
        assert_eq!(count(&["SYS_PTRACE"], &["ALL"], false), 1);
        assert_eq!(count(&["ALL"], &[], false), 40);
        assert_eq!(count(&["ALL"], &["KILL"], false), 39);
        assert_eq!(count(&[], &[], true), 40);
        assert_eq!(
            count(&["SYS_RESOURCE"], &[], false),
            14,
            "what the daemon lacks it cannot give"
        );
    }

    #[test]
    fn unknown_names_are_refused() {
        let error = effective(&security(&["FLY"], &[], false), &available()).expect_err("unknown");
        assert_eq!(error.message(), "invalid CapAdd: unknown capability: \"CAP_FLY\"");
    }
}
