// SPDX-License-Identifier: MIT
//! From a folder, or from files, to a resolved project.
//!
//! Which files: `--file`, then `COMPOSE_FILE` (of the environment or of `.env`), then those of the folder or of the nearest one above it, then
//! what the folder itself shows (`hyperbox_project::detect`). The name: `--project-name`, `COMPOSE_PROJECT_NAME`, `hyperbox.toml`, the files, the
//! folder. Pure but for reading files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hyperbox_project::compose::{self, Files, Request, clean_path, load};
use hyperbox_project::create::FileKind;
use hyperbox_project::detect::{DetectError, Detection, detect, detect_first};
use hyperbox_project::model::Model;
use hyperbox_project::settings::{self, Settings};
use hyperbox_types::project::ProjectLimits;
use serde_json::Value;

use super::limits;
use super::options::ProjectOptions;
use super::overlay::Overlay;
use crate::error::CliError;

/// What a project is opened in.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    /// The current folder, absolute.
    pub(crate) directory: PathBuf,
    /// The environment.
    pub(crate) variables: BTreeMap<String, String>,
}

/// A resolved project.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) name: String,
    /// The project's folder.
    pub(crate) directory: PathBuf,
    /// The files that were read; none when all of it is proposed.
    pub(crate) files: Vec<PathBuf>,
    /// As `docker compose config --format json` shows it, with what `hyperbox.toml` adds.
    pub(crate) document: Value,
    /// The same, as types.
    pub(crate) model: Model,
    pub(crate) limits: ProjectLimits,
    /// Contents of secrets and configs that are variables, as far as those are set.
    pub(crate) contents: BTreeMap<String, String>,
    /// What is wrong with the first one that is not set; only who makes containers has to know.
    pub(crate) unset: Option<String>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
    /// How the folder was found out, when nobody named files.
    pub(crate) detection: Option<Detection>,
}

/// Where a project is described.
struct Found {
    files: Vec<PathBuf>,
    directory: PathBuf,
    settings: Settings,
    detection: Option<Detection>,
}

/// How a folder is looked at.
type Look = fn(&Path, &dyn Files, &Settings) -> Result<Detection, DetectError>;

/// Opens a project.
pub(crate) fn open(options: &ProjectOptions, world: &World, files: &dyn Files) -> Result<Opened, CliError> {
    open_by(detect_first, options, world, files)
}

/// Opens a project and finds out all that its folder could be.
pub(crate) fn open_and_explain(options: &ProjectOptions, world: &World, files: &dyn Files) -> Result<Opened, CliError> {
    open_by(detect, options, world, files)
}

fn open_by(look: Look, options: &ProjectOptions, world: &World, files: &dyn Files) -> Result<Opened, CliError> {
    let found = find(look, options, world, files)?;
    let proposal = found
        .detection
        .as_ref()
        .and_then(|detection| detection.proposal.clone());
    let Some(proposal) = proposal else {
        return resolve(options, world, found, files);
    };
    let path = found.directory.join("compose.yaml");
    let overlay = Overlay {
        files,
        path: path.clone(),
        text: &proposal.compose,
    };
    let found = Found {
        files: vec![path],
        ..found
    };
    let mut opened = resolve(options, world, found, &overlay)?;
    opened.files.clear();
    opened.warnings.extend(proposal.notes);
    Ok(opened)
}

/// Tells a project's name: the one that was asked for needs no files.
pub(crate) fn open_name(options: &ProjectOptions, world: &World, files: &dyn Files) -> Result<String, CliError> {
    match &options.project_name {
        Some(name) if options.file.is_empty() => Ok(name.clone()),
        _ => open(options, world, files).map(|opened| opened.name),
    }
}

fn resolve(options: &ProjectOptions, world: &World, found: Found, files: &dyn Files) -> Result<Opened, CliError> {
    let env_files = env_files(options, world, &found.directory, files);
    let named = options.project_name.clone();
    let from_settings = || {
        let said = world
            .variables
            .get("COMPOSE_PROJECT_NAME")
            .is_some_and(|name| !name.is_empty());
        if said { None } else { found.settings.name.clone() }
    };
    let request = Request {
        files: found.files.clone(),
        directory: found.directory.clone(),
        name: named.or_else(from_settings),
        env_files: env_files.clone(),
        environment: world.variables.clone(),
        profiles: options.profile.clone(),
    };
    let failed = |error: compose::LoadError| CliError::from_error(&error);
    let project = load(&request, files).map_err(failed)?;
    let mut document = project.document().clone();
    settings::apply(&found.settings, &found.directory, &mut document).map_err(|error| CliError::from_error(&error))?;
    let model = Model::from_document(&document)
        .map_err(|error| CliError::new(format!("the project cannot be understood: {error}")))?;
    let variables = compose::variables_of_files(&world.variables, &env_files, files).map_err(failed)?;
    Ok(Opened {
        name: project.name().to_owned(),
        unset: unset(&model, &variables),
        contents: contents(&model, &variables),
        limits: limits::of_settings(&found.settings.limits),
        directory: found.directory,
        files: found.files,
        warnings: project.warnings().to_vec(),
        document,
        model,
        detection: found.detection,
    })
}

fn find(look: Look, options: &ProjectOptions, world: &World, files: &dyn Files) -> Result<Found, CliError> {
    let absolute = |path: &Path| clean_path(&path.to_string_lossy(), &world.directory);
    let base = options
        .project_directory
        .as_deref()
        .map_or_else(|| world.directory.clone(), absolute);
    let named = if options.file.is_empty() {
        named_by_variable(options, world, &base, files)?
    } else {
        options.file.clone()
    };
    if let Some(first) = named.first() {
        let paths: Vec<PathBuf> = named.iter().map(|path| absolute(path)).collect();
        let beside = absolute(first).parent().map(Path::to_owned).unwrap_or_default();
        let directory = options.project_directory.as_deref().map_or(beside, absolute);
        return Ok(Found {
            settings: settings_of(&directory, files)?,
            files: paths,
            directory,
            detection: None,
        });
    }
    let settings = settings_of(&base, files)?;
    let detection = look(&base, files, &settings).map_err(|error| undetected(&error))?;
    if let Some(compose) = detection.compose() {
        let directory = options
            .project_directory
            .as_deref()
            .map_or(compose.directory.clone(), absolute);
        let settings = if directory == base {
            settings
        } else {
            settings_of(&directory, files)?
        };
        return Ok(Found {
            files: compose.files.clone(),
            directory,
            settings,
            detection: Some(detection),
        });
    }
    if detection.proposal.is_none() {
        return Err(CliError::new(format!(
            "{}: no Compose file, Dockerfile, devcontainer.json or known language, here or (Compose files) in a folder above",
            base.display()
        ))
        .with_hint("name the file with -f, or go to the project's folder; `hb project list` shows projects that are open"));
    }
    Ok(Found {
        files: Vec::new(),
        directory: base,
        settings,
        detection: Some(detection),
    })
}

fn undetected(error: &DetectError) -> CliError {
    let failure = CliError::from_error(error);
    match error {
        DetectError::NoStart { .. } => failure.with_hint(
            "say it in hyperbox.toml, under [commands]: start = \"…\"; or write a Dockerfile or compose.yaml",
        ),
        _ => failure,
    }
}

/// The files that `COMPOSE_FILE` names.
fn named_by_variable(
    options: &ProjectOptions,
    world: &World,
    base: &Path,
    files: &dyn Files,
) -> Result<Vec<PathBuf>, CliError> {
    let env_files = env_files(options, world, base, files);
    let variables = compose::variables_of_files(&world.variables, &env_files, files)
        .map_err(|error| CliError::from_error(&error))?;
    let separator = match variables.get("COMPOSE_PATH_SEPARATOR") {
        Some(separator) if !separator.is_empty() => separator.as_str(),
        _ if cfg!(windows) => ";",
        _ => ":",
    };
    let named = variables.get("COMPOSE_FILE").map(String::as_str).unwrap_or_default();
    let named = named.split(separator).filter(|name| !name.is_empty());
    Ok(named.map(|name| clean_path(name, base)).collect())
}

/// The files of variables: those that were named, those of `COMPOSE_ENV_FILES`, or `.env`.
fn env_files(options: &ProjectOptions, world: &World, directory: &Path, files: &dyn Files) -> Vec<PathBuf> {
    let named: Vec<PathBuf> = match world.variables.get("COMPOSE_ENV_FILES") {
        _ if !options.env_file.is_empty() => options.env_file.clone(),
        Some(list) => list
            .split(',')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .collect(),
        None => Vec::new(),
    };
    if named.is_empty() {
        let usual = directory.join(".env");
        return if files.is_file(&usual) { vec![usual] } else { Vec::new() };
    }
    let named = named
        .iter()
        .map(|path| clean_path(&path.to_string_lossy(), &world.directory));
    named.collect()
}

/// What `hyperbox.toml` of a folder says.
fn settings_of(directory: &Path, files: &dyn Files) -> Result<Settings, CliError> {
    let path = directory.join(settings::FILE_NAME);
    if !files.is_file(&path) {
        return Ok(Settings::default());
    }
    let text = files
        .read(&path)
        .map_err(|error| CliError::new(format!("{}: {error}", path.display())))?;
    settings::parse(&text, &path).map_err(|error| CliError::from_error(&error))
}

/// Secrets and configs that are variables: what each is called, and its variable.
fn of_variables(model: &Model) -> impl Iterator<Item = (String, &str)> {
    let secrets = model.secrets.iter().map(|object| (FileKind::Secret, object));
    let configs = model.configs.iter().map(|object| (FileKind::Config, object));
    secrets
        .chain(configs)
        .filter_map(|(kind, (name, object))| Some((kind.key(name), object.environment.as_deref()?)))
}

/// Their contents.
fn contents(model: &Model, variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    of_variables(model)
        .filter_map(|(name, variable)| Some((name, variables.get(variable)?.clone())))
        .collect()
}

/// Says which variable is missing first.
fn unset(model: &Model, variables: &BTreeMap<String, String>) -> Option<String> {
    of_variables(model)
        .find(|(_, variable)| !variables.contains_key(*variable))
        .map(|(name, variable)| format!("{name}: the variable {variable} of the environment is not set"))
}

#[cfg(test)]
#[path = "opening/tests.rs"]
mod tests;
