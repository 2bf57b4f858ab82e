// SPDX-License-Identifier: MIT
//! What folders are taken for, and that every proposal is a Compose file that loads, with a Dockerfile that parses.
#![expect(clippy::unwrap_used, reason = "functions that tests share")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use hyperbox_dockerfile::Dockerfile;
use hyperbox_project::compose::{Files, Request, load};
use hyperbox_project::detect::{Detection, Kind, detect, explain};
use hyperbox_project::model::{Model, Service};
use hyperbox_project::settings::{Settings, parse};

struct Folder<'a>(&'a [(&'a str, &'a str)]);

impl Folder<'_> {
    fn find(&self, path: &Path) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| Path::new("/p").join(name) == path);
        found.map(|(_, text)| *text)
    }
}

impl Files for Folder<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.find(path)
            .map(str::to_owned)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn is_file(&self, path: &Path) -> bool {
        self.find(path).is_some()
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let below = self.0.iter().filter_map(|(name, _)| {
            let path = Path::new("/p").join(name);
            let first = path.strip_prefix(directory).ok()?.components().next()?;
            Some(first.as_os_str().to_string_lossy().into_owned())
        });
        Ok(below.collect::<BTreeSet<_>>().into_iter().collect())
    }
}

struct Text<'a>(&'a str);

impl Files for Text<'_> {
    fn read(&self, _path: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }

    fn is_file(&self, _path: &Path) -> bool {
        true
    }
}

fn look(files: &[(&str, &str)], settings: &str) -> Result<Detection, String> {
    let settings: Settings = parse(settings, Path::new("/p/hyperbox.toml")).unwrap();
    detect(Path::new("/p"), &Folder(files), &settings).map_err(|error| error.to_string())
}

/// The service that a proposal makes, loaded as any Compose file is.
fn service(compose: &str) -> Service {
    let request = Request {
        files: vec!["/p/compose.yaml".into()],
        directory: "/p".into(),
        name: Some("p".to_owned()),
        env_files: Vec::new(),
        environment: BTreeMap::new(),
        profiles: Vec::new(),
    };
    let project = load(&request, &Text(compose)).unwrap_or_else(|error| panic!("{error}\n{compose}"));
    assert!(project.warnings().is_empty(), "{:?}\n{compose}", project.warnings());
    let model = Model::from_document(project.document()).unwrap();
    let service = model.services["app"].clone();
    if let Some(text) = service
        .build
        .as_ref()
        .and_then(|build| build.dockerfile_inline.as_deref())
    {
        Dockerfile::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
    service
}

/// Files, what they are, the port, and parts of the Dockerfile.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static str,
    Option<u16>,
    &'static [&'static str],
);

const CASES: &[Case] = &[
    (
        &[
            (
                "package.json",
                r#"{"scripts":{"start":"node ."},"engines":{"node":">=20"}}"#,
            ),
            ("package-lock.json", "{}"),
        ],
        "a Node.js project",
        Some(3000),
        &["FROM node:20-slim\n", "npm ci\n", "CMD [\"npm\",\"start\"]"],
    ),
    (
        &[
            (
                "package.json",
                r#"{"scripts":{"dev":"vite","build":"vite build"},"devDependencies":{"vite":"5"}}"#,
            ),
            ("pnpm-lock.yaml", ""),
        ],
        "a Node.js project",
        Some(5173),
        &[
            "pnpm install --frozen-lockfile",
            r#"CMD ["pnpm","run","dev","--host","0.0.0.0"]"#,
        ],
    ),
    (
        &[
            (
                "package.json",
                r#"{"scripts":{"dev":"next dev"},"dependencies":{"next":"15"}}"#,
            ),
            (".nvmrc", "v21.1\n"),
        ],
        "a Node.js project",
        Some(3000),
        &[
            "FROM node:21-slim\n",
            r#"CMD ["npm","run","dev","--","--hostname","0.0.0.0"]"#,
        ],
    ),
    (
        &[("server.js", "")],
        "a Node.js project",
        Some(3000),
        &[r#"CMD ["node","server.js"]"#],
    ),
    (
        &[("package.json", "{}"), ("bun.lock", ""), ("index.js", "")],
        "a Node.js project",
        Some(3000),
        &["FROM oven/bun:1\n", r#"CMD ["bun","index.js"]"#],
    ),
    (
        &[
            ("manage.py", ""),
            ("requirements.txt", "django"),
            (".python-version", "3.12.1\n"),
        ],
        "a Python project",
        Some(8000),
        &[
            "FROM python:3.12-slim\n",
            "pip install -r requirements.txt",
            "\"manage.py\",\"runserver\"",
        ],
    ),
    (
        &[
            (
                "pyproject.toml",
                "[project]\nrequires-python = '>=3.9'\ndependencies = ['fastapi']",
            ),
            ("uv.lock", ""),
            ("app/main.py", ""),
        ],
        "a Python project",
        Some(8000),
        &[
            "FROM python:3.13-slim\n",
            "uv sync --frozen",
            "\"uvicorn\",\"app.main:app\"",
        ],
    ),
    (
        &[("requirements.txt", "Flask==3"), ("app.py", "")],
        "a Python project",
        Some(8000),
        &["\"flask\",\"--app\",\"app\""],
    ),
    (
        &[("main.py", "")],
        "a Python project",
        None,
        &[r#"CMD ["python","main.py"]"#],
    ),
    (
        &[
            ("Cargo.toml", "[package]\nname = 'shop'\n[dependencies]\naxum = '1'"),
            ("rust-toolchain.toml", "[toolchain]\nchannel = '1.90.0'"),
        ],
        "a Rust project",
        Some(8080),
        &[
            "FROM rust:1.90.0-slim-bookworm AS build\n",
            "cargo build --release",
            r#"CMD ["shop"]"#,
        ],
    ),
    (
        &[("Cargo.toml", "[package]\nname = 'x'\n[[bin]]\nname = 'tool'")],
        "a Rust project",
        None,
        &[r#"CMD ["tool"]"#],
    ),
    (
        &[
            ("go.mod", "module m\n\ngo 1.24.2\n"),
            ("cmd/b/main.go", ""),
            ("cmd/a/main.go", ""),
            ("cmd/a/x.go", ""),
        ],
        "a Go project",
        Some(8080),
        &["FROM golang:1.24 AS build\n", "go build -o /out/app ./cmd/a"],
    ),
    (
        &[("pom.xml", "<project>\n<java.version>17</java.version>\n</project>")],
        "a Java project",
        Some(8080),
        &[
            "FROM maven:3-eclipse-temurin-17 AS build\n",
            "FROM eclipse-temurin:17-jre\n",
            "$(ls -S target/*.jar",
        ],
    ),
    (
        &[("build.gradle.kts", "kotlin { jvmToolchain(21) }"), ("gradlew", "")],
        "a Java project",
        Some(8080),
        &["sh ./gradlew --no-daemon assemble"],
    ),
    (
        &[
            ("composer.json", r#"{"require":{"php":"^8.2"}}"#),
            ("public/index.php", ""),
            ("package.json", "{}"),
        ],
        "a PHP project",
        Some(80),
        &["FROM php:8.2-apache\n", "/app/public"],
    ),
    (
        &[
            ("Gemfile", "source 'x'\nruby \"3.3.1\"\ngem 'rails'"),
            ("config/application.rb", ""),
        ],
        "a Ruby project",
        Some(3000),
        &["FROM ruby:3.3\n", "\"rails\",\"server\""],
    ),
    (
        &[("Gemfile", ""), ("config.ru", "")],
        "a Ruby project",
        Some(9292),
        &["\"rackup\""],
    ),
    (
        &[(
            "My App.csproj",
            "<Project Sdk=\"Microsoft.NET.Sdk.Web\"><TargetFramework>net8.0</TargetFramework><AssemblyName>Shop</AssemblyName></Project>",
        )],
        "a .NET project",
        Some(8080),
        &[
            "/sdk:8.0 AS build\n",
            "/aspnet:8.0\n",
            "dotnet publish \"My App.csproj\"",
            r#"CMD ["dotnet","Shop.dll"]"#,
        ],
    ),
    (
        &[("index.html", "")],
        "a static files project",
        Some(80),
        &["FROM nginx:alpine\n"],
    ),
    (
        &[("public/index.html", "")],
        "a static files project",
        Some(80),
        &[" public /usr/share/nginx/html/\n"],
    ),
];

#[test]
fn languages() {
    for (files, kind, port, parts) in CASES {
        let detection = look(files, "").unwrap();
        assert_eq!(detection.findings[0].kind.to_string(), *kind, "{files:?}");
        let proposal = detection.proposal.unwrap();
        let service = service(&proposal.compose);
        let ports: Vec<u16> = service.ports.iter().map(|port| port.target).collect();
        assert_eq!(ports, port.iter().copied().collect::<Vec<_>>(), "{files:?}");
        assert!(service.ports.iter().all(|port| port.published.is_none()));
        let dockerfile = service.build.unwrap().dockerfile_inline.unwrap();
        for part in *parts {
            assert!(dockerfile.contains(part), "{part:?} is not in\n{dockerfile}");
        }
        let rules = service.develop.unwrap().watch;
        assert!(
            !rules.is_empty() && rules.iter().all(|rule| rule.path.starts_with("/p")),
            "{rules:?}"
        );
    }
}

#[test]
fn what_counts_first() {
    let all: &[(&str, &str)] = &[
        ("docker-compose.yml", "services: {a: {image: a}}"),
        ("Dockerfile", "FROM a"),
        (".devcontainer/devcontainer.json", "{\"image\": \"a\"}"),
        ("package.json", "{}"),
        ("index.html", ""),
    ];
    let kinds = |files: &[(&str, &str)]| -> Vec<String> {
        let detection = look(files, "").map_err(|error| panic!("{error}")).unwrap();
        detection
            .findings
            .iter()
            .map(|finding| finding.kind.to_string())
            .collect()
    };
    assert_eq!(
        kinds(all),
        [
            "a Compose project",
            "a Dockerfile",
            "a development container",
            "a Node.js project",
            "a static files project"
        ]
    );
    assert_eq!(kinds(&all[1..])[0], "a Dockerfile");
    assert_eq!(kinds(&all[2..])[0], "a development container");
    assert!(kinds(&[("README.md", "")]).is_empty());
    assert!(look(all, "").unwrap().proposal.is_none());
}

#[test]
fn a_dockerfile_publishes_what_it_exposes() {
    let text = "FROM a AS base\nEXPOSE 80 9/udp\nFROM b AS other\nEXPOSE 1\nFROM base\nEXPOSE 443/tcp $X\n";
    let compose = look(&[("Containerfile", text)], "").unwrap().proposal.unwrap().compose;
    let made = service(&compose);
    let ports: Vec<u16> = made.ports.iter().map(|port| port.target).collect();
    assert_eq!(ports, [80, 443]);
    assert_eq!(made.build.unwrap().dockerfile.as_deref(), Some("Containerfile"));
    let error = look(&[("Dockerfile", "NOSUCH a")], "").unwrap_err();
    assert!(error.starts_with("/p/Dockerfile: "), "{error}");
}

#[test]
fn development_containers() {
    let text = r#"{
        // what it is
        "image": "base", "forwardPorts": [3000, "db:5432"], "features": { "x": {} },
        "containerEnv": { "A": "${containerWorkspaceFolder}/x", "B": "$y" }, "remoteUser": "dev",
    }"#;
    let proposal = look(&[(".devcontainer.json", text)], "").unwrap().proposal.unwrap();
    let made = service(&proposal.compose);
    assert_eq!(made.image.as_deref(), Some("base"));
    assert_eq!(made.working_dir.as_deref(), Some("/workspaces/p"));
    assert_eq!(made.environment["A"].as_deref(), Some("/workspaces/p/x"));
    assert_eq!(made.environment["B"].as_deref(), Some("$y"));
    assert_eq!(made.user.as_deref(), Some("dev"));
    assert_eq!(
        made.ports.iter().map(|port| port.target).collect::<Vec<_>>(),
        [3000, 5432]
    );
    assert_eq!(made.volumes[0].source.as_deref(), Some("/p"));
    assert_eq!(
        proposal.notes,
        [".devcontainer.json: not served in this version: features"]
    );

    let built = r#"{"build": {"dockerfile": "Dockerfile", "context": "..", "args": {"V": "1"}}}"#;
    let proposal = look(&[(".devcontainer/devcontainer.json", built)], "")
        .unwrap()
        .proposal
        .unwrap();
    let build = service(&proposal.compose).build.unwrap();
    assert_eq!(
        (build.context.as_str(), build.dockerfile.as_deref()),
        ("/p", Some(".devcontainer/Dockerfile"))
    );

    let compose = r#"{"dockerComposeFile": ["../a.yml", "b.yml"], "service": "x"}"#;
    let detection = look(&[(".devcontainer/devcontainer.json", compose)], "").unwrap();
    let Kind::Compose(found) = &detection.findings[0].kind else {
        panic!("{detection:?}");
    };
    assert_eq!(
        found.files,
        [Path::new("/p/a.yml"), Path::new("/p/.devcontainer/b.yml")]
    );
    assert!(look(&[(".devcontainer.json", "{}")], "").is_err());
    assert!(look(&[(".devcontainer.json", "{")], "").is_err());
}

#[test]
fn settings_decide() {
    let files: &[(&str, &str)] = &[
        ("Dockerfile", "FROM a"),
        ("package.json", "{}"),
        ("go.mod", ""),
        ("main.go", ""),
    ];
    let detection = look(
        files,
        "[app]\nlanguage = 'go'\nversion = '1.20'\nport = 99\n[commands]\nstart = 'app -p $PORT'",
    )
    .unwrap();
    let compose = detection.proposal.unwrap().compose;
    let made = service(&compose);
    let dockerfile = made.build.unwrap().dockerfile_inline.unwrap();
    assert!(dockerfile.contains("FROM golang:1.20 AS build\n"), "{dockerfile}");
    assert!(dockerfile.ends_with("CMD app -p $PORT\n"), "{dockerfile}");
    assert_eq!(made.ports[0].target, 99);
    assert_eq!(made.environment["PORT"].as_deref(), Some("99"));
    assert_eq!(
        look(&[("package.json", "{}")], "").unwrap_err(),
        "/p: Node.js found by package.json, but nothing tells how it is started"
    );
    assert_eq!(
        look(&[("package.json", "{}")], "[app]\nlanguage = 'ruby'").unwrap_err(),
        "/p: nothing there is written in Ruby"
    );
}

#[test]
fn explanations() {
    let files: &[(&str, &str)] = &[("Dockerfile", "FROM a\nEXPOSE 80"), ("index.html", "")];
    let text = explain(Path::new("/p"), &look(files, "").unwrap());
    let expected = "Folder: /p\nIt is: a Dockerfile, by Dockerfile\n\
        Also found, and passed over: a static files project, by index.html\n\
        Why it is run like that:\n  - image: built of Dockerfile\n  - ports 80: Dockerfile exposes them\n\n\
        Proposed compose.yaml (`hb project open --write` writes it):\n\n\
        # Proposed by HyperBox: Dockerfile\nservices:\n  app:\n    build:\n      context: .\n    ports:\n      - \"80\"\n    \
        develop:\n      watch:\n        - action: rebuild\n          path: .\n          ignore: [\".git/\"]\n";
    assert_eq!(text, expected);
    assert!(explain(Path::new("/p"), &look(&[], "").unwrap()).contains("Nothing was found"));
}
