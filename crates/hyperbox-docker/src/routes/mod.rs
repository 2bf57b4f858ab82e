// SPDX-License-Identifier: MIT
//! All routes, one file per resource. More specific patterns come first where two could match.

mod archive;
mod attach;
mod checkpoints;
mod commit;
mod container_filter;
mod containers;
mod create;
mod distribution;
mod events;
mod execs;
mod image_transfer;
mod images;
mod lifecycle;
mod logs;
mod networks;
mod run;
mod search;
mod stats;
mod swarm;
mod system;
mod top;
mod unsupported;
mod volumes;
mod web_socket;

use crate::router::Route;

/// Returns all routes in the order in which they are tried.
pub(crate) fn all() -> impl Iterator<Item = &'static Route> {
    let tables: [&'static [Route]; 23] = [
        system::ROUTES,
        events::ROUTES,
        run::ROUTES,
        commit::ROUTES,
        create::ROUTES,
        containers::ROUTES,
        lifecycle::ROUTES,
        archive::ROUTES,
        attach::ROUTES,
        web_socket::ROUTES,
        checkpoints::ROUTES,
        logs::ROUTES,
        stats::ROUTES,
        top::ROUTES,
        execs::ROUTES,
        image_transfer::ROUTES,
        search::ROUTES,
        images::ROUTES,
        distribution::ROUTES,
        volumes::ROUTES,
        networks::ROUTES,
        swarm::ROUTES,
        unsupported::ROUTES,
    ];
    tables.into_iter().flatten()
}
