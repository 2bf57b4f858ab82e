// SPDX-License-Identifier: MIT
//! Node.js: servers, and front ends with a development server.
//!
//! A folder with a development server (`scripts.dev`) is run by it, since a project is what one works on; it reloads what is copied into
//! the container by itself.

use super::folder::{Folder, version};
use super::javascript::{Installer, Package};
use super::recipe::{Recipe, Start, chosen_version, step};
use crate::settings::Settings;

/// Development servers: the package that tells, its port, and what makes it listen on all addresses.
const SERVERS: &[(&str, u16, &[&str])] = &[
    ("next", 3000, &["--hostname", "0.0.0.0"]),
    ("nuxt", 3000, &["--host", "0.0.0.0"]),
    ("astro", 4321, &["--host", "0.0.0.0"]),
    ("@sveltejs/kit", 5173, &["--host", "0.0.0.0"]),
    ("@angular/cli", 4200, &["--host", "0.0.0.0"]),
    ("vite", 5173, &["--host", "0.0.0.0"]),
    ("react-scripts", 3000, &[]),
];

/// Where a server listens that asks `PORT`.
const PORT: u16 = 3000;

const IGNORED: &[&str] = &["node_modules/", "dist/", ".next/", ".nuxt/", ".git/"];

pub(crate) fn recipe(folder: &Folder<'_>, settings: &Settings) -> Recipe {
    let mut recipe = Recipe::default();
    let package = Package::of(folder);
    let has_package = folder.has("package.json");
    let (installer, why) = Installer::of(folder, &package);
    base(&mut recipe, folder, settings, &package, installer);
    if has_package {
        let reason = if why.is_empty() { "no lock file" } else { why };
        recipe.because(format!("dependencies by {}: {reason}", installer.name()));
        recipe.say(&["COPY package.json *lock* *shrinkwrap* .npmr[c] .yarnr[c].yml pnpm-workspac[e].yaml ./"]);
        let usual = installer.install(!why.is_empty() && why != "package.json");
        recipe
            .lines
            .extend(step(settings.commands.install.as_deref(), Some(usual.to_owned())));
    }
    recipe.say(&["COPY --exclude=node_modules --exclude=.git . ."]);
    let develops = start(&mut recipe, folder, &package, installer);
    let builds = !develops && package.script("build");
    let usual = builds.then(|| format!("RUN {} run build", installer.name()));
    recipe.lines.extend(step(settings.commands.build.as_deref(), usual));
    recipe.rebuild_on(
        folder,
        &[
            "package.json",
            "package-lock.json",
            "pnpm-lock.yaml",
            "yarn.lock",
            "bun.lock",
        ],
    );
    if develops {
        recipe.sync(IGNORED);
    } else if builds {
        recipe.rebuild(IGNORED);
    } else {
        recipe.sync_and_restart(IGNORED);
    }
    recipe
}

fn base(recipe: &mut Recipe, folder: &Folder<'_>, settings: &Settings, package: &Package, installer: Installer) {
    if installer == Installer::Bun {
        let version = chosen_version(recipe, settings, None, "1");
        recipe.line(format!("FROM oven/bun:{version}"));
    } else {
        let told = [".nvmrc", ".node-version"]
            .iter()
            .find_map(|file| Some((version(&folder.line(file)?, 1)?, *file)))
            .or_else(|| Some((package.engine()?, "package.json")));
        let version = chosen_version(recipe, settings, told, "22");
        recipe.line(format!("FROM node:{version}-slim"));
    }
    recipe.say(&["WORKDIR /app"]);
}

/// Decides what is started; tells whether that is a development server.
fn start(recipe: &mut Recipe, folder: &Folder<'_>, package: &Package, installer: Installer) -> bool {
    let run = installer.name();
    let server = SERVERS.iter().find(|(name, ..)| package.needs(name));
    if package.script("dev") || (server.is_some() && package.script("start") && !package.script("build")) {
        let script = if package.script("dev") { "dev" } else { "start" };
        let mut words = vec![run, "run", script];
        recipe.because(format!("development server: package.json has scripts.{script}"));
        if let Some((name, port, arguments)) = server {
            recipe.because(format!("package.json needs {name}"));
            recipe.port = Some(*port);
            if !arguments.is_empty() && installer == Installer::Npm {
                words.push("--");
            }
            words.extend(*arguments);
        } else {
            listen(recipe);
        }
        recipe.start = Some(Start::words(&words));
        return true;
    }
    listen(recipe);
    if package.script("start") {
        recipe.because("package.json has scripts.start");
        recipe.start = Some(Start::words(&[run, "start"]));
        return false;
    }
    let program = if installer == Installer::Bun { "bun" } else { "node" };
    let main = package.main().filter(|main| folder.has(main)).map(str::to_owned);
    let usual = || {
        folder
            .first(&["server.js", "index.js", "app.js", "main.js"])
            .map(str::to_owned)
    };
    recipe.start = main.or_else(usual).map(|file| Start::words(&[program, &file]));
    false
}

/// Servers without a port of their own ask `PORT`, by custom.
fn listen(recipe: &mut Recipe) {
    recipe.port = Some(PORT);
    recipe.environment.push(("PORT", PORT.to_string()));
}
