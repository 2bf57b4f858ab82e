// SPDX-License-Identifier: MIT
//! `hb network connect`

use std::collections::BTreeMap;

use clap::Args;
use hyperbox_client::model::{ConnectNetwork, Endpoint, IpamConfig};

use super::given;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::options::{comma_separated, link, parse_integer};

#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// Add network-scoped alias for the container
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Driver options for the network
    #[arg(long, value_name = "NAME=VALUE")]
    driver_opt: Vec<String>,
    /// Highest gw-priority provides the default gateway. Accepts positive and negative values
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, value_parser = parse_integer)]
    gw_priority: Option<i64>,
    /// IPv4 address (e.g., "172.30.100.104")
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// IPv6 address (e.g., "2001:db8::33")
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<String>,
    /// Add link to another container
    #[arg(long, value_name = "CONTAINER[:ALIAS]", value_parser = link)]
    link: Vec<String>,
    /// Add a link-local address for the container
    #[arg(long, value_name = "ADDRESS")]
    link_local_ip: Vec<String>,
    #[arg(required = true, hide = true)]
    network: String,
    #[arg(required = true, hide = true)]
    container: String,
}

pub(crate) const SPEC: Spec = spec!(
    ConnectArgs,
    run,
    ["connect"],
    "Connect a container to a network",
    "[OPTIONS] NETWORK CONTAINER"
);

fn run(context: &Context, arguments: ConnectArgs) -> Outcome {
    let endpoint_config = endpoint(&arguments).map_err(CliError::new)?;
    let network = given("network", arguments.network)?;
    let container = given("container", arguments.container)?;
    let connection = ConnectNetwork {
        container,
        endpoint_config,
    };
    context.client()?.connect_network(&network, &connection)?;
    Ok(0)
}

fn endpoint(arguments: &ConnectArgs) -> Result<Endpoint, String> {
    let mut driver_opts = BTreeMap::new();
    for option in comma_separated(&arguments.driver_opt)? {
        match option.split_once('=') {
            None | Some(("", _)) => return Err("invalid key/value pair format in driver options".to_owned()),
            Some((name, value)) => drop(driver_opts.insert(name.to_owned(), value.to_owned())),
        }
    }
    let ipam = IpamConfig {
        ipv4_address: arguments.ip.clone().unwrap_or_default(),
        ipv6_address: arguments.ip6.clone().unwrap_or_default(),
        link_local_ips: comma_separated(&arguments.link_local_ip)?,
    };
    Ok(Endpoint {
        ipam_config: Some(ipam).filter(|ipam| *ipam != IpamConfig::default()),
        links: arguments.link.clone(),
        aliases: comma_separated(&arguments.alias)?,
        driver_opts,
        gw_priority: arguments.gw_priority.unwrap_or_default(),
        ..Endpoint::default()
    })
}
