// SPDX-License-Identifier: MIT
//! Rust: the binaries of a Cargo package, built in one image and run in a small one.

use toml::Table;

use super::folder::{Folder, is_plain, version};
use super::recipe::{Recipe, Start, chosen_version};
use crate::settings::Settings;

const IGNORED: &[&str] = &["target/", ".git/"];

pub(crate) fn recipe(folder: &Folder<'_>, settings: &Settings) -> Recipe {
    let mut recipe = Recipe::default();
    let manifest = folder.toml("Cargo.toml");
    let version = chosen_version(&mut recipe, settings, told_version(folder), "1");
    recipe.line(format!("FROM rust:{version}-slim-bookworm AS build"));
    recipe.say(&["WORKDIR /src", "COPY --exclude=target --exclude=.git . ."]);
    let build = settings.commands.build.as_deref().unwrap_or("cargo build --release");
    recipe.line(format!(
        "RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
         {build} && mkdir /out && find target/release -maxdepth 1 -type f -executable -exec cp {{}} /out/ ';'"
    ));
    recipe.say(&[
        "FROM debian:bookworm-slim",
        "WORKDIR /app",
        "COPY --from=build /out/ /usr/local/bin/",
    ]);
    match binary(&manifest) {
        Some((name, reason)) => {
            recipe.because(format!("binary {name}: {reason}"));
            recipe.start = Some(Start::words(&[&name]));
        }
        None if manifest.contains_key("workspace") => {
            recipe.note("a workspace has several binaries: [commands] start of hyperbox.toml says which one is meant");
        }
        None => {}
    }
    if let Some(port) = port(&manifest) {
        recipe.port = Some(port);
        recipe.environment.push(("PORT", port.to_string()));
        recipe.note(format!(
            "the server has to listen on 0.0.0.0, port {port} (or what PORT says), not on 127.0.0.1"
        ));
    }
    recipe.rebuild(IGNORED);
    recipe
}

fn told_version(folder: &Folder<'_>) -> Option<(String, &'static str)> {
    let pinned = folder.toml("rust-toolchain.toml");
    let channel = pinned.get("toolchain").and_then(|table| table.get("channel")?.as_str());
    // A channel without a number moves, as does the usual image.
    Some((version(channel?, 3)?, "rust-toolchain.toml"))
}

/// The binary that is meant, and why.
fn binary(manifest: &Table) -> Option<(String, &'static str)> {
    let package = manifest.get("package").and_then(toml::Value::as_table);
    let text = |table: &Table, key: &str| table.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let named = package
        .and_then(|package| text(package, "default-run"))
        .map(|name| (name, "package.default-run"));
    let listed = || {
        let first = manifest.get("bin")?.as_array()?.first()?.as_table()?;
        Some((text(first, "name")?, "the first [[bin]]"))
    };
    let own = || Some((text(package?, "name")?, "package.name"));
    named.or_else(listed).or_else(own).filter(|(name, _)| is_plain(name))
}

/// Where a server listens, if it is one by its dependencies.
fn port(manifest: &Table) -> Option<u16> {
    const SERVERS: [&str; 8] = ["axum", "actix-web", "rocket", "warp", "hyper", "poem", "tide", "salvo"];
    let needed = manifest.get("dependencies")?.as_table()?;
    let found = SERVERS.iter().find(|name| needed.contains_key(**name))?;
    Some(if *found == "rocket" { 8000 } else { 8080 })
}
