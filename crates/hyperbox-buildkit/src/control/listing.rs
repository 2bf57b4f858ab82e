// SPDX-License-Identifier: MIT
//! Who builds here: one worker, which is this machine.

use std::collections::HashMap;
use std::net::IpAddr;

use hyperbox_types::{ByteSize, Platform};

use super::Control;
use crate::proto::control::{InfoResponse, ListWorkersResponse};
use crate::proto::health::HealthCheckResponse;
use crate::proto::ops;
use crate::proto::worker::{BuildkitVersion, GcPolicy, WorkerRecord};
use crate::transport::server::{Replies, one};

/// The version of the API that is spoken, for clients that ask what they may use.
const VERSION: &str = "v0.25.1";

/// The builder as clients see it.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    /// What names it.
    pub(crate) id: String,
    /// The address that `host-gateway` means.
    pub(crate) host_gateway: Option<IpAddr>,
    /// So much of the cache stays.
    pub(crate) keep: ByteSize,
}

impl Worker {
    /// Returns it as clients see it. There is no label of a snapshotter: clients would ask for what only BuildKit's own store has.
    pub(crate) fn record(&self) -> WorkerRecord {
        let mut labels = HashMap::from([(
            "org.mobyproject.buildkit.worker.executor".to_owned(),
            "hyperbox".to_owned(),
        )]);
        if let Some(address) = self.host_gateway {
            let name = "org.mobyproject.buildkit.worker.moby.host-gateway-ip";
            labels.insert(name.to_owned(), address.to_string());
        }
        let host = Platform::host();
        WorkerRecord {
            id: self.id.clone(),
            labels,
            platforms: vec![ops::Platform {
                architecture: host.architecture.as_str().to_owned(),
                os: host.os,
                variant: host.variant.unwrap_or_default(),
            }],
            gc_policy: vec![GcPolicy {
                all: true,
                max_used_space: i64::try_from(self.keep.0).unwrap_or(i64::MAX),
                ..GcPolicy::default()
            }],
            buildkit_version: Some(version()),
        }
    }
}

fn version() -> BuildkitVersion {
    BuildkitVersion {
        package: "hyperbox-buildkit".to_owned(),
        version: VERSION.to_owned(),
        revision: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

impl Control {
    pub(super) fn list_workers(&self) -> Replies {
        one(&ListWorkersResponse {
            record: vec![self.worker.record()],
        })
    }

    pub(super) fn info(&self) -> Replies {
        one(&InfoResponse {
            buildkit_version: Some(version()),
        })
    }
}

/// Says that there is somebody.
pub(super) fn healthy() -> Replies {
    one(&HealthCheckResponse { status: 1 })
}
