// SPDX-License-Identifier: MIT
//! What each project has for itself: ports of the host, subnets, a control group with a quota.
//!
//! Allotments are part of the projects' records. [`Isolation::allot`] and [`Isolation::settle_ports`] are called one at a time, with the
//! allotments of all other projects, and what they return is recorded before anything is made of it: nothing is given twice, and a crash
//! loses nothing. What has an effect on the machine ([`Isolation::enforce`], [`Isolation::release`]) is idempotent.
//!
//! What is decided is pure and in [`hyperbox_project::range`]; here it is put together what the decision has to know: what the engine's
//! containers and networks have (`seen`), what other programs have, and what other projects are just being started with (`claims`).

mod claims;
mod group;
mod networks;
mod ports;
mod seen;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hyperbox_core::seam::{ControlGroups, HostNetwork};
use hyperbox_core::{Engine, Result};
use hyperbox_project::model::Model;
use hyperbox_project::range::{Ports, block, group_name};
use hyperbox_types::ErrorKind;
use hyperbox_types::project::{PortRange, ProjectLimits, ProjectUsage};

use claims::Claims;
use group::Groups;
pub(crate) use group::check_limits;
pub(crate) use hyperbox_project::range::Allotment;
pub(crate) use ports::{PortWish, PortWishes};

/// How projects are kept apart.
#[derive(Debug, Clone)]
pub struct IsolationConfig {
    /// The parent of all control groups, such as `/hyperbox`.
    pub cgroup_parent: String,
    /// Makes control groups.
    pub groups: Arc<dyn ControlGroups>,
    /// Tells what the host's network uses already.
    pub network: Arc<dyn HostNetwork>,
}

/// Keeps projects apart. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Isolation {
    engine: Engine,
    network: Arc<dyn HostNetwork>,
    groups: Groups,
    claims: Claims,
}

impl Isolation {
    /// Makes the keeper; changes nothing.
    pub(crate) fn new(config: IsolationConfig, engine: Engine) -> Self {
        Self {
            engine,
            network: config.network,
            groups: Groups::new(config.groups, &config.cgroup_parent),
            claims: Claims::default(),
        }
    }

    /// Makes the control groups of projects again, which nothing but a record tells of after a boot. What fails is logged: containers go on
    /// without.
    pub(crate) fn restore<'a>(&self, projects: impl Iterator<Item = (&'a str, &'a Allotment, &'a ProjectLimits)>) {
        for (name, own, limits) in projects {
            if let Err(error) = self.groups.ensure(&own.group, limits).map_err(group::failure) {
                tracing::warn!(project = name, %error, "the quota of a project is not kept");
            }
        }
    }

    /// Decides what a project gets when it is opened (again). `own` is what it has; `others` are the other projects, by name.
    ///
    /// # Errors
    /// `ResourceExhausted` when there is nothing left to give.
    pub(crate) fn allot(
        &self,
        name: &str,
        model: &Model,
        own: &Allotment,
        others: &[(String, Allotment)],
    ) -> Result<Allotment> {
        let mut allotment = own.clone();
        allotment.group = group_name(name);
        let made = self.own_networks(name);
        if !allotment.ranges.is_empty() && networks::is_settled(model, &allotment, &made) {
            return Ok(allotment);
        }
        if allotment.ranges.is_empty() {
            let taken: Vec<Ports> = others.iter().flat_map(|(_, other)| other.ranges.clone()).collect();
            let range = block(&taken, self.passing_ports()).ok_or_else(|| {
                let message = format!("all ports for projects are given to the {} other ones", others.len());
                hyperbox_core::ServiceError::new(ErrorKind::ResourceExhausted, message)
                    .with_hint("remove projects with `hb project remove NAME`")
            })?;
            allotment.ranges.push(range);
        }
        let others: Vec<&Allotment> = others.iter().map(|(_, other)| other).collect();
        let around = self.networks_around(name, made, &others);
        networks::allot(model, &mut allotment, &around, |link| self.network.has_link(link));
        Ok(allotment)
    }

    /// Makes the control group and sets its limits. Called when a project is opened and before each `up` that does something. Returns what this machine cannot
    /// keep, one sentence each.
    ///
    /// # Errors
    /// Those of the machine; `InvalidArgument` for limits that cannot be.
    pub(crate) async fn enforce(&self, name: &str, own: &Allotment, limits: &ProjectLimits) -> Result<Vec<String>> {
        let (groups, group, limits) = (self.groups.clone(), own.group.clone(), limits.clone());
        let made = tokio::task::spawn_blocking(move || groups.ensure(&group, &limits));
        let warnings = made.await.map_err(group::interrupted)?.map_err(group::failure)?;
        for warning in &warnings {
            tracing::warn!(project = name, "{warning}");
        }
        Ok(warnings)
    }

    /// Returns what [`Isolation::enforce`] last returned, if these limits are set: by this daemon, and on a group that nobody took away as long
    /// as something runs in it.
    pub(crate) fn kept(&self, own: &Allotment, limits: &ProjectLimits) -> Option<Vec<String>> {
        self.groups.kept(&own.group, limits)
    }

    /// Returns the control group below which the project's containers are made.
    pub(crate) fn cgroup(&self, own: &Allotment) -> Option<String> {
        self.groups.path(&own.group)
    }

    /// Returns the subnet of a network that says none itself; `key` is the model's.
    pub(crate) fn subnet(&self, own: &Allotment, key: &str) -> Option<String> {
        own.subnets.get(key).map(ToString::to_string)
    }

    /// Returns the name of the bridge of a network that says none itself; `key` is the model's.
    pub(crate) fn bridge(&self, own: &Allotment, key: &str) -> Option<String> {
        own.bridges.get(key).cloned()
    }

    /// Returns the project's own ports of the host.
    pub(crate) fn ports(&self, own: &Allotment) -> Option<PortRange> {
        own.ranges.first().map(|range| PortRange {
            first: range.first,
            last: range.last,
        })
    }

    /// Tells what the project's containers use together.
    pub(crate) async fn usage(&self, own: &Allotment) -> Option<ProjectUsage> {
        self.groups.usage(&own.group).await
    }

    /// Gives everything back: called when the project's record is gone and its containers are removed.
    pub(crate) async fn release(&self, name: &str, own: &Allotment) {
        self.claims.end(name);
        let (groups, group) = (self.groups.clone(), own.group.clone());
        match tokio::task::spawn_blocking(move || groups.remove(&group)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = group::failure(error);
                tracing::warn!(project = name, %error, "the control group of a project stays");
            }
            Err(error) => tracing::warn!(project = name, %error, "the control group of a project stays"),
        }
    }

    fn passing_ports(&self) -> Option<Ports> {
        let (first, last) = self.network.passing_ports();
        Some(Ports { first, last })
    }
}
