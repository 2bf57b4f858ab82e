// SPDX-License-Identifier: MIT
//! All services together, for whoever opens a door to them.

use crate::container::Containers;
use crate::event::Events;
use crate::exec::Execs;
use crate::image::Images;
use crate::network::Networks;
use crate::system::System;
use crate::volume::Volumes;

/// Everything that a door may use. Cheap to clone: each service is shared.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the service of its name")]
pub struct Engine {
    pub containers: Containers,
    pub execs: Execs,
    pub images: Images,
    pub volumes: Volumes,
    pub networks: Networks,
    pub events: Events,
    pub system: System,
}
