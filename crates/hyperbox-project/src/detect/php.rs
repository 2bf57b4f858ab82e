// SPDX-License-Identifier: MIT
//! PHP: Apache with the folder, or its `public/`, as what is served.

use super::folder::{Folder, version};
use super::recipe::{Recipe, Start, chosen_version, step};
use crate::settings::Settings;

const IGNORED: &[&str] = &["vendor/", "node_modules/", ".git/", "storage/"];

pub(crate) fn recipe(folder: &Folder<'_>, settings: &Settings) -> Recipe {
    let mut recipe = Recipe::default();
    let composer = folder.json("composer.json");
    let told = composer["require"]["php"].as_str().and_then(|text| version(text, 2));
    let version = chosen_version(
        &mut recipe,
        settings,
        told.map(|version| (version, "composer.json")),
        "8.4",
    );
    recipe.line(format!("FROM php:{version}-apache"));
    recipe.say(&["WORKDIR /app"]);
    let root = if folder.has("public/index.php") {
        "/app/public"
    } else {
        "/app"
    };
    recipe.because(format!("{root} is served: it has index.php"));
    recipe.line(format!(
        "RUN a2enmod rewrite && sed -i 's#/var/www/html#{root}#g; s#/var/www/#{root}#g' /etc/apache2/sites-available/*.conf /etc/apache2/apache2.conf \
         && docker-php-ext-install pdo_mysql"
    ));
    if folder.has("composer.json") {
        recipe.because("dependencies by composer.json");
        recipe.say(&[
            "COPY --from=composer:2 /usr/bin/composer /usr/local/bin/",
            "RUN apt-get update && apt-get install -y --no-install-recommends git unzip && rm -rf /var/lib/apt/lists/*",
            "COPY composer.json composer.loc[k] ./",
        ]);
        let usual = "RUN composer install --no-scripts --no-interaction".to_owned();
        recipe
            .lines
            .extend(step(settings.commands.install.as_deref(), Some(usual)));
    }
    recipe.say(&["COPY --exclude=vendor --exclude=node_modules --exclude=.git . ."]);
    recipe.lines.extend(step(settings.commands.build.as_deref(), None));
    if folder.has("artisan") {
        recipe.because("Laravel: artisan");
        recipe.say(&["RUN chown -R www-data:www-data storage bootstrap/cache"]);
    }
    recipe.start = Some(Start::Image);
    recipe.port = Some(80);
    recipe.rebuild_on(folder, &["composer.json", "composer.lock"]);
    recipe.sync(IGNORED);
    recipe
}
