// SPDX-License-Identifier: MIT
//! The languages, which counts first, and how each is recognised.

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::recipe::{Recipe, Start};
use super::{DetectError, Proposal, proposal};
use super::{dotnet, go, java, node, php, python, ruby, rust, static_site};
use crate::settings::Settings;

/// A language whose folders are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// PHP.
    Php,
    /// Ruby.
    Ruby,
    /// .NET: C#, F#, Visual Basic.
    Dotnet,
    /// Java and what else Maven and Gradle build.
    Java,
    /// Go.
    Go,
    /// Rust.
    Rust,
    /// Python.
    Python,
    /// JavaScript and TypeScript on a server.
    Node,
    /// Files for browsers, as they are.
    Static,
}

impl Language {
    /// All of them. Node and static files come last: many folders of other languages have a `package.json` for their assets.
    pub const ALL: &'static [Self] = &[
        Self::Php,
        Self::Ruby,
        Self::Dotnet,
        Self::Java,
        Self::Go,
        Self::Rust,
        Self::Python,
        Self::Node,
        Self::Static,
    ];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Php => "PHP",
            Self::Ruby => "Ruby",
            Self::Dotnet => ".NET",
            Self::Java => "Java",
            Self::Go => "Go",
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::Node => "Node.js",
            Self::Static => "static files",
        }
    }

    /// The file that tells that a folder is written in it.
    pub(crate) fn evidence(self, folder: &Folder<'_>) -> Option<String> {
        let first = |names: &[&'static str]| folder.first(names).map(str::to_owned);
        match self {
            Self::Php => first(&["composer.json", "artisan", "public/index.php", "index.php"]),
            Self::Ruby => first(&["Gemfile", "config.ru"]),
            Self::Dotnet => [".csproj", ".fsproj", ".vbproj"]
                .iter()
                .find_map(|end| folder.ending(end)),
            Self::Java => first(&["pom.xml", "build.gradle", "build.gradle.kts"]),
            Self::Go => first(&["go.mod", "main.go"]),
            Self::Rust => first(&["Cargo.toml"]),
            Self::Python => first(&[
                "manage.py",
                "pyproject.toml",
                "requirements.txt",
                "Pipfile",
                "setup.py",
                "main.py",
                "app.py",
            ]),
            Self::Node => first(&["package.json", "server.js", "index.js"]),
            Self::Static => first(&["index.html", "public/index.html", "dist/index.html", "site/index.html"]),
        }
    }

    fn recipe(self, folder: &Folder<'_>, settings: &Settings) -> Recipe {
        match self {
            Self::Php => php::recipe(folder, settings),
            Self::Ruby => ruby::recipe(folder, settings),
            Self::Dotnet => dotnet::recipe(folder, settings),
            Self::Java => java::recipe(folder, settings),
            Self::Go => go::recipe(folder, settings),
            Self::Rust => rust::recipe(folder, settings),
            Self::Python => python::recipe(folder, settings),
            Self::Node => node::recipe(folder, settings),
            Self::Static => static_site::recipe(folder),
        }
    }
}

/// Proposes how a folder is run.
///
/// # Errors
/// When nothing tells how it is started.
pub(super) fn propose(
    language: Language,
    folder: &Folder<'_>,
    settings: &Settings,
    evidence: &str,
) -> Result<Proposal, DetectError> {
    let mut recipe = language.recipe(folder, settings);
    if let Some(line) = &settings.commands.start {
        recipe.start = Some(Start::Line(line.clone()));
        recipe.because(format!("start {line:?}: hyperbox.toml says so"));
    } else if let Some(start) = &recipe.start {
        recipe.reasons.push(format!("start: {start}"));
    }
    if let Some(port) = settings.app.port {
        recipe.port = Some(port);
        recipe.because(format!("port {port}: hyperbox.toml says so"));
        for (name, value) in &mut recipe.environment {
            if *name == "PORT" {
                *value = port.to_string();
            }
        }
    } else if let Some(port) = recipe.port {
        recipe.because(format!(
            "port {port}: usual for it; the project's range gives it a port of this machine"
        ));
    }
    let Some(start) = recipe.start.clone() else {
        return Err(DetectError::NoStart {
            folder: folder.path().to_owned(),
            language,
            evidence: evidence.to_owned(),
        });
    };
    Ok(proposal::of_recipe(language, evidence, recipe, &start))
}
