// SPDX-License-Identifier: MIT
//! Plans, and how they are printed.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::Condition;

/// The place of an operation in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationNumber(pub(crate) usize);

impl OperationNumber {
    /// The place, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the network that the model calls so.
    CreateNetwork {
        /// Its key in the model.
        key: String,
        /// Its name in the engine.
        name: String,
    },
    /// Remove a network.
    RemoveNetwork {
        /// Its name in the engine.
        name: String,
    },
    /// Make the volume that the model calls so.
    CreateVolume {
        /// Its key in the model.
        key: String,
        /// Its name in the engine.
        name: String,
    },
    /// Remove a volume.
    RemoveVolume {
        /// Its name in the engine.
        name: String,
    },
    /// Make a container of a service, in place of another one if `replaces` says so, whose anonymous volumes it takes over: the old one
    /// is stopped and removed, then the new one gets its name.
    CreateContainer {
        /// The service.
        service: String,
        /// Its number in the service.
        number: u32,
        /// Its name.
        name: String,
        /// The id of the one that it replaces.
        replaces: Option<String>,
    },
    /// Start a container.
    StartContainer {
        /// Its name.
        name: String,
    },
    /// Stop a container and start it again.
    RestartContainer {
        /// Its name.
        name: String,
    },
    /// Stop a container.
    StopContainer {
        /// Its name.
        name: String,
    },
    /// Send a signal to a container.
    KillContainer {
        /// Its name.
        name: String,
        /// Which; `SIGKILL` when none is said.
        signal: Option<String>,
    },
    /// Freeze a container.
    PauseContainer {
        /// Its name.
        name: String,
    },
    /// Let a frozen container go on.
    UnpauseContainer {
        /// Its name.
        name: String,
    },
    /// Remove a container that does not run.
    RemoveContainer {
        /// Its name.
        name: String,
        /// Whether its anonymous volumes go, too.
        volumes: bool,
    },
    /// Wait until all containers of a service are in a state.
    Await {
        /// The service.
        service: String,
        /// The state.
        condition: Condition,
        /// Whether it is an error when it does not come.
        required: bool,
    },
}

/// Why something is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It is not there.
    Missing,
    /// It does not run.
    NotRunning,
    /// The files say something else than when it was made.
    ConfigurationChanged,
    /// Its image is another one.
    ImageChanged,
    /// It was asked for.
    Asked,
    /// There are more than wanted.
    TooMany,
    /// No service of the project has this name any more.
    Orphan,
    /// What it shares or depends on is made anew: that service or network.
    Renewed(String),
    /// It is broken.
    Broken,
    /// This service waits for it.
    Dependency(String),
}

/// Something to do, why, and after what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// What has to be done before; all of it stands earlier in the plan.
    pub after: Vec<OperationNumber>,
}

/// Operations in an order in which they can be done; those that do not wait for each other can be done at the same time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    operations: Vec<Operation>,
    notes: Vec<String>,
}

impl Plan {
    /// The operations.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// What the user should know and what nothing is done about.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(crate) fn add(
        &mut self,
        action: Action,
        cause: Cause,
        after: impl IntoIterator<Item = OperationNumber>,
    ) -> OperationNumber {
        let mut after: Vec<_> = after.into_iter().collect();
        after.sort_unstable();
        after.dedup();
        self.operations.push(Operation { action, cause, after });
        OperationNumber(self.operations.len() - 1)
    }

    /// The operations with their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (OperationNumber, &Operation)> {
        let operations = self.operations.iter().enumerate();
        operations.map(|(index, operation)| (OperationNumber(index), operation))
    }

    /// Lets an operation wait for more, which may stand later: [`Plan::sorted`] has to follow.
    pub(super) fn wait(&mut self, number: OperationNumber, more: &[OperationNumber]) {
        let after = &mut self.operations[number.0].after;
        after.extend(more);
        after.sort_unstable();
        after.dedup();
    }

    /// Puts each operation after what it waits for; else they stay in the order in which they were added. Nothing may wait for itself, by
    /// whatever ways.
    pub(super) fn sorted(self) -> Self {
        let mut left: Vec<usize> = self.operations.iter().map(|operation| operation.after.len()).collect();
        let mut dependents = vec![Vec::new(); left.len()];
        for (number, operation) in self.numbered() {
            for before in &operation.after {
                dependents[before.0].push(number.0);
            }
        }
        let mut ready: BTreeSet<usize> = (0..left.len()).filter(|index| left[*index] == 0).collect();
        let mut order = Vec::with_capacity(left.len());
        let mut place = vec![OperationNumber(0); left.len()];
        while let Some(index) = ready.pop_first() {
            place[index] = OperationNumber(order.len());
            order.push(index);
            for dependent in &dependents[index] {
                left[*dependent] -= 1;
                if left[*dependent] == 0 {
                    ready.insert(*dependent);
                }
            }
        }
        let mut sorted = Self {
            operations: Vec::with_capacity(order.len()),
            notes: self.notes,
        };
        let mut operations: Vec<Option<Operation>> = self.operations.into_iter().map(Some).collect();
        for index in order {
            if let Some(operation) = operations[index].take() {
                let after: Vec<OperationNumber> = operation.after.iter().map(|before| place[before.0]).collect();
                sorted.add(operation.action, operation.cause, after);
            }
        }
        sorted
    }
}

impl fmt::Display for Plan {
    /// One line for each operation, numbered from 1: what, why, after what.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, operation) in self.operations.iter().enumerate() {
            write!(formatter, "{} {} ({})", index + 1, operation.action, operation.cause)?;
            if !operation.after.is_empty() {
                let after: Vec<_> = operation
                    .after
                    .iter()
                    .map(|number| (number.0 + 1).to_string())
                    .collect();
                write!(formatter, " after {}", after.join(", "))?;
            }
            writeln!(formatter)?;
        }
        for note in &self.notes {
            writeln!(formatter, "note: {note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateNetwork { name, .. } => write!(formatter, "create network {name}"),
            Self::RemoveNetwork { name } => write!(formatter, "remove network {name}"),
            Self::CreateVolume { name, .. } => write!(formatter, "create volume {name}"),
            Self::RemoveVolume { name } => write!(formatter, "remove volume {name}"),
            Self::CreateContainer {
                name, replaces: None, ..
            } => write!(formatter, "create {name}"),
            Self::CreateContainer { name, .. } => write!(formatter, "recreate {name}"),
            Self::StartContainer { name } => write!(formatter, "start {name}"),
            Self::RestartContainer { name } => write!(formatter, "restart {name}"),
            Self::StopContainer { name } => write!(formatter, "stop {name}"),
            Self::KillContainer { name, signal: None } => write!(formatter, "kill {name}"),
            Self::KillContainer {
                name,
                signal: Some(signal),
            } => write!(formatter, "send {signal} to {name}"),
            Self::PauseContainer { name } => write!(formatter, "pause {name}"),
            Self::UnpauseContainer { name } => write!(formatter, "unpause {name}"),
            Self::RemoveContainer { name, .. } => write!(formatter, "remove {name}"),
            Self::Await { service, condition, .. } => match condition {
                Condition::Started => write!(formatter, "wait until {service} runs"),
                Condition::Healthy => write!(formatter, "wait until {service} is healthy"),
                Condition::Completed => write!(formatter, "wait until {service} has ended well"),
            },
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("missing"),
            Self::NotRunning => formatter.write_str("not running"),
            Self::ConfigurationChanged => formatter.write_str("configuration changed"),
            Self::ImageChanged => formatter.write_str("image changed"),
            Self::Asked => formatter.write_str("asked for"),
            Self::TooMany => formatter.write_str("too many"),
            Self::Orphan => formatter.write_str("orphan"),
            Self::Renewed(what) => write!(formatter, "{what} is renewed"),
            Self::Broken => formatter.write_str("broken"),
            Self::Dependency(service) => write!(formatter, "needed by {service}"),
        }
    }
}
