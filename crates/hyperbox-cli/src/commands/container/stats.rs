// SPDX-License-Identifier: MIT
//! `hb stats`
//!
//! With `--no-stream` each container is asked once, at the same time as the others, because an answer takes the second
//! between two samples. Live, one thread per container keeps its last sample and the table is drawn every half second.

use std::io::Write;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use clap::{ArgAction, Args};
use hyperbox_client::model::Stats;
use hyperbox_client::{Client, ClientError, Filters};

use super::stats_row::row;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::format::List;
use crate::template::Value;

/// Between two drawings of the live table.
const INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
    #[arg(value_name = "CONTAINER", hide = true)]
    containers: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    StatsArgs,
    run,
    ["stats"],
    "Display a live stream of container(s) resource usage statistics",
    "[OPTIONS] [CONTAINER...]"
);

const LIST: List = List {
    row: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    quiet: "{{.ID}}",
    titles: &[
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
};

/// What a container's thread reports.
struct Report {
    position: usize,
    /// `None` when its samples ended.
    sample: Option<Result<Box<Stats>, ClientError>>,
}

fn run(context: &Context, mut arguments: StatsArgs) -> Outcome {
    arguments.format = context.list_format(arguments.format.take(), "statsFormat", false);
    let client = context.client()?;
    let names = if arguments.containers.is_empty() {
        let list = client.list_containers(arguments.all, None, false, &Filters::default())?;
        list.into_iter()
            .map(|container| container.id.chars().take(12).collect())
            .collect()
    } else {
        arguments.containers.clone()
    };
    let (sender, reports) = mpsc::channel();
    for (position, name) in names.iter().enumerate() {
        watch(&client, position, name, arguments.no_stream, sender.clone())?;
    }
    drop(sender);
    let mut table = Table {
        context,
        arguments: &arguments,
        rows: vec![None; names.len()],
        names,
        drawn: 0,
    };
    if arguments.no_stream {
        table.once(&reports)
    } else {
        table.live(&reports)
    }
}

fn watch(client: &Client, position: usize, name: &str, once: bool, sender: Sender<Report>) -> Result<(), CliError> {
    let (client, name) = (client.clone(), name.to_owned());
    std::thread::Builder::new()
        .name(format!("stats-{position}"))
        .spawn(move || {
            // The receiver is gone when the program ends.
            let report = |sample| sender.send(Report { position, sample }).is_ok();
            match client.container_stats(&name, once) {
                Err(error) => drop(report(Some(Err(error)))),
                Ok(samples) => {
                    for sample in samples {
                        if !report(Some(sample.map(Box::new))) {
                            return;
                        }
                    }
                    report(None);
                }
            }
        })?;
    Ok(())
}

struct Table<'a> {
    context: &'a Context,
    arguments: &'a StatsArgs,
    names: Vec<String>,
    rows: Vec<Option<Value>>,
    /// Lines of the last drawing.
    drawn: usize,
}

impl Table<'_> {
    fn take(&mut self, report: Report) -> Result<(), CliError> {
        let position = report.position;
        match report.sample {
            Some(Ok(stats)) => self.rows[position] = Some(row(&self.names[position], &stats, !self.arguments.no_trunc)),
            // A container that the user named and that does not exist is an error, one that went away is not.
            Some(Err(error)) if self.rows[position].is_none() && !self.arguments.containers.is_empty() => {
                return Err(error.into());
            }
            Some(Err(_)) | None if self.arguments.no_stream => {}
            Some(Err(_)) | None => self.rows[position] = None,
        }
        Ok(())
    }

    fn render(&self) -> Result<String, CliError> {
        let rows: Vec<Value> = self.rows.iter().flatten().cloned().collect();
        LIST.render(self.arguments.format.as_deref(), false, &rows)
    }

    fn once(&mut self, reports: &Receiver<Report>) -> Outcome {
        for report in reports {
            self.take(report)?;
        }
        let mut output = self.context.output();
        output.write_all(self.render()?.as_bytes())?;
        output.flush()?;
        Ok(0)
    }

    fn live(&mut self, reports: &Receiver<Report>) -> Outcome {
        loop {
            let deadline = std::time::Instant::now() + INTERVAL;
            let ended = loop {
                let left = deadline.saturating_duration_since(std::time::Instant::now());
                match reports.recv_timeout(left) {
                    Ok(report) => self.take(report)?,
                    Err(RecvTimeoutError::Timeout) => break false,
                    Err(RecvTimeoutError::Disconnected) => break true,
                }
            };
            self.draw()?;
            if ended {
                return Ok(0);
            }
        }
    }

    /// Draws over the last drawing on a terminal, below it elsewhere.
    fn draw(&mut self) -> Result<(), CliError> {
        let text = self.render()?;
        let mut output = self.context.output();
        if self.context.output_is_terminal() {
            if self.drawn > 0 {
                write!(output, "\x1b[{}A", self.drawn)?;
            }
            for line in text.lines() {
                writeln!(output, "\x1b[2K{line}")?;
            }
            write!(output, "\x1b[J")?;
            self.drawn = text.lines().count();
        } else {
            output.write_all(text.as_bytes())?;
        }
        Ok(output.flush()?)
    }
}
