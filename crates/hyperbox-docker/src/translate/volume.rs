// SPDX-License-Identifier: MIT
//! Volume records as clients see them.

use hyperbox_core::time::Timestamp;
use hyperbox_core::volume::VolumeRecord;

use super::since::moment;
use crate::wire::volume::{UsageData, Volume};

/// The label by which Docker marks volumes that were made without a name.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// Shows a volume.
pub(crate) fn volume(record: &VolumeRecord, usage_data: Option<UsageData>) -> Volume {
    let mut labels = record.labels.clone();
    if record.anonymous {
        labels.entry(ANONYMOUS.to_owned()).or_default();
    }
    Volume {
        // Docker knows the second alone, from the directory's time.
        created_at: moment(Some(Timestamp(record.created_at.seconds() * 1_000_000_000))),
        driver: record.driver.clone(),
        labels: (!labels.is_empty()).then_some(labels),
        mountpoint: record.mountpoint.to_string_lossy().into_owned(),
        name: record.name.to_string(),
        options: (!record.options.is_empty()).then(|| record.options.clone()),
        scope: "local",
        usage_data,
    }
}
