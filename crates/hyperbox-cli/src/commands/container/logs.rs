// SPDX-License-Identifier: MIT
//! `hb logs`

use std::io::{self, Write};

use clap::Args;
use hyperbox_client::{LogOptions, demultiplex};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::options::timestamp;

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    /// Follow log output
    #[arg(short, long)]
    follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Number of lines to show from the end of the logs
    #[arg(
        short = 'n',
        long,
        value_name = "LINES",
        default_value = "all",
        allow_negative_numbers = true
    )]
    tail: String,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[arg(hide = true)]
    container: String,
}

pub(crate) const SPEC: Spec = spec!(
    LogsArgs,
    run,
    ["logs"],
    "Fetch the logs of a container",
    "[OPTIONS] CONTAINER"
);

fn run(context: &Context, arguments: LogsArgs) -> Outcome {
    let client = context.client()?;
    let container = client.container_state(&arguments.container)?;
    let point = |flag: &str, text: Option<&str>| {
        text.map(|text| timestamp(text, Timestamp::now(), &TimeZone::system()))
            .transpose()
            .map_err(|reason| CliError::new(format!("invalid value for {flag:?}: {reason}")))
    };
    let options = LogOptions {
        follow: arguments.follow,
        timestamps: arguments.timestamps,
        details: arguments.details,
        tail: Some(arguments.tail.clone()),
        since: point("since", arguments.since.as_deref())?,
        until: point("until", arguments.until.as_deref())?,
    };
    let mut body = client.container_logs(&container.id, &options)?;
    let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr().lock());
    if container.config.tty {
        io::copy(&mut body, &mut stdout)?;
        stdout.flush()?;
    } else {
        demultiplex(body, &mut stdout, &mut stderr)?;
    }
    Ok(0)
}
