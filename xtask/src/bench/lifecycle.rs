// SPDX-License-Identifier: MIT
//! `bench lifecycle`: how long it takes until a container has run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::contender::Contender;
use super::daemon::Daemon;
use super::engines::{Prepared, peer};
use super::measure;
use crate::process::target;
use crate::starter;

/// The scenario that a bare runtime can be compared with.
const WITHOUT_NETWORK: usize = 1;

/// Measures all scenarios.
pub(super) fn run(rounds: usize) -> Result<()> {
    let daemon = Daemon::start()?;
    let prepared = Prepared::with_starter(&daemon)?;
    let mut scenarios = hyperbox_bench::lifecycle(&prepared.engines, starter::NAME);
    if let Some(scenario) = scenarios.get_mut(WITHOUT_NETWORK) {
        for name in ["crun", "runc"] {
            scenario
                .contenders
                .extend(runtime(name, &target().join("bench/starter"))?);
        }
    }
    measure("lifecycle", scenarios, rounds)
}

/// Returns a bare runtime on a bundle of the same files: the floor, without image, log, network and daemon.
fn runtime(name: &str, directory: &Path) -> Result<Option<Contender>> {
    let Some(runtime) = peer(name) else {
        return Ok(None);
    };
    let bundle = directory.join(format!("bundle-{name}"));
    fs::create_dir_all(&bundle).with_context(|| format!("cannot create {}", bundle.display()))?;
    let file = bundle.join("config.json");
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    let at = bundle.to_string_lossy().into_owned();
    runtime.call(&["spec", "--bundle", &at].map(str::to_owned))?;
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut spec: Value = serde_json::from_str(&text).with_context(|| format!("cannot read what {name} spec wrote"))?;
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = serde_json::json!(["true"]);
    spec["root"]["path"] = directory.join("rootfs").to_string_lossy().into_owned().into();
    fs::write(&file, spec.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    let id = format!("hyperbox-bench-{name}");
    let arguments = ["run", "--bundle", &at, &id];
    Ok(Some(runtime.with(&arguments).before(&["delete", "--force", &id])))
}
