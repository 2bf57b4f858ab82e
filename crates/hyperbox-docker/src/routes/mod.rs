// SPDX-License-Identifier: MIT
//! All routes, one file per resource. More specific patterns come first where two could match.

mod archive;
mod attach;
mod build;
mod build_connections;
mod check;
mod checkpoints;
mod commit;
mod container_filter;
mod containers;
pub(crate) mod create;
mod delta;
mod disk_usage;
mod distribution;
mod events;
mod execs;
mod image_diff;
mod image_transfer;
mod images;
mod lifecycle;
mod logs;
mod native_build;
mod networks;
mod optimize;
mod run;
mod search;
mod session_build;
mod stats;
mod swarm;
mod system;
mod top;
mod volumes;
pub(crate) mod web_socket;

use crate::router::Route;

/// Returns all routes in the order in which they are tried.
pub(crate) fn all() -> impl Iterator<Item = &'static Route> {
    let tables: [&'static [Route]; 30] = [
        system::ROUTES,
        disk_usage::ROUTES,
        events::ROUTES,
        run::ROUTES,
        check::ROUTES,
        image_diff::ROUTES,
        delta::ROUTES,
        optimize::ROUTES,
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
        build::ROUTES,
        native_build::ROUTES,
        build_connections::ROUTES,
    ];
    tables.into_iter().flatten()
}
