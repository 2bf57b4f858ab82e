// SPDX-License-Identifier: MIT
//! `include`: other projects' files as parts of this one.
//!
//! Each included file is a model of its own: its paths start from its own folder, its variables from its own `.env`. What both define has to be
//! the same.
//!
//! Source: <https://docs.docker.com/reference/compose-file/include/>.

use std::path::{Path, PathBuf};

use super::environment::{self, Environment};
use super::error::{Fault, KeyPath, LoadError};
use super::load::{Document, Loader};
use super::path;
use super::render;
use super::tree::{Map, Node, Value};

const SECTIONS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// Loads what the document includes and merges the document over it.
pub(crate) fn apply(
    loader: &mut Loader<'_>,
    document: &mut Document,
    directory: &Path,
    environment: &Environment,
    stack: &mut Vec<PathBuf>,
) -> Result<(), LoadError> {
    let Some(Node {
        value: Value::List(entries),
        ..
    }) = document.map.remove("include")
    else {
        return Ok(());
    };
    for (index, entry) in entries.iter().enumerate() {
        let key = KeyPath::of(&["include"]).index(index);
        let imported = load_entry(loader, entry, &key, directory, environment, stack)?;
        let merged = import(document, imported);
        loader.placed(merged)?;
    }
    Ok(())
}

fn texts(entry: &Node, key: &str) -> Vec<String> {
    entry
        .get(key)
        .and_then(Node::as_list)
        .unwrap_or_default()
        .iter()
        .filter_map(Node::to_text)
        .collect()
}

fn load_entry(
    loader: &mut Loader<'_>,
    entry: &Node,
    key: &KeyPath,
    directory: &Path,
    environment: &Environment,
    stack: &mut Vec<PathBuf>,
) -> Result<Node, LoadError> {
    let home = environment.home();
    let absolute = |file: &str, from: &Path| PathBuf::from(path::absolute(file, from, home.as_deref()));
    let files: Vec<PathBuf> = texts(entry, "path")
        .iter()
        .map(|file| absolute(file, directory))
        .collect();
    let Some(main) = files.first() else {
        return loader.placed(Err(Fault::said(entry.at, key, "include is missing a path")));
    };
    if path::is_remote_context(&texts(entry, "path")[0]) {
        return loader.placed(Err(Fault::said(
            entry.at,
            key,
            "only files of this machine can be included",
        )));
    }
    if stack.contains(main) {
        let chain: Vec<_> = stack.iter().map(|file| file.display().to_string()).collect();
        let sentence = format!(
            "include cycle detected:\n{}\n include {}",
            chain.join("\n include "),
            main.display()
        );
        return loader.placed(Err(Fault::said(entry.at, key, sentence)));
    }
    let folder = match entry.get("project_directory").and_then(Node::as_text) {
        Some(folder) => absolute(folder, directory),
        None => main.parent().map(Path::to_owned).unwrap_or_default(),
    };
    let mut env_files: Vec<PathBuf> = texts(entry, "env_file")
        .iter()
        .filter(|file| *file != "/dev/null")
        .map(|file| absolute(file, directory))
        .collect();
    if entry.get("env_file").is_none() {
        env_files.push(folder.join(".env"));
        env_files.retain(|file| loader.files.is_file(file));
    }
    let place = |part: &str| entry.get(part).filter(|node| node.at.line > 0).unwrap_or(entry);
    let inner = environment::with_files(environment, &env_files, loader.files);
    let inner = loader.named(place("env_file"), key, inner)?;
    let model = loader.model(&files, &folder, &inner, stack);
    loader.named(place("path"), key, model)
}

/// Adds what was included. What both define has to be the same, or be taken back by the document.
fn import(document: &mut Document, imported: Node) -> Result<(), Fault> {
    let Value::Map(mut imported) = imported.value else {
        return Ok(());
    };
    document.resets.apply(&mut imported);
    for section in SECTIONS {
        let Some(Node {
            value: Value::Map(members),
            at,
            ..
        }) = imported.remove(section)
        else {
            continue;
        };
        let own = document
            .map
            .entry(section.to_owned())
            .or_insert_with(|| Node::new(Value::Map(Map::new()), at));
        let Some(own) = own.as_map_mut() else { continue };
        for (name, member) in members {
            if let Some(known) = own.get(&name)
                && render::shows(known) != render::shows(&member)
            {
                let key = KeyPath::of(&[section, &name]);
                return Err(Fault::said(known.at, &key, "conflicts with imported resource"));
            }
            own.entry(name).or_insert(member);
        }
    }
    Ok(())
}
