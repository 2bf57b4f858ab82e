// SPDX-License-Identifier: MIT
//! The columns of the `ps` options that clients use, on a machine without `ps`.
//!
//! `-ef` (the default), `aux`, and `-o` with a list of columns are understood, other options are refused. Pure but for the clock.

use std::time::Duration;

use hyperbox_core::seam::ProcessInfo;

use crate::error::{ApiError, ApiResult};
use crate::wire::container::Top;

/// A column: its title, and how a process fills it.
type Column = (&'static str, fn(&ProcessInfo) -> String);

const UID: Column = ("UID", |process| process.user.clone());
const USER: Column = ("USER", |process| process.user.clone());
const NUMERIC_UID: Column = ("UID", |process| process.uid.to_string());
const PID: Column = ("PID", |process| process.pid.to_string());
const PPID: Column = ("PPID", |process| process.ppid.to_string());
const PROCESSOR: Column = ("C", |process| utilisation(process).to_string());
const PERCENT: Column = ("%CPU", |process| format!("{}.0", utilisation(process)));
const STARTED: Column = ("STIME", |process| clock(process));
const START: Column = ("START", |process| clock(process));
const TERMINAL: Column = ("TTY", |process| process.terminal.clone());
const TIME: Column = ("TIME", |process| cpu_time(process.cpu_time));
const CMD: Column = ("CMD", |process| process.command.clone());
const COMMAND: Column = ("COMMAND", |process| process.command.clone());
const NAME: Column = ("COMMAND", |process| program(&process.command).to_owned());

/// Shows processes as `ps` would with options.
///
/// # Errors
/// 400 for options that are not understood.
pub(super) fn table(arguments: &str, processes: &[ProcessInfo]) -> ApiResult<Top> {
    let columns = columns(arguments)?;
    let rows = processes
        .iter()
        .map(|process| columns.iter().map(|(_, value)| value(process)).collect());
    Ok(Top {
        processes: rows.collect(),
        titles: columns.iter().map(|(title, _)| (*title).to_owned()).collect(),
    })
}

fn columns(arguments: &str) -> ApiResult<Vec<Column>> {
    let unsupported = || {
        ApiError::bad_request(format!("unsupported ps options: {arguments:?}"))
            .with_hint("use -ef, aux, or -o with any of pid, ppid, uid, user, tty, time, stime, comm, cmd, args")
    };
    match arguments.trim() {
        "" | "-ef" | "ef" | "-e -f" => Ok(vec![UID, PID, PPID, PROCESSOR, STARTED, TERMINAL, TIME, CMD]),
        "aux" | "-aux" | "u" => Ok(vec![USER, PID, PERCENT, TERMINAL, START, TIME, COMMAND]),
        other => {
            let list = ["-eo", "-ao", "-o", "eo", "o"]
                .iter()
                .find_map(|option| other.strip_prefix(option));
            list.ok_or_else(unsupported)?
                .split([',', ' '])
                .filter(|name| !name.is_empty())
                .map(|name| column(name).ok_or_else(unsupported))
                .collect()
        }
    }
}

fn column(name: &str) -> Option<Column> {
    Some(match name.trim_end_matches('=') {
        "pid" => PID,
        "ppid" => PPID,
        "uid" | "euid" => NUMERIC_UID,
        "user" | "euser" => USER,
        "c" => PROCESSOR,
        "pcpu" | "%cpu" => PERCENT,
        "tty" | "tt" | "tname" => TERMINAL,
        "time" | "cputime" => TIME,
        "stime" | "start" => STARTED,
        "comm" | "ucmd" => NAME,
        "cmd" => CMD,
        "args" | "command" => COMMAND,
        _ => return None,
    })
}

fn utilisation(process: &ProcessInfo) -> u64 {
    let age = hyperbox_core::time::Timestamp::now()
        .since(process.started_at)
        .as_secs()
        .max(1);
    process.cpu_time.as_secs() * 100 / age
}

/// The time of day at which a process started, as `ps` shows it for one that started today.
fn clock(process: &ProcessInfo) -> String {
    let text = process.started_at.to_string();
    text.get(11..16).unwrap_or_default().to_owned()
}

fn cpu_time(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn program(command: &str) -> &str {
    let word = command.split(' ').next().unwrap_or_default();
    word.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(arguments: &str) -> Option<String> {
        let columns = columns(arguments).ok()?;
        Some(columns.iter().map(|(title, _)| *title).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn options() {
        assert_eq!(titles("").as_deref(), Some("UID PID PPID C STIME TTY TIME CMD"));
        assert_eq!(titles("-o pid,comm").as_deref(), Some("PID COMMAND"));
        assert_eq!(titles("-eo pid,args").as_deref(), Some("PID COMMAND"));
        assert_eq!(titles("-o pid,bogus"), None);
        assert_eq!(titles("--forest"), None);
        assert_eq!(cpu_time(Duration::from_secs(3_725)), "01:02:05");
        assert_eq!(program("/usr/bin/sleep 60"), "sleep");
    }
}
