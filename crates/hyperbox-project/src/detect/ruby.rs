// SPDX-License-Identifier: MIT
//! Ruby: Rails, Rack, or a script.

use super::folder::{Folder, version};
use super::recipe::{Recipe, Start, chosen_version, step};
use crate::settings::Settings;

const IGNORED: &[&str] = &["tmp/", "log/", "vendor/bundle/", "node_modules/", ".git/"];

pub(crate) fn recipe(folder: &Folder<'_>, settings: &Settings) -> Recipe {
    let mut recipe = Recipe::default();
    let gems = folder.text("Gemfile").unwrap_or_default();
    let own = folder.line(".ruby-version").and_then(|line| version(&line, 2));
    let told = own.map(|version| (version, ".ruby-version")).or_else(|| {
        let line = gems.lines().find_map(|line| line.trim().strip_prefix("ruby "))?;
        Some((version(line, 2)?, "Gemfile"))
    });
    let version = chosen_version(&mut recipe, settings, told, "3.4");
    recipe.line(format!("FROM ruby:{version}"));
    recipe.say(&["WORKDIR /app"]);
    if folder.has("Gemfile") {
        recipe.say(&["COPY Gemfile Gemfile.loc[k] .ruby-versio[n] ./"]);
        let usual = "RUN bundle install".to_owned();
        recipe
            .lines
            .extend(step(settings.commands.install.as_deref(), Some(usual)));
    }
    recipe.say(&["COPY --exclude=tmp --exclude=log --exclude=.git . ."]);
    recipe.lines.extend(step(settings.commands.build.as_deref(), None));
    recipe.rebuild_on(folder, &["Gemfile", "Gemfile.lock"]);
    if folder.has("bin/rails") || folder.has("config/application.rb") {
        recipe.because("Rails: config/application.rb");
        recipe.port = Some(3000);
        recipe.start = Some(Start::words(&[
            "bundle", "exec", "rails", "server", "-b", "0.0.0.0", "-p", "3000",
        ]));
        recipe.sync(IGNORED);
        return recipe;
    }
    if folder.has("config.ru") {
        recipe.because("Rack: config.ru");
        recipe.port = Some(9292);
        recipe.start = Some(Start::words(&[
            "bundle", "exec", "rackup", "-o", "0.0.0.0", "-p", "9292",
        ]));
    } else if let Some(file) = folder.first(&["app.rb", "main.rb", "server.rb"]) {
        recipe.port = gems.contains("sinatra").then_some(4567);
        recipe.start = Some(Start::words(&["ruby", file]));
        recipe
            .environment
            .extend(recipe.port.map(|_| ("APP_ENV", "production".to_owned())));
    }
    recipe.sync_and_restart(IGNORED);
    recipe
}
