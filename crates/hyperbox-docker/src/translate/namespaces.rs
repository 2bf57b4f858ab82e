// SPDX-License-Identifier: MIT
//! Namespace and network modes.

use hyperbox_core::container::{NamespaceMode, NamespaceModes, NetworkMode};

use crate::error::{ApiError, ApiResult};
use crate::wire::host_config::HostConfig;

/// Translates the namespace modes.
///
/// # Errors
/// 400 `invalid PID mode: x` and the like.
pub(crate) fn from_wire(host: &HostConfig) -> ApiResult<NamespaceModes> {
    Ok(NamespaceModes {
        pid: mode("PID", &host.pid_mode, &["host", "container"])?,
        ipc: mode(
            "IPC",
            &host.ipc_mode,
            &["none", "private", "shareable", "host", "container"],
        )?,
        uts: mode("UTS", &host.uts_mode, &["host"])?,
        cgroup: mode("cgroup namespace", &host.cgroupns_mode, &["private", "host"])?,
        // Docker takes any other word for the default.
        user: match host.userns_mode.as_str() {
            "host" => NamespaceMode::Host,
            _ => NamespaceMode::Default,
        },
    })
}

fn mode(kind: &str, text: &str, allowed: &[&str]) -> ApiResult<NamespaceMode> {
    let invalid = || ApiError::bad_request(format!("invalid {kind} mode: {text}"));
    let (word, container) = text
        .split_once(':')
        .map_or((text, None), |(word, name)| (word, Some(name)));
    if text.is_empty() {
        return Ok(NamespaceMode::Default);
    }
    if !allowed.contains(&word) {
        return Err(invalid());
    }
    match (word, container) {
        ("container", Some(name)) if !name.is_empty() => Ok(NamespaceMode::Container(name.to_owned())),
        ("host", None) => Ok(NamespaceMode::Host),
        ("private", None) => Ok(NamespaceMode::Private),
        ("shareable", None) => Ok(NamespaceMode::Shareable),
        ("none", None) => Ok(NamespaceMode::None),
        _ => Err(invalid()),
    }
}

/// Translates the network mode, which [`refuse_conflicts`](super::networking::refuse_conflicts) has accepted.
pub(crate) fn network_mode(text: &str) -> NetworkMode {
    match text {
        "" | "default" => NetworkMode::Default,
        "host" => NetworkMode::Host,
        "none" => NetworkMode::None,
        other => match other.strip_prefix("container:") {
            Some(name) => NetworkMode::Container(name.to_owned()),
            None => NetworkMode::Named(other.to_owned()),
        },
    }
}
