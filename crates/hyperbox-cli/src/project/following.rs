// SPDX-License-Identifier: MIT
//! Output of containers as it comes, and what happens to them: a thread for each log and one for events, all of which tell one channel.
//!
//! Threads end when the daemon closes their stream or nobody listens any more; they are never joined.

use std::io;
use std::sync::mpsc::Sender;

use hyperbox_client::{Client, Filters, LogOptions, demultiplex};
use hyperbox_project::create::project_label;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::error::CliError;

/// So much earlier than its beginning a run's first line may be noted, on a busy machine: showing a line twice is better than not at all.
const EARLY: SignedDuration = SignedDuration::from_secs(1);
/// An end that is nearer to the beginning than that may be the end of the same run.
const NO_PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// A container, as events and lists name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// What is shown: the name without the project's.
    pub(crate) name: String,
    pub(crate) service: String,
}

impl Member {
    pub(crate) fn new(project: &str, id: &str, name: &str, service: &str) -> Self {
        let name = name.trim_start_matches('/');
        let short = name
            .strip_prefix(project)
            .and_then(|rest| rest.strip_prefix(['-', '_']));
        Self {
            id: id.to_owned(),
            name: short.unwrap_or(name).to_owned(),
            service: service.to_owned(),
        }
    }
}

/// What comes of following.
#[derive(Debug)]
pub(crate) enum Told {
    /// Bytes of a container's output.
    Output {
        name: String,
        is_error: bool,
        bytes: Vec<u8>,
    },
    /// A container's log is at its end, for now.
    LogEnded { id: String },
    /// A container was started.
    Started(Member),
    /// A container has ended.
    Died { member: Member, code: i64 },
    /// Nobody tells any more what happens to containers.
    Lost,
}

/// Why nothing can be followed any more.
pub(crate) fn lost() -> CliError {
    CliError::new("lost the connection to the daemon; the containers go on without it")
        .with_hint("`hb logs -f` follows them again; `hb system health` tells whether the daemon runs")
}

/// From where a log is followed.
#[derive(Debug, Clone)]
pub(crate) enum From {
    /// From the beginning of the run that goes on.
    ThisRun,
    /// What comes from now on.
    Now,
    /// As somebody asked for.
    Asked(LogOptions),
}

/// A part of an inspection.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inspected {
    state: InspectedState,
    config: InspectedConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedState {
    finished_at: String,
    started_at: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedConfig {
    tty: bool,
}

/// Follows a container's log on a thread of its own. `wrap` makes what the channel carries.
pub(crate) fn follow<T: Send + 'static>(
    client: &Client,
    member: &Member,
    from: From,
    sender: &Sender<T>,
    wrap: fn(Told) -> T,
) {
    let (client, member, sender) = (client.clone(), member.clone(), sender.clone());
    std::thread::spawn(move || {
        // A container that is gone has no log any more, which its end tells as well.
        drop(read_log(&client, &member, from, &sender, wrap));
        drop(sender.send(wrap(Told::LogEnded { id: member.id })));
    });
}

fn read_log<T>(
    client: &Client,
    member: &Member,
    from: From,
    sender: &Sender<T>,
    wrap: fn(Told) -> T,
) -> Result<(), CliError> {
    let raw = client.inspect_container(&member.id, false)?;
    let inspected: Inspected = serde_json::from_str(raw.get()).unwrap_or_default();
    let options = match from {
        From::Asked(options) => options,
        From::Now => LogOptions {
            follow: true,
            tail: Some("0".to_owned()),
            ..LogOptions::default()
        },
        // What was written before the last end belongs to an earlier run.
        From::ThisRun => LogOptions {
            follow: true,
            since: run_begins(&inspected.state.finished_at, &inspected.state.started_at),
            ..LogOptions::default()
        },
    };
    let mut body = client.container_logs(&member.id, &options)?;
    let channel = |is_error| Pieces {
        name: &member.name,
        is_error,
        sender,
        wrap,
    };
    if inspected.config.tty {
        io::copy(&mut body, &mut channel(false))?;
    } else {
        demultiplex(body, &mut channel(false), &mut channel(true))?;
    }
    Ok(())
}

/// Where the output of a container's last run begins, as the daemon takes points in time; none when it is its first run.
///
/// The last lines of a run may be noted a little after its end, and the first ones of the next a little before its beginning: the middle divides them.
/// Of a run that is over already only its own end is known, not that of the one before; it may be noted before the beginning when both are close.
fn run_begins(end: &str, beginning: &str) -> Option<String> {
    let (end, beginning): (Timestamp, Timestamp) = (end.parse().ok()?, beginning.parse().ok()?);
    // Docker writes the year 1 for "never".
    if end.as_second() <= 0 {
        return None;
    }
    let pause = beginning.duration_since(end);
    let point = if pause > NO_PAUSE {
        end.checked_add(pause / 2)
    } else {
        beginning.checked_sub(EARLY)
    };
    let point = point.ok()?;
    Some(format!("{}.{:09}", point.as_second(), point.subsec_nanosecond()))
}

/// Passes bytes on.
struct Pieces<'a, T> {
    name: &'a str,
    is_error: bool,
    sender: &'a Sender<T>,
    wrap: fn(Told) -> T,
}

impl<T> io::Write for Pieces<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let told = Told::Output {
            name: self.name.to_owned(),
            is_error: self.is_error,
            bytes: bytes.to_vec(),
        };
        let sent = self.sender.send((self.wrap)(told));
        sent.map(|()| bytes.len())
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An event of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Event {
    action: String,
    actor: Actor,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes")]
    attributes: std::collections::BTreeMap<String, String>,
}

/// Listens to what happens to a project's containers, on a thread of its own; from the return on nothing is missed.
pub(crate) fn listen<T: Send + 'static>(
    client: &Client,
    project: &str,
    sender: &Sender<T>,
    wrap: fn(Told) -> T,
) -> Result<(), CliError> {
    let mut filters = Filters::default();
    let (label, value) = project_label(project);
    filters.add("label", &format!("{label}={value}"));
    filters.add("type", "container");
    filters.add("event", "start");
    filters.add("event", "die");
    let events = client.events(&filters, None, None)?;
    let (project, sender) = (project.to_owned(), sender.clone());
    std::thread::spawn(move || {
        for event in events.map_while(Result::ok) {
            let told = understood(&project, event.get());
            if told.is_some_and(|told| sender.send(wrap(told)).is_err()) {
                return;
            }
        }
        // There is nobody to tell when the program ends.
        drop(sender.send(wrap(Told::Lost)));
    });
    Ok(())
}

fn understood(project: &str, text: &str) -> Option<Told> {
    let event: Event = serde_json::from_str(text).ok()?;
    let attribute = |name: &str| event.actor.attributes.get(name).map(String::as_str).unwrap_or_default();
    if attribute("com.docker.compose.oneoff") == "True" {
        return None;
    }
    let service = attribute("com.docker.compose.service");
    let member = Member::new(project, &event.actor.id, attribute("name"), service);
    match event.action.as_str() {
        "start" => Some(Told::Started(member)),
        "die" => Some(Told::Died {
            code: attribute("exitCode").parse().unwrap_or_default(),
            member,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        for (name, expected) in [
            ("/shop-web-1", "web-1"),
            ("shop_web_1", "web_1"),
            ("shopper", "shopper"),
            ("other", "other"),
        ] {
            assert_eq!(Member::new("shop", "i", name, "web").name, expected);
        }
    }

    #[test]
    fn events_and_times() {
        let event = r#"{"Action":"die","Actor":{"ID":"i","Attributes":{"name":"shop-web-1","exitCode":"3","com.docker.compose.service":"web"}}}"#;
        let Some(Told::Died { member, code }) = understood("shop", event) else {
            panic!("{event}");
        };
        assert_eq!(
            (member.service.as_str(), member.name.as_str(), code),
            ("web", "web-1", 3)
        );
        assert!(understood("shop", "{}").is_none());
        let beginning = "1970-01-01T00:00:05.75Z";
        for (end, expected) in [
            ("0001-01-01T00:00:00Z", None),
            ("1970-01-01T00:00:03.75Z", Some("4.750000000")),
            ("1970-01-01T00:00:06Z", Some("4.750000000")),
            ("1970-01-01T00:00:05.749Z", Some("4.750000000")),
        ] {
            assert_eq!(run_begins(end, beginning).as_deref(), expected, "{end}");
        }
    }
}
