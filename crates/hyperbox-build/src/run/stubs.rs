// SPDX-License-Identifier: MIT
//! Mount points that had to be made: they are no part of a step's layer, unless the process put something there.
//!
//! As BuildKit has it (`MountStubsCleaner`): every component of a mount's place that the layers below do not have goes, from the inside
//! out, if it is an empty directory or an empty file.

use std::collections::BTreeSet;

use hyperbox_core::container::Containers;
use hyperbox_types::{DiffId, ErrorKind};

use crate::StepError;

/// What the engine mounts besides what a step asks for.
const OWN: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];
/// As many symbolic links on the way are followed at most.
const MOST_LINKS: usize = 40;

/// Returns the paths, relative to the root, that are mount points only.
pub(super) async fn find(
    containers: &Containers,
    layers: &[DiffId],
    targets: &[String],
) -> Result<BTreeSet<String>, StepError> {
    let mut stubs = BTreeSet::new();
    for target in OWN.into_iter().chain(targets.iter().map(String::as_str)) {
        find_one(containers, layers, target, &mut stubs).await?;
    }
    Ok(stubs)
}

async fn find_one(
    containers: &Containers,
    layers: &[DiffId],
    target: &str,
    stubs: &mut BTreeSet<String>,
) -> Result<(), StepError> {
    let names: Vec<&str> = target.split('/').filter(|name| !name.is_empty()).collect();
    let mut here = String::new();
    let mut links = 0;
    let mut missing = layers.is_empty();
    for (position, name) in names.iter().enumerate() {
        here = format!("{here}/{name}");
        if !missing {
            let last = position + 1 == names.len();
            match containers.stat_in_layers(layers, &here).await {
                Ok(stat) if stat.link_target.is_empty() => {}
                Ok(stat) => {
                    links += 1;
                    if links > MOST_LINKS || (last && stat.link_target.is_empty()) {
                        return Ok(());
                    }
                    here = stat.link_target.trim_end_matches('/').to_owned();
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidArgument) => {
                    missing = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if missing {
            stubs.insert(here.trim_start_matches('/').to_owned());
        }
    }
    Ok(())
}
