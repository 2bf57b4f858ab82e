// SPDX-License-Identifier: MIT
//! Builds the images of services, side by side; one that builds on another service's image waits for it.
//!
//! A thread for each build; all tell one view what happens, with the service in front. The first failure cancels the builds beside it by closing their
//! connections, and ends the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use hyperbox_client::{BuildWriter, Client};
use hyperbox_project::create::image;
use hyperbox_project::model::Model;
use hyperbox_types::build::BuildMessage;
use serde_json::Value;

use super::opening::Opened;
use crate::build_progress::{Json, Live, Plain, Silent, View};
use crate::commands::image::build::{Order, build_service};
use crate::context::Context;
use crate::error::CliError;
use crate::ticking::Ticker;

/// How many messages wait to be shown.
const QUEUE: usize = 256;

/// How images are built.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BuildOptions {
    /// Whether base images are pulled again.
    pub(crate) pull: bool,
    /// Whether nothing of the cache is used.
    pub(crate) no_cache: bool,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

enum Told {
    Message(BuildMessage),
    Over(String, Result<String, CliError>),
}

/// Builds that go on side by side, and can be cancelled together.
#[derive(Debug, Default)]
struct Together(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    connections: Vec<BuildWriter>,
}

impl Together {
    /// Takes a build in that has begun; one that comes too late is cancelled at once.
    fn begun(&self, connection: BuildWriter) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cancelled {
            connection.abort();
        } else {
            state.connections.push(connection);
        }
    }

    fn cancel(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.cancelled = true;
        for connection in state.connections.drain(..) {
            connection.abort();
        }
    }
}

/// Builds the images of these services; those without `build` are passed over. Returns the ids of the images, by service.
pub(crate) fn build(
    context: &Context,
    client: &Client,
    opened: &Opened,
    services: &BTreeSet<String>,
    options: BuildOptions,
) -> Result<BTreeMap<String, String>, CliError> {
    let mut built = BTreeMap::new();
    let mut view = view(options);
    for wave in waves(&opened.model, services)? {
        let outcome = build_wave((context, client, opened, options), &wave, view.as_mut());
        if outcome.is_err() {
            view.end(&mut io::stderr().lock())?;
        }
        built.extend(outcome?);
    }
    view.end(&mut io::stderr().lock())?;
    Ok(built)
}

/// Builds some at the same time.
fn build_wave(
    (context, client, opened, options): (&Context, &Client, &Opened, BuildOptions),
    wave: &[String],
    view: &mut dyn View,
) -> Result<BTreeMap<String, String>, CliError> {
    let together = Together::default();
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(QUEUE);
        for service in wave {
            let (sender, own, together) = (sender.clone(), context.another(), &together);
            scope.spawn(move || {
                let outcome = one((&own, client, opened), service, options, &sender, together);
                // Nobody listens when the program ends.
                drop(sender.send(Told::Over(service.clone(), outcome)));
            });
        }
        drop(sender);
        let (mut built, mut failure) = (BTreeMap::new(), None);
        let mut ticker = Ticker::begin();
        loop {
            if ticker.is_due() {
                view.tick(&mut io::stderr().lock())?;
            }
            match receiver.recv_timeout(ticker.left()) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(Told::Message(message)) => view.message(&message, &mut io::stderr().lock())?,
                Ok(Told::Over(service, Ok(id))) => drop(built.insert(service, id)),
                Ok(Told::Over(_, Err(error))) => {
                    // Those that are cancelled fail as well, which is no news.
                    failure = failure.or(Some(error));
                    together.cancel();
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(built),
        }
    })
}

fn view(options: BuildOptions) -> Box<dyn View> {
    if options.quiet {
        Box::new(Silent)
    } else if options.json {
        Box::new(Json)
    } else if io::stderr().is_terminal() {
        Box::new(Live::default())
    } else {
        Box::new(Plain::default())
    }
}

fn one(
    (context, client, opened): (&Context, &Client, &Opened),
    service: &str,
    options: BuildOptions,
    sender: &SyncSender<Told>,
    together: &Together,
) -> Result<String, CliError> {
    let found = opened.model.services.get(service);
    let Some((found, build)) = found.and_then(|found| Some((found, found.build.as_ref()?))) else {
        return Err(CliError::new(format!(
            "service {service} says nothing of how it is built"
        )));
    };
    let order = Order {
        model: &opened.model,
        service,
        build,
        image: image(&opened.name, service, found),
        ssh: ssh(&opened.document["services"][service]["build"]["ssh"]),
        pull: options.pull,
        no_cache: options.no_cache,
        begun: &|connection| together.begun(connection),
    };
    let mut pass = |message| drop(sender.send(Told::Message(with_service(service, message))));
    build_service(context, client, &order, &mut pass).map_err(|error| error.about(service))
}

/// `build.ssh`, as `--ssh` takes it.
fn ssh(said: &Value) -> Vec<String> {
    let agents = said.as_array().into_iter().flatten();
    agents.filter_map(|agent| agent.as_str().map(str::to_owned)).collect()
}

/// Services whose images are built, in groups of which each needs only images of those before it.
fn waves(model: &Model, services: &BTreeSet<String>) -> Result<Vec<Vec<String>>, CliError> {
    let needs = |name: &String| -> BTreeSet<String> {
        let build = model.services.get(name).and_then(|service| service.build.as_ref());
        let contexts = build.into_iter().flat_map(|build| build.additional_contexts.values());
        contexts
            .filter_map(|place| place.strip_prefix("service:"))
            .map(str::to_owned)
            .collect()
    };
    let built = |name: &String| model.services.get(name).is_some_and(|service| service.build.is_some());
    let mut left: BTreeSet<String> = services.iter().filter(|name| built(name)).cloned().collect();
    let mut waves = Vec::new();
    while !left.is_empty() {
        let ready: Vec<String> = left
            .iter()
            .filter(|name| needs(name).is_disjoint(&left))
            .cloned()
            .collect();
        if ready.is_empty() {
            let names: Vec<String> = left.into_iter().collect();
            return Err(CliError::new(format!(
                "these services are built on each other: {}",
                names.join(", ")
            )));
        }
        left.retain(|name| !ready.contains(name));
        waves.push(ready);
    }
    Ok(waves)
}

/// A message with the service in front of what it names, so that several builds can be told apart.
fn with_service(service: &str, message: BuildMessage) -> BuildMessage {
    let own = |vertex: &str| format!("{service}/{vertex}");
    match message {
        BuildMessage::Vertex(mut state) => {
            state.digest = own(&state.digest);
            state.name = format!("[{service}] {}", state.name);
            BuildMessage::Vertex(state)
        }
        BuildMessage::Progress(mut part) => {
            part.vertex = own(&part.vertex);
            BuildMessage::Progress(part)
        }
        BuildMessage::Log {
            vertex,
            stderr,
            data,
            at,
        } => BuildMessage::Log {
            vertex: own(&vertex),
            stderr,
            data,
            at,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_project::model::{Build, Service};

    use super::*;

    fn model(services: &[(&str, Option<&str>)]) -> Model {
        let service = |needs: &Option<&str>| Service {
            build: Some(Build {
                additional_contexts: needs
                    .map(|other| ("x".to_owned(), format!("service:{other}")))
                    .into_iter()
                    .collect(),
                ..Build::default()
            }),
            ..Service::default()
        };
        let mut model = Model::default();
        for (name, needs) in services {
            model.services.insert((*name).to_owned(), service(needs));
        }
        model.services.insert("plain".to_owned(), Service::default());
        model
    }

    #[test]
    fn builds_wait_for_what_they_are_built_on() {
        let model = model(&[("a", None), ("b", Some("a")), ("c", Some("b")), ("d", None)]);
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        for (services, expected) in [
            (
                all(&["a", "b", "c", "d", "plain"]),
                vec![vec!["a", "d"], vec!["b"], vec!["c"]],
            ),
            (all(&["c", "d"]), vec![vec!["c", "d"]]),
            (all(&["plain"]), vec![]),
        ] {
            assert_eq!(waves(&model, &services).unwrap(), expected);
        }
        let ring = self::model(&[("a", Some("b")), ("b", Some("a"))]);
        assert!(waves(&ring, &all(&["a", "b"])).is_err());
    }

    #[test]
    fn agents() {
        let said = serde_json::json!(["default", "git=/sock"]);
        assert_eq!(ssh(&said), ["default", "git=/sock"]);
        assert!(ssh(&Value::Null).is_empty());
    }
}
