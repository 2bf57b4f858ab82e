// SPDX-License-Identifier: MIT
//! Python: web frameworks by their names, scripts otherwise.

use super::folder::{Folder, version};
use super::recipe::{Recipe, Start, chosen_version, step};
use crate::settings::Settings;

const IGNORED: &[&str] = &["__pycache__/", "**/__pycache__/", ".venv/", "venv/", ".git/", "*.pyc"];

/// Files that may hold the application, and what Python calls them.
const MODULES: &[(&str, &str)] = &[
    ("main.py", "main"),
    ("app.py", "app"),
    ("app/main.py", "app.main"),
    ("src/main.py", "src.main"),
    ("wsgi.py", "wsgi"),
    ("server.py", "server"),
];

pub(crate) fn recipe(folder: &Folder<'_>, settings: &Settings) -> Recipe {
    let mut recipe = Recipe::default();
    let version = chosen_version(&mut recipe, settings, told_version(folder), "3.13");
    recipe.line(format!("FROM python:{version}-slim"));
    recipe.say(&["ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1", "WORKDIR /app"]);
    let install = install(&mut recipe, folder);
    if let Some(line) = &settings.commands.install {
        recipe.say(&["COPY --exclude=.venv --exclude=.git . ."]);
        recipe.line(format!("RUN {line}"));
    } else {
        recipe.lines.extend(install);
        recipe.say(&["COPY --exclude=.venv --exclude=.git . ."]);
    }
    recipe.lines.extend(step(settings.commands.build.as_deref(), None));
    recipe.rebuild_on(
        folder,
        &[
            "requirements.txt",
            "pyproject.toml",
            "uv.lock",
            "poetry.lock",
            "Pipfile.lock",
        ],
    );
    if start(&mut recipe, folder) {
        recipe.sync(IGNORED);
    } else {
        recipe.sync_and_restart(IGNORED);
    }
    recipe
}

fn told_version(folder: &Folder<'_>) -> Option<(String, &'static str)> {
    if let Some(line) = folder.line(".python-version") {
        return Some((version(&line, 2)?, ".python-version"));
    }
    let project = folder.toml("pyproject.toml");
    let said = project.get("project")?.get("requires-python")?.as_str()?;
    // "at least" is no reason for the oldest one; only a version that is named exactly counts.
    let exact = said.starts_with("==") || said.starts_with("~=");
    exact.then(|| Some((version(said, 2)?, "pyproject.toml"))).flatten()
}

/// The instructions that install dependencies.
fn install(recipe: &mut Recipe, folder: &Folder<'_>) -> Vec<String> {
    let cache = "RUN --mount=type=cache,target=/root/.cache";
    let (reason, lines): (&str, Vec<String>) = if folder.has("uv.lock") {
        recipe.say(&["ENV UV_PROJECT_ENVIRONMENT=/usr/local UV_LINK_MODE=copy"]);
        (
            "uv.lock",
            vec![
                "COPY pyproject.toml uv.lock ./".to_owned(),
                format!("{cache} pip install uv && uv sync --frozen --no-install-project"),
            ],
        )
    } else if folder.has("poetry.lock") {
        (
            "poetry.lock",
            vec![
                "COPY pyproject.toml poetry.lock ./".to_owned(),
                format!(
                    "{cache} pip install poetry && poetry config virtualenvs.create false && poetry install --no-root"
                ),
            ],
        )
    } else if folder.has("requirements.txt") {
        (
            "requirements.txt",
            vec![
                "COPY requirements*.txt ./".to_owned(),
                format!("{cache} pip install -r requirements.txt"),
            ],
        )
    } else if folder.has("Pipfile") {
        (
            "Pipfile",
            vec![
                "COPY Pipfile* ./".to_owned(),
                format!("{cache} pip install pipenv && pipenv install --system"),
            ],
        )
    } else if folder.has("pyproject.toml") || folder.has("setup.py") {
        (
            "the project itself",
            vec![
                "COPY --exclude=.venv --exclude=.git . .".to_owned(),
                format!("{cache} pip install -e ."),
            ],
        )
    } else {
        return Vec::new();
    };
    recipe.because(format!("dependencies by {reason}"));
    lines
}

/// Decides what is started; tells whether it sees changes by itself.
fn start(recipe: &mut Recipe, folder: &Folder<'_>) -> bool {
    if folder.has("manage.py") {
        recipe.because("Django: manage.py");
        recipe.port = Some(8000);
        recipe.start = Some(Start::words(&["python", "manage.py", "runserver", "0.0.0.0:8000"]));
        return true;
    }
    let wanted = ["requirements.txt", "pyproject.toml", "Pipfile"]
        .iter()
        .filter_map(|name| folder.text(name))
        .collect::<String>()
        .to_lowercase();
    let module = MODULES.iter().find(|(file, _)| folder.has(file));
    match module {
        Some((file, module)) if wanted.contains("fastapi") || wanted.contains("uvicorn") => {
            recipe.because(format!("FastAPI or Uvicorn, with the application in {file}"));
            recipe.port = Some(8000);
            let application = format!("{module}:app");
            recipe.start = Some(Start::words(&[
                "uvicorn",
                &application,
                "--host",
                "0.0.0.0",
                "--port",
                "8000",
                "--reload",
            ]));
            true
        }
        Some((file, module)) if wanted.contains("flask") => {
            recipe.because(format!("Flask, with the application in {file}"));
            recipe.port = Some(8000);
            recipe.start = Some(Start::words(&[
                "flask", "--app", module, "run", "--host", "0.0.0.0", "--port", "8000", "--reload",
            ]));
            true
        }
        Some((file, _)) if wanted.contains("streamlit") => {
            recipe.because(format!("Streamlit, with the application in {file}"));
            recipe.port = Some(8501);
            recipe.start = Some(Start::words(&["streamlit", "run", file, "--server.address", "0.0.0.0"]));
            true
        }
        Some((file, _)) => {
            recipe.start = Some(Start::words(&["python", file]));
            false
        }
        None => false,
    }
}
