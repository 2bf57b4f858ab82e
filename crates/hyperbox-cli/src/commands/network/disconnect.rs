// SPDX-License-Identifier: MIT
//! `hb network disconnect`

use clap::Args;
use hyperbox_client::model::DisconnectNetwork;

use super::given;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct DisconnectArgs {
    /// Force the container to disconnect from a network
    #[arg(short, long)]
    force: bool,
    #[arg(required = true, hide = true)]
    network: String,
    #[arg(required = true, hide = true)]
    container: String,
}

pub(crate) const SPEC: Spec = spec!(
    DisconnectArgs,
    run,
    ["disconnect"],
    "Disconnect a container from a network",
    "[OPTIONS] NETWORK CONTAINER"
);

fn run(context: &Context, arguments: DisconnectArgs) -> Outcome {
    let network = given("network", arguments.network)?;
    let connection = DisconnectNetwork {
        container: given("container", arguments.container)?,
        force: arguments.force,
    };
    context.client()?.disconnect_network(&network, &connection)?;
    Ok(0)
}
