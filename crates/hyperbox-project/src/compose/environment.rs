// SPDX-License-Identifier: MIT
//! Variables: of the surroundings, of `.env`, and of the files that services name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::dotenv;
use super::error::{Fault, KeyPath, LoadError};
use super::files::Files;
use super::load::{Request, Sources};
use super::template::Variables;
use super::tree::{Map, Node, Value};

/// Variables for expressions and for what services take over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The user's home, for `~`.
    pub(crate) fn home(&self) -> Option<String> {
        self.value("HOME").or_else(|| self.value("USERPROFILE"))
    }
}

impl Variables for Environment {
    fn get(&self, name: &str) -> Option<String> {
        self.value(name)
    }
}

/// The request's variables, completed by those of its files.
pub(crate) fn surroundings(request: &Request, files: &dyn Files) -> Result<Environment, LoadError> {
    with_files(&Environment(request.environment.clone()), &request.env_files, files)
}

/// Variables, completed by those of files: what a project's expressions see.
///
/// # Errors
/// A file that cannot be read, or is none of variables.
pub fn of_files(
    variables: &BTreeMap<String, String>,
    paths: &[PathBuf],
    files: &dyn Files,
) -> Result<BTreeMap<String, String>, LoadError> {
    with_files(&Environment(variables.clone()), paths, files).map(|all| all.0)
}

/// Adds variables of files where there are none of that name; of several files the last one counts.
pub(crate) fn with_files(
    environment: &Environment,
    paths: &[PathBuf],
    files: &dyn Files,
) -> Result<Environment, LoadError> {
    let mut found = BTreeMap::new();
    for path in paths {
        found = read(path, "", environment, found, files)?;
    }
    let mut all = environment.clone();
    for (name, value) in found {
        all.0.entry(name).or_insert(value);
    }
    Ok(all)
}

/// Two sources of variables, the first of which counts.
struct Layers<'a> {
    first: &'a dyn Variables,
    second: &'a BTreeMap<String, String>,
}

impl Variables for Layers<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.first.get(name).or_else(|| self.second.get(name).cloned())
    }
}

/// Adds the variables of a file to those of earlier files.
fn read(
    path: &Path,
    format: &str,
    variables: &dyn Variables,
    earlier: BTreeMap<String, String>,
    files: &dyn Files,
) -> Result<BTreeMap<String, String>, LoadError> {
    let text = files.read(path).map_err(|error| failed(path, error.to_string()))?;
    parse(path, &text, format, variables, earlier)
}

fn failed(path: &Path, reason: String) -> LoadError {
    LoadError::File {
        path: path.to_owned(),
        reason,
    }
}

fn parse(
    path: &Path,
    text: &str,
    format: &str,
    variables: &dyn Variables,
    mut earlier: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, LoadError> {
    match format {
        "raw" => {
            earlier.extend(dotenv::parse_raw(text, variables));
            Ok(earlier)
        }
        "" => dotenv::parse(text, variables, earlier).map_err(|error| failed(path, error.to_string())),
        other => Err(failed(path, format!("unsupported env_file format {other:?}"))),
    }
}

/// Reads files that a document names; one that cannot be read is told with the place of its name.
struct NamedFiles<'a> {
    files: &'a dyn Files,
    sources: &'a Sources,
    key: KeyPath,
}

impl NamedFiles<'_> {
    fn read(&self, index: usize, name: &Node) -> Result<(PathBuf, String), LoadError> {
        let path = PathBuf::from(name.as_text().unwrap_or_default());
        let text = self.files.read(&path).map_err(|error| {
            let sentence = format!("cannot read {}: {error}", path.display());
            self.sources
                .place(Fault::said(name.at, &self.key.index(index), sentence))
        })?;
        Ok((path, text))
    }
}

/// Reads the files that services name into their environments and labels, and takes the names away.
pub(crate) fn read_files(
    model: &mut Node,
    environment: &Environment,
    files: &dyn Files,
    sources: &Sources,
) -> Result<(), LoadError> {
    let services = model
        .as_map_mut()
        .and_then(|map| map.get_mut("services"))
        .and_then(Node::as_map_mut);
    for (name, service) in services.into_iter().flat_map(Map::iter_mut) {
        let at = service.at;
        let named = |key: &str| NamedFiles {
            files,
            sources,
            key: KeyPath::of(&["services", name, key]),
        };
        let Some(service) = service.as_map_mut() else { continue };
        if let Some(list) = service.remove("env_file") {
            let own = strings(service.get("environment"));
            let found = environment_of(&list, &own, environment, &named("env_file"))?;
            add_missing(service, "environment", found, at);
        }
        if let Some(list) = service.remove("label_file") {
            let mut found = BTreeMap::new();
            for (index, name) in list.as_list().unwrap_or_default().iter().enumerate() {
                let (path, text) = named("label_file").read(index, name)?;
                found = parse(&path, &text, "", &Environment::default(), found)?;
            }
            add_missing(service, "labels", found, at);
        }
    }
    Ok(())
}

fn environment_of(
    list: &Node,
    own: &BTreeMap<String, String>,
    environment: &Environment,
    files: &NamedFiles<'_>,
) -> Result<BTreeMap<String, String>, LoadError> {
    let mut found = BTreeMap::new();
    for (index, entry) in list.as_list().unwrap_or_default().iter().enumerate() {
        let text = |key: &str| entry.get(key).and_then(Node::as_text).unwrap_or_default();
        let path = Path::new(text("path"));
        let required = entry
            .get("required")
            .is_none_or(|node| node.value != Value::Boolean(false));
        if !required && !files.files.is_file(path) {
            continue;
        }
        let seen = Layers {
            first: environment,
            second: own,
        };
        if let Some(format) = entry.get("format").filter(|_| !matches!(text("format"), "" | "raw")) {
            let sentence = format!("unsupported env_file format {:?}", text("format"));
            let fault = Fault::said(format.at, &files.key.index(index), sentence);
            return Err(files.sources.place(fault));
        }
        let (path, content) = files.read(index, entry.get("path").unwrap_or(entry))?;
        found = parse(&path, &content, text("format"), &seen, found)?;
    }
    Ok(found)
}

fn strings(map: Option<&Node>) -> BTreeMap<String, String> {
    map.and_then(Node::as_map)
        .into_iter()
        .flatten()
        .filter_map(|(key, node)| Some((key.clone(), node.as_text()?.to_owned())))
        .collect()
}

/// Adds values under names that have none.
fn add_missing(service: &mut Map, key: &str, found: BTreeMap<String, String>, at: super::tree::At) {
    if found.is_empty() {
        return;
    }
    let entry = service
        .entry(key.to_owned())
        .or_insert_with(|| Node::new(Value::Map(Map::new()), at));
    if let Some(map) = entry.as_map_mut() {
        for (name, value) in found {
            map.entry(name).or_insert_with(|| Node::text(value, at));
        }
    }
}
