// SPDX-License-Identifier: MIT
//! `hb update`

use clap::Args;
use hyperbox_client::model::HostConfig;

use crate::commands::targets::each_quiet;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::options::{parse_bytes, parse_bytes_or_unlimited, parse_cpus, restart_policy};

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Block IO weight, between 10 and 1000, or 0 to disable
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
    /// Period of the CPU quota in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<i64>,
    /// CPU quota in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// Period of the real-time limit in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_rt_period: Option<i64>,
    /// Real-time limit in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_rt_runtime: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<i64>,
    /// Number of CPUs
    #[arg(long, value_name = "NUMBER", value_parser = parse_cpus)]
    cpus: Option<i64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Memory limit
    #[arg(short, long, value_name = "BYTES", value_parser = parse_bytes)]
    memory: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    memory_reservation: Option<i64>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes_or_unlimited, allow_negative_numbers = true)]
    memory_swap: Option<i64>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Restart policy to apply when a container exits
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
    #[arg(required = true, value_name = "CONTAINER", hide = true)]
    containers: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    UpdateArgs,
    run,
    ["update"],
    "Update configuration of one or more containers",
    "[OPTIONS] CONTAINER [CONTAINER...]"
);

fn run(context: &Context, arguments: UpdateArgs) -> Outcome {
    let changes = changes(&arguments)?;
    if changes == HostConfig::default() {
        return Err(CliError::new(
            "you must provide one or more flags when using this command",
        ));
    }
    let client = context.client()?;
    each_quiet(context, &arguments.containers, |name| {
        let answer = client.update_container(name, &changes)?;
        context.print(name)?;
        for warning in answer.warnings {
            context.note(&format!("WARNING: {warning}"));
        }
        Ok(())
    })
}

fn changes(arguments: &UpdateArgs) -> Result<HostConfig, CliError> {
    let restart = arguments
        .restart
        .as_deref()
        .map(restart_policy)
        .transpose()
        .map_err(CliError::new)?;
    Ok(HostConfig {
        blkio_weight: arguments.blkio_weight.unwrap_or_default(),
        cpu_period: arguments.cpu_period.unwrap_or_default(),
        cpu_quota: arguments.cpu_quota.unwrap_or_default(),
        cpu_realtime_period: arguments.cpu_rt_period.unwrap_or_default(),
        cpu_realtime_runtime: arguments.cpu_rt_runtime.unwrap_or_default(),
        cpu_shares: arguments.cpu_shares.unwrap_or_default(),
        nano_cpus: arguments.cpus.unwrap_or_default(),
        cpuset_cpus: arguments.cpuset_cpus.clone().unwrap_or_default(),
        cpuset_mems: arguments.cpuset_mems.clone().unwrap_or_default(),
        memory: arguments.memory.unwrap_or_default(),
        memory_reservation: arguments.memory_reservation.unwrap_or_default(),
        memory_swap: arguments.memory_swap.unwrap_or_default(),
        pids_limit: arguments.pids_limit,
        restart_policy: restart.unwrap_or_default(),
        ..HostConfig::default()
    })
}
