// SPDX-License-Identifier: MIT
//! Go: one static binary of the folder, or of one of `cmd/*`.

use super::folder::{Folder, is_plain, version};
use super::recipe::{Recipe, Start, chosen_version};
use crate::settings::Settings;

const IGNORED: &[&str] = &[".git/", "*_test.go", "**/*_test.go"];
const PORT: u16 = 8080;

pub(crate) fn recipe(folder: &Folder<'_>, settings: &Settings) -> Recipe {
    let mut recipe = Recipe::default();
    let module = folder.text("go.mod").unwrap_or_default();
    let told = module
        .lines()
        .find_map(|line| version(line.trim().strip_prefix("go ")?, 2))
        .map(|version| (version, "go.mod"));
    let version = chosen_version(&mut recipe, settings, told, "1");
    recipe.line(format!("FROM golang:{version} AS build"));
    recipe.say(&["WORKDIR /src"]);
    let cache = "RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build";
    if folder.has("go.mod") {
        recipe.say(&["COPY go.mod go.su[m] ./"]);
        recipe.line(format!("{cache} go mod download"));
    }
    recipe.say(&["COPY --exclude=.git . ."]);
    let package = package(&mut recipe, folder);
    let usual = format!("CGO_ENABLED=0 go build -o /out/app {package}");
    let build = settings.commands.build.as_deref().unwrap_or(&usual);
    recipe.line(format!("{cache} {build}"));
    recipe.say(&[
        "FROM debian:bookworm-slim",
        "WORKDIR /app",
        "COPY --from=build /out/ /usr/local/bin/",
    ]);
    recipe.start = Some(Start::words(&["app"]));
    // Without a server in it nobody listens, which hurts nobody.
    recipe.port = Some(PORT);
    recipe.environment.push(("PORT", PORT.to_string()));
    recipe.rebuild(IGNORED);
    recipe
}

/// The package that has `main`.
fn package(recipe: &mut Recipe, folder: &Folder<'_>) -> String {
    if folder.has("main.go") {
        return ".".to_owned();
    }
    let mut commands = folder.names("cmd");
    commands.retain(|name| is_plain(name) && folder.has(&format!("cmd/{name}/main.go")));
    match &commands[..] {
        [] => ".".to_owned(),
        [only] => {
            recipe.because(format!("package ./cmd/{only}: the only one there"));
            format!("./cmd/{only}")
        }
        [first, ..] => {
            recipe.note(format!(
                "cmd/ has several programs ({}); the first one is taken, [commands] build of hyperbox.toml says otherwise",
                commands.join(", ")
            ));
            format!("./cmd/{first}")
        }
    }
}
