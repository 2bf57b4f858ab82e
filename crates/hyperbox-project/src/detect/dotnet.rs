// SPDX-License-Identifier: MIT
//! .NET: one project file, published and run with the runtime that its kind needs.

use super::folder::{Folder, is_plain, version};
use super::recipe::{Recipe, Start, chosen_version};
use crate::settings::Settings;

const IGNORED: &[&str] = &["bin/", "obj/", ".git/"];
/// Where Microsoft's images are: nowhere else.
const IMAGES: &str = "mcr.microsoft.com/dotnet";

pub(crate) fn recipe(folder: &Folder<'_>, settings: &Settings) -> Recipe {
    let mut recipe = Recipe::default();
    let Some(project) = [".csproj", ".fsproj", ".vbproj"]
        .iter()
        .find_map(|end| folder.ending(end))
    else {
        return recipe;
    };
    let text = folder.text(&project).unwrap_or_default();
    let between = |before: &str, after: &str| {
        let (_, rest) = text.split_once(before)?;
        rest.split_once(after).map(|(value, _)| value.trim().to_owned())
    };
    let framework = between("<TargetFramework>", "<").and_then(|name| version(&name, 2));
    let version = chosen_version(
        &mut recipe,
        settings,
        framework.map(|version| (version, project.as_str())),
        "9.0",
    );
    let web = text.contains("Microsoft.NET.Sdk.Web");
    let stem = project
        .rsplit_once('.')
        .map_or(project.as_str(), |(stem, _)| stem)
        .to_owned();
    let name = between("<AssemblyName>", "<").unwrap_or(stem);
    recipe.line(format!("FROM {IMAGES}/sdk:{version} AS build"));
    recipe.say(&[
        "WORKDIR /src",
        "COPY --exclude=**/bin --exclude=**/obj --exclude=.git . .",
    ]);
    let build = settings.commands.build.clone().unwrap_or_else(|| {
        let words = serde_json::Value::from(project.as_str());
        format!("dotnet publish {words} -c Release -o /out")
    });
    recipe.line(format!("RUN --mount=type=cache,target=/root/.nuget {build}"));
    let runtime = if web { "aspnet" } else { "runtime" };
    recipe.because(format!(
        "image {runtime}: {project} {} Microsoft.NET.Sdk.Web",
        if web { "uses" } else { "does not use" }
    ));
    recipe.line(format!("FROM {IMAGES}/{runtime}:{version}"));
    recipe.say(&["WORKDIR /app", "COPY --from=build /out/ ./"]);
    if is_plain(&name) {
        recipe.start = Some(Start::words(&["dotnet", &format!("{name}.dll")]));
    }
    if web {
        recipe.port = Some(8080);
        recipe.environment.push(("ASPNETCORE_HTTP_PORTS", "8080".to_owned()));
    }
    recipe.rebuild(IGNORED);
    recipe
}
