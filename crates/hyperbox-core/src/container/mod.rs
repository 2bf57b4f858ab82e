// SPDX-License-Identifier: MIT
//! Containers: what they are made of, how they live, and the service that keeps them.
//!
//! [`Containers`] is the door to it: it resolves names, creates, and hands everything else to the container's *actor*, one tokio
//! task per container that alone changes the container's state (`actor.rs`). What the actor does with an event is decided by the
//! pure state machine of `lifecycle.rs`; the record it publishes is immutable and shared by all readers.

mod actor;
mod command;
mod commit;
mod control;
mod cpuset;
mod create;
mod files;
mod follow;
mod health;
mod launch;
mod lifecycle;
mod links;
mod log;
mod merge;
mod mounts;
mod names;
mod networks;
pub(crate) mod oci;
mod operations;
mod ports;
mod providers;
mod removal;
mod resolver;
mod restore;
mod service;
mod spec;
mod state;
mod step;
mod table;
mod update;
mod wait;

pub use command::StopOptions;
pub use commit::CommitOptions;
pub use create::{Created, Purpose};
pub use files::CopyInto;
pub(crate) use files::fed;
pub use operations::{AttachOptions, Attached, StatsSample, UpdateOptions};
pub use ports::exposed_ports;
pub use removal::{Pruned, RemoveOptions};
pub(crate) use service::event_attributes;
pub use service::{Config, Containers, Dependencies};
pub use spec::{
    Bind, BlockDeviceLimit, ContainerSpec, DeviceMapping, DeviceRequest, EndpointWish, HealthCheck, HealthTest,
    LogOptions, MountRequest, MountSource, NamespaceMode, NamespaceModes, NetworkMode, Propagation, Resources,
    RestartPolicy, Rlimit, SeccompChoice, Security,
};
pub use state::{ContainerRecord, ContainerState, HealthProbe, HealthState, HealthStatus, Phase, ResolvedMount};
pub use step::{Step, StepSpec};
pub use wait::{WaitCondition, WaitResult, Waiter};
