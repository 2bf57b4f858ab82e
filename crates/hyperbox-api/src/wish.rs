// SPDX-License-Identifier: MIT
//! What clients ask for, in the executor's words. Pure.

use std::time::Duration;

use hyperbox_project::execute::{DownRequest, ImagesToRemove, Pull, StopWish, UpRequest, Verb};
use hyperbox_project::plan::{DownOptions, Recreate, UpOptions};
use hyperbox_types::project::{
    ProjectDown, ProjectServices, ProjectSpecification, ProjectUp, PullPolicy, RecreatePolicy, RemovedImages,
};

use crate::engine::Manner;

/// What a run does.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// Make and start.
    Up {
        /// What.
        request: Box<UpRequest>,
        /// How.
        manner: Manner,
        /// What the project is that came with it: opened again when another removed the project before its turn.
        opening: Option<Box<ProjectSpecification>>,
    },
    /// Bring down.
    Down(DownRequest),
    /// Bring down, and forget.
    Remove(DownRequest),
    /// Do something to containers that there are.
    Services {
        /// What.
        verb: Verb,
        /// To which services'; to all when none is named.
        services: Vec<String>,
        /// How they are stopped.
        stop: StopWish,
    },
}

impl Asked {
    /// Which services are named.
    pub(crate) fn services(&self) -> &[String] {
        match self {
            Self::Up { request, .. } => &request.options.services,
            Self::Down(request) | Self::Remove(request) => &request.services,
            Self::Services { services, .. } => services,
        }
    }
}

/// `up`, and `plan`.
pub(crate) fn up(wish: ProjectUp) -> (UpRequest, Manner) {
    let recreate = match wish.recreate {
        RecreatePolicy::Changed => Recreate::Changed,
        RecreatePolicy::Always => Recreate::Always,
        RecreatePolicy::Never => Recreate::Never,
    };
    let recreate_dependencies = match recreate {
        Recreate::Never => Recreate::Never,
        _ if wish.always_recreate_deps => Recreate::Always,
        _ => Recreate::Changed,
    };
    let request = UpRequest {
        options: UpOptions {
            services: wish.services,
            without_dependencies: wish.no_deps,
            scale: wish.scale,
            recreate,
            recreate_dependencies,
            remove_orphans: wish.remove_orphans,
            only_create: wish.no_start,
        },
        pull: wish.pull.map(|policy| match policy {
            PullPolicy::Always => Pull::Always,
            PullPolicy::Missing => Pull::Missing,
            PullPolicy::Never => Pull::Never,
        }),
        stop: StopWish { timeout: wish.timeout },
        wait: wish.wait,
        wait_timeout: wish.wait_timeout.map(Duration::from_secs),
    };
    let manner = Manner {
        remap: wish.remap,
        renew_anonymous_volumes: wish.renew_anonymous_volumes,
    };
    (request, manner)
}

/// `down`.
pub(crate) fn down(wish: ProjectDown) -> DownRequest {
    DownRequest {
        services: wish.services,
        options: DownOptions {
            volumes: wish.volumes,
            remove_orphans: wish.remove_orphans,
        },
        images: match wish.images {
            None => ImagesToRemove::None,
            Some(RemovedImages::Local) => ImagesToRemove::Local,
            Some(RemovedImages::All) => ImagesToRemove::All,
        },
        stop: StopWish { timeout: wish.timeout },
    }
}

/// The rest, by the last word of the path; `None` for a word that is none.
pub(crate) fn services(word: &str, wish: ProjectServices) -> Option<Asked> {
    let verb = match word {
        "stop" => Verb::Stop,
        "start" => Verb::Start {
            wait: wish.wait.then_some(wish.wait_timeout.map(Duration::from_secs)),
        },
        "restart" => Verb::Restart {
            without_dependents: wish.no_deps,
        },
        "kill" => Verb::Kill { signal: wish.signal },
        "pause" => Verb::Pause,
        "unpause" => Verb::Unpause,
        _ => return None,
    };
    Some(Asked::Services {
        verb,
        services: wish.services,
        stop: StopWish { timeout: wish.timeout },
    })
}
