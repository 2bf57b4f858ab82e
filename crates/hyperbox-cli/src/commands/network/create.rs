// SPDX-License-Identifier: MIT
//! `hb network create`

use clap::{ArgAction, Args};
use hyperbox_client::model::{ConfigReference, CreateNetwork, Ipam};

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::options::{AddressOptions, comma_separated, label, pairs, pools, switch};

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Enable manual container attachment
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, value_parser = switch, action = ArgAction::Set)]
    attachable: bool,
    /// Auxiliary IPv4 or IPv6 addresses used by Network driver
    #[arg(long, value_name = "NAME=ADDRESS")]
    aux_address: Vec<String>,
    /// The network from which to copy the configuration
    #[arg(long, value_name = "NETWORK")]
    config_from: Option<String>,
    /// Create a configuration only network
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, value_parser = switch, action = ArgAction::Set)]
    config_only: bool,
    /// Driver to manage the Network
    #[arg(short, long, value_name = "NAME", default_value = "bridge")]
    driver: String,
    /// IPv4 or IPv6 Gateway for the master subnet
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<String>,
    /// Create swarm routing-mesh network
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, value_parser = switch, action = ArgAction::Set)]
    ingress: bool,
    /// Restrict external access to the network
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, value_parser = switch, action = ArgAction::Set)]
    internal: bool,
    /// Allocate container ip from a sub-range
    #[arg(long, value_name = "CIDR")]
    ip_range: Vec<String>,
    /// IP Address Management Driver
    #[arg(long, value_name = "NAME", default_value = "default")]
    ipam_driver: String,
    /// Set IPAM driver specific options
    #[arg(long, value_name = "NAME=VALUE")]
    ipam_opt: Vec<String>,
    /// Enable or disable IPv4 address assignment (default true)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = switch, action = ArgAction::Set)]
    ipv4: Option<bool>,
    /// Enable or disable IPv6 address assignment
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = switch, action = ArgAction::Set)]
    ipv6: Option<bool>,
    /// Set metadata on a network
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = label)]
    label: Vec<String>,
    /// Set driver specific options
    #[arg(short, long, value_name = "NAME=VALUE")]
    opt: Vec<String>,
    /// Control the network's scope
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Subnet in CIDR format that represents a network segment
    #[arg(long, value_name = "CIDR")]
    subnet: Vec<String>,
    #[arg(required = true, hide = true)]
    network: String,
}

pub(crate) const SPEC: Spec = spec!(CreateArgs, run, ["create"], "Create a network", "[OPTIONS] NETWORK");

fn run(context: &Context, arguments: CreateArgs) -> Outcome {
    let network = request(arguments).map_err(CliError::new)?;
    let created = context.client()?.create_network(&network)?;
    if !created.warning.is_empty() {
        context.note(&format!("WARNING: {}", created.warning));
    }
    context.print(&created.id)?;
    Ok(0)
}

fn request(arguments: CreateArgs) -> Result<CreateNetwork, String> {
    let config = pools(&AddressOptions {
        subnets: comma_separated(&arguments.subnet)?,
        ranges: comma_separated(&arguments.ip_range)?,
        gateways: comma_separated(&arguments.gateway)?,
        auxiliary: pairs(&arguments.aux_address),
    })?;
    Ok(CreateNetwork {
        name: arguments.network,
        driver: arguments.driver,
        scope: arguments.scope.unwrap_or_default(),
        enable_ipv4: arguments.ipv4,
        enable_ipv6: arguments.ipv6,
        ipam: Ipam {
            driver: arguments.ipam_driver,
            options: pairs(&arguments.ipam_opt),
            config,
        },
        internal: arguments.internal,
        attachable: arguments.attachable,
        ingress: arguments.ingress,
        config_only: arguments.config_only,
        config_from: arguments
            .config_from
            .filter(|network| !network.is_empty())
            .map(|network| ConfigReference { network }),
        options: pairs(&arguments.opt),
        labels: pairs(&arguments.label),
    })
}
