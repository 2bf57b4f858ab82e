// SPDX-License-Identifier: MIT
//! Java: what Maven or Gradle builds into one archive that can be run.

use super::folder::{Folder, version};
use super::recipe::{Recipe, Start, chosen_version};
use crate::settings::Settings;

const IGNORED: &[&str] = &["target/", "build/", ".gradle/", ".git/"];

pub(crate) fn recipe(folder: &Folder<'_>, settings: &Settings) -> Recipe {
    let mut recipe = Recipe::default();
    let maven = folder.has("pom.xml");
    let version = chosen_version(&mut recipe, settings, told_version(folder), "21");
    let (image, cache, usual, out) = if maven {
        (
            format!("maven:3-eclipse-temurin-{version}"),
            "/root/.m2",
            "mvn -q -B package -DskipTests",
            "target",
        )
    } else if folder.has("gradlew") {
        (
            format!("eclipse-temurin:{version}-jdk"),
            "/root/.gradle",
            "sh ./gradlew --no-daemon assemble",
            "build/libs",
        )
    } else {
        (
            format!("gradle:8-jdk{version}"),
            "/root/.gradle",
            "gradle --no-daemon assemble",
            "build/libs",
        )
    };
    recipe.line(format!("FROM {image} AS build"));
    recipe.say(&[
        "WORKDIR /src",
        "COPY --exclude=target --exclude=build --exclude=.git . .",
    ]);
    let build = settings.commands.build.as_deref().unwrap_or(usual);
    // Of several archives the largest has everything in it.
    recipe.line(format!(
        "RUN --mount=type=cache,target={cache} {build} && mkdir /out && cp \"$(ls -S {out}/*.jar | head -n 1)\" /out/app.jar"
    ));
    recipe.line(format!("FROM eclipse-temurin:{version}-jre"));
    recipe.say(&["WORKDIR /app", "COPY --from=build /out/app.jar ./"]);
    recipe.start = Some(Start::words(&["java", "-jar", "app.jar"]));
    recipe.port = Some(8080);
    recipe.rebuild(IGNORED);
    recipe
}

fn told_version(folder: &Folder<'_>) -> Option<(String, &'static str)> {
    const MAVEN: [&str; 4] = [
        "<maven.compiler.release>",
        "<java.version>",
        "<maven.compiler.target>",
        "<release>",
    ];
    let after = |text: &str, mark: &str| {
        let (_, rest) = text.split_once(mark)?;
        let rest = rest.strip_prefix("1.").unwrap_or(rest);
        version(rest.lines().next()?, 1)
    };
    let maven = folder.text("pom.xml").unwrap_or_default();
    if let Some(found) = MAVEN.iter().find_map(|mark| after(&maven, mark)) {
        return Some((found, "pom.xml"));
    }
    for file in ["build.gradle.kts", "build.gradle"] {
        let text = folder.text(file).unwrap_or_default();
        let marks = [
            "JavaLanguageVersion.of(",
            "jvmToolchain(",
            "JavaVersion.VERSION_",
            "sourceCompatibility",
        ];
        if let Some(found) = marks.iter().find_map(|mark| after(&text, mark)) {
            return Some((found, file));
        }
    }
    None
}
