// SPDX-License-Identifier: MIT
//! What the door remembers of a creation, kept with the container's record, opaque to the engine.
//!
//! Only what inspect must echo and the engine's own record does not hold. Fields may be added; absent ones read as empty, so that
//! records of older versions stay readable.

use hyperbox_core::container::ContainerRecord;
use serde::{Deserialize, Serialize};

use crate::wire::Words;
use crate::wire::config::CreateBody;
use crate::wire::host_config::HostConfig;

/// The door's memory of one container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DoorDocument {
    /// Which streams the client meant to attach.
    pub attach_stdin: bool,
    /// See `attach_stdin`.
    pub attach_stdout: bool,
    /// See `attach_stdin`.
    pub attach_stderr: bool,
    /// The shell for the shell form of commands.
    pub shell: Option<Vec<String>>,
    /// The host configuration as it was sent, completed.
    pub host_config: HostConfig,
    /// Whether the container was to have no network, whatever its mode.
    pub network_disabled: bool,
    /// The stop signal as it was written.
    pub stop_signal: String,
}

impl DoorDocument {
    /// Takes from a request what has to be remembered.
    pub(crate) fn of(body: &CreateBody, host_config: HostConfig) -> Self {
        Self {
            attach_stdin: body.attach_stdin,
            attach_stdout: body.attach_stdout,
            attach_stderr: body.attach_stderr,
            shell: body.shell.clone().map(Words::into_vec),
            host_config,
            network_disabled: body.network_disabled,
            stop_signal: body.stop_signal.clone(),
        }
    }

    /// Reads the document of a record; a record that another door made gives an empty one.
    pub(crate) fn from_record(record: &ContainerRecord) -> Self {
        Self::deserialize(&record.door_document).unwrap_or_default()
    }

    /// Returns the form that is kept.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}
