// SPDX-License-Identifier: MIT
//! From the names of files to one resolved project.
//!
//! ```text
//! text ─yaml─▶ documents ─reset, interpolate, conform─▶ long form ─include, extends─▶ ─merge─▶ one tree
//!      ─complete, check, resolve, normalize─▶ ─profiles, env_file─▶ ─render─▶ Project
//! ```
//! Every step is a function of trees; only this module reads files, by [`Files`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::check;
use super::complete::complete_object;
use super::conform::conform;
use super::environment::{self, Environment};
use super::error::{Fault, KeyPath, LoadError};
use super::extends::Extender;
use super::files::Files;
use super::include;
use super::interpolate::interpolate;
use super::merge::{merge_objects, unique};
use super::name;
use super::normalize;
use super::profiles;
use super::render;
use super::reset::Resets;
use super::resolve;
use super::schema::FILE;
use super::shape::Shape;
use super::tree::{At, Directive, Map, Node, Value};
use super::{Project, yaml};

/// What to load.
#[derive(Debug, Clone)]
pub struct Request {
    /// The Compose files, later ones over earlier ones. At least one.
    pub files: Vec<PathBuf>,
    /// The project's folder: what relative paths start from. Absolute.
    pub directory: PathBuf,
    /// The project's name, when it is not left to the files or the folder.
    pub name: Option<String>,
    /// Files of variables; those of [`Request::environment`] come first.
    pub env_files: Vec<PathBuf>,
    /// Variables of the surroundings.
    pub environment: BTreeMap<String, String>,
    /// Profiles that are active; `*` is all.
    pub profiles: Vec<String>,
}

/// Loads a project.
///
/// # Errors
/// The first thing that is wrong, with the place where it was written.
pub fn load(request: &Request, files: &dyn Files) -> Result<Project, LoadError> {
    let mut loader = Loader {
        files,
        sources: Sources::default(),
        warnings: Vec::new(),
        parsed: BTreeMap::new(),
    };
    let mut environment = environment::surroundings(request, files)?;
    let name = loader.project_name(request, &environment)?;
    environment.set("COMPOSE_PROJECT_NAME", &name);

    let mut model = loader.model(&request.files, &request.directory, &environment, &mut Vec::new())?;
    if model.as_map().is_none_or(Map::is_empty) {
        let named: Vec<_> = request.files.iter().map(|file| file.display().to_string()).collect();
        return Err(LoadError::Empty(named.join(", ")));
    }
    if let Some(map) = model.as_map_mut() {
        map.insert("name".to_owned(), Node::text(&name, At::default()));
    }
    normalize::normalize(&mut model, &name, &environment);
    // What was implied has defaults, too.
    loader.placed(complete_object(&mut model, &FILE, &KeyPath::default()))?;
    let active = profiles::active(&request.profiles, &environment);
    let disabled = profiles::disable(&mut model, &active);
    loader.placed(check::consistent(&model, &disabled))?;
    environment::read_files(&mut model, &environment, files, &loader.sources)?;
    normalize::drop_unused(&mut model);
    Ok(Project::new(name, render::render(&model), loader.warnings, disabled))
}

/// The files read so far; a place names one by its number.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<PathBuf>);

impl Sources {
    fn add(&mut self, path: &Path) -> u16 {
        if let Some(known) = self.0.iter().position(|source| source == path) {
            return u16::try_from(known).unwrap_or(u16::MAX);
        }
        self.0.push(path.to_owned());
        u16::try_from(self.0.len() - 1).unwrap_or(u16::MAX)
    }

    /// Puts the name of the file to a fault.
    pub(crate) fn place(&self, fault: Fault) -> LoadError {
        LoadError::Content {
            path: self.0.get(usize::from(fault.at.source)).cloned().unwrap_or_default(),
            line: fault.at.line,
            column: fault.at.column,
            key: fault.key,
            reason: fault.reason,
        }
    }
}

/// A document in its long form, and what it takes back of earlier ones.
pub(crate) struct Document {
    pub(crate) map: Map,
    pub(crate) resets: Resets,
}

pub(crate) struct Loader<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) sources: Sources,
    pub(crate) warnings: Vec<String>,
    /// Files that were read for the project's name, until they are loaded.
    parsed: BTreeMap<PathBuf, Vec<Node>>,
}

impl Loader<'_> {
    /// Puts the name of the file to a fault.
    pub(crate) fn placed<T>(&self, result: Result<T, Fault>) -> Result<T, LoadError> {
        result.map_err(|fault| self.sources.place(fault))
    }

    /// Puts the place where a file is named to the error that it cannot be read.
    pub(crate) fn named<T>(&self, name: &Node, key: &KeyPath, result: Result<T, LoadError>) -> Result<T, LoadError> {
        result.map_err(|error| match error {
            LoadError::File { path, reason } if !self.files.is_file(&path) => {
                let sentence = format!("cannot read {}: {reason}", path.display());
                self.sources.place(Fault::said(name.at, key, sentence))
            }
            other => other,
        })
    }

    pub(crate) fn read(&self, path: &Path) -> Result<String, LoadError> {
        self.files.read(path).map_err(|error| LoadError::File {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    /// Reads several files over one another; `stack` holds the files that are being included.
    pub(crate) fn model(
        &mut self,
        paths: &[PathBuf],
        directory: &Path,
        environment: &Environment,
        stack: &mut Vec<PathBuf>,
    ) -> Result<Node, LoadError> {
        let mut merged = Map::new();
        for path in paths {
            stack.push(path.clone());
            for document in self.documents(path, environment)? {
                merged = self.add_document(merged, document, path, directory, environment, stack)?;
            }
            stack.pop();
        }
        let mut model = Node::new(Value::Map(merged), At::default());
        self.placed(complete_object(&mut model, &FILE, &KeyPath::default()))?;
        self.placed(check::objects(&model))?;
        normalize::build_defaults(&mut model);
        resolve::resolve(&mut model, directory, environment.home().as_deref());
        Ok(model)
    }

    /// Reads a file into documents in their long form, none of them merged yet.
    pub(crate) fn documents(&mut self, path: &Path, environment: &Environment) -> Result<Vec<Document>, LoadError> {
        self.raw_documents(path, environment)?
            .into_iter()
            .map(|(node, resets)| {
                static SHAPE: Shape = Shape::Object(&FILE);
                let node = self.placed(conform(node, &SHAPE, &KeyPath::default()))?;
                let map = match node.value {
                    Value::Map(map) => map,
                    _ => Map::new(),
                };
                Ok(Document { map, resets })
            })
            .collect()
    }

    /// Reads a file into documents whose variables are replaced, held against nothing yet.
    pub(crate) fn raw_documents(
        &mut self,
        path: &Path,
        environment: &Environment,
    ) -> Result<Vec<(Node, Resets)>, LoadError> {
        let nodes = match self.parsed.remove(path) {
            Some(nodes) => nodes,
            None => self.parse(path)?,
        };
        let mut documents = Vec::new();
        for mut node in nodes {
            if node.is_null() {
                continue;
            }
            let mut missing = Vec::new();
            let resets = Resets::take(&mut node);
            let replaced = interpolate(&mut node, environment, &KeyPath::default(), &mut missing);
            self.placed(replaced)?;
            for name in missing {
                self.warn(format!(
                    "The {name:?} variable is not set. Defaulting to a blank string."
                ));
            }
            documents.push((node, resets));
        }
        Ok(documents)
    }

    fn parse(&mut self, path: &Path) -> Result<Vec<Node>, LoadError> {
        let text = self.read(path)?;
        let source = self.sources.add(path);
        self.placed(yaml::parse(&text, source))
    }

    /// The name that a file says. What is wrong with it is said when it is loaded.
    fn name_in(&mut self, path: &Path, environment: &Environment) -> Option<(String, At)> {
        let nodes = self.parse(path).ok()?;
        let mut said = None;
        for node in &nodes {
            let Some(mut name) = node.get("name").cloned() else {
                continue;
            };
            // An empty name says nothing; one that becomes so is wrong.
            if name.directive == Some(Directive::Reset) || name.as_text() == Some("") {
                continue;
            }
            if interpolate(&mut name, environment, &KeyPath::of(&["name"]), &mut Vec::new()).is_ok() {
                said = name.as_text().map(|text| (text.to_owned(), name.at)).or(said);
            }
        }
        self.parsed.insert(path.to_owned(), nodes);
        said
    }

    fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn add_document(
        &mut self,
        mut merged: Map,
        mut document: Document,
        path: &Path,
        directory: &Path,
        environment: &Environment,
        stack: &mut Vec<PathBuf>,
    ) -> Result<Map, LoadError> {
        if document.map.remove("version").is_some() {
            self.warn(format!(
                "{}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion",
                path.display()
            ));
        }
        include::apply(self, &mut document, directory, environment, stack)?;
        document.resets.apply(&mut merged);
        Extender::new(self, environment).apply(&mut document, path, directory)?;
        let mut node = Node::new(Value::Map(merge_objects(merged, document.map, &FILE)), At::default());
        static SHAPE: Shape = Shape::Object(&FILE);
        unique(&mut node, &SHAPE);
        match node.value {
            Value::Map(map) => Ok(map),
            _ => Ok(Map::new()),
        }
    }

    /// The name: asked for, of the surroundings, of the files, or of the folder.
    fn project_name(&mut self, request: &Request, environment: &Environment) -> Result<String, LoadError> {
        if let Some(name) = &request.name {
            return name::checked(name).map_err(|reason| LoadError::File {
                path: request.directory.clone(),
                reason,
            });
        }
        if let Some(name) = environment
            .value("COMPOSE_PROJECT_NAME")
            .filter(|name| !name.is_empty())
        {
            return name::checked(&name).map_err(|reason| LoadError::File {
                path: request.directory.clone(),
                reason,
            });
        }
        let mut said = None;
        for file in &request.files {
            said = self.name_in(file, environment).or(said);
        }
        let nothing = "project name must not be empty";
        if let Some((said, at)) = said {
            let fault = || Fault::said(at, &KeyPath::of(&["name"]), nothing);
            let name = Some(name::normalized(&said)).filter(|name| !name.is_empty());
            return name.ok_or_else(|| self.sources.place(fault()));
        }
        let folder = request.directory.file_name().map(|name| name.to_string_lossy());
        let name = folder.map(|name| name::normalized(&name));
        name.filter(|name| !name.is_empty()).ok_or_else(|| LoadError::File {
            path: request.directory.clone(),
            reason: format!("{nothing}: the folder's has nothing that one may hold, so name it in the file"),
        })
    }
}
