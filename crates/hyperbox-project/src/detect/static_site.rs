// SPDX-License-Identifier: MIT
//! Files for browsers: nginx with the directory that has `index.html`.

use super::folder::Folder;
use super::recipe::{Recipe, Start};

const ROOT: &str = "/usr/share/nginx/html";
const IGNORED: &[&str] = &[".git/", "node_modules/"];

pub(crate) fn recipe(folder: &Folder<'_>) -> Recipe {
    let mut recipe = Recipe::default();
    let directory = ["public", "dist", "site"]
        .into_iter()
        .find(|directory| !folder.has("index.html") && folder.has(&format!("{directory}/index.html")))
        .unwrap_or(".");
    recipe.because(format!("{directory} is served: it has index.html"));
    recipe.say(&["FROM nginx:alpine"]);
    recipe.line(format!(
        "COPY --exclude=.git --exclude=node_modules {directory} {ROOT}/"
    ));
    recipe.start = Some(Start::Image);
    recipe.port = Some(80);
    recipe.rule("sync", directory, Some(ROOT), IGNORED);
    recipe
}
