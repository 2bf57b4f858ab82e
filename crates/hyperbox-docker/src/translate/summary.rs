// SPDX-License-Identifier: MIT
//! A container's record → its line in a list.

use hyperbox_core::container::{ContainerRecord, HealthStatus, Phase};
use hyperbox_core::time::Timestamp;
use hyperbox_types::ByteSize;

use super::document::DoorDocument;
use super::endpoint::listed_endpoints;
use super::inspect::mount_points;
use super::network::KnownNetworks;
use super::ports;
use super::since::human;
use crate::wire::container::{MountPoint, Summary, SummaryHostConfig, SummaryNetworks};

/// Makes the line.
pub(crate) fn summary(
    record: &ContainerRecord,
    networks: &KnownNetworks,
    size: Option<(ByteSize, ByteSize)>,
    now: Timestamp,
) -> Summary {
    let document = DoorDocument::from_record(record);
    let ports = ports::shown(record, networks).listed();
    let networks = listed_endpoints(record, &document, networks);
    let mode = &document.host_config.network_mode;
    Summary {
        id: record.id.to_string(),
        names: vec![format!("/{}", record.name)],
        image: record.spec.image.clone(),
        image_id: record.image_id.to_string(),
        command: command(record),
        created: record.created_at.seconds(),
        ports,
        size_rw: size.map(|(own, _)| own.0).filter(|own| *own != 0),
        size_root_fs: size.map(|(_, all)| all.0),
        labels: record.spec.labels.clone(),
        state: record.state.phase.as_str(),
        status: status(record, now),
        host_config: SummaryHostConfig {
            network_mode: if mode.is_empty() {
                "bridge".to_owned()
            } else {
                mode.clone()
            },
            annotations: record.spec.annotations.clone(),
        },
        network_settings: SummaryNetworks { networks },
        mounts: mount_points(record, &document).into_iter().map(listed).collect(),
    }
}

/// Lists do not tell where a volume is that the container's configuration asks for: only those have no mode.
fn listed(mut mount: MountPoint) -> MountPoint {
    if mount.kind == "volume" && mount.mode.is_empty() {
        mount.source.clear();
    }
    mount
}

/// Shows the command line; words with spaces are quoted.
fn command(record: &ContainerRecord) -> String {
    let quote = |(index, word): (usize, String)| {
        if index > 0 && word.contains(' ') {
            format!("'{word}'")
        } else {
            word
        }
    };
    record
        .command_line()
        .into_iter()
        .enumerate()
        .map(quote)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Shows the state in a sentence, such as `Up 3 minutes (healthy)`.
pub(crate) fn status(record: &ContainerRecord, now: Timestamp) -> String {
    let state = &record.state;
    let up = || human(now.since(state.started_at.unwrap_or(now)));
    match state.phase {
        Phase::Created => "Created".to_owned(),
        Phase::Removing => "Removal In Progress".to_owned(),
        Phase::Dead => "Dead".to_owned(),
        Phase::Paused => format!("Up {} (Paused)", up()),
        Phase::Restarting => {
            let ended = human(now.since(state.finished_at.unwrap_or(now)));
            format!("Restarting ({}) {ended} ago", state.exit_code)
        }
        Phase::Exited => match state.finished_at {
            Some(finished) => format!("Exited ({}) {} ago", state.exit_code, human(now.since(finished))),
            None => format!("Exited ({})", state.exit_code),
        },
        Phase::Running => {
            let health = match state.health.as_ref().map(|health| health.status) {
                None => "",
                Some(HealthStatus::Starting) => " (health: starting)",
                Some(HealthStatus::Healthy) => " (healthy)",
                Some(HealthStatus::Unhealthy) => " (unhealthy)",
            };
            format!("Up {}{health}", up())
        }
    }
}
