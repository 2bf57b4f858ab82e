// SPDX-License-Identifier: MIT
//! `extends`: a service that starts from another one, of this file or of another.
//!
//! Source: <https://docs.docker.com/reference/compose-file/services/#extends>.

use std::path::{Path, PathBuf};

use super::conform::conform;
use super::environment::Environment;
use super::error::{Fault, KeyPath, LoadError};
use super::load::{Document, Loader};
use super::merge::merge_objects;
use super::path;
use super::reset::Resets;
use super::resolve;
use super::schema::SERVICE;
use super::shape::Shape;
use super::tree::{Map, Node, Value};

/// The services of one file.
struct Scope {
    services: Map,
    resets: Resets,
    file: PathBuf,
    /// What the names of further files start from.
    directory: PathBuf,
    /// Whether the services are in their long form already.
    conformed: bool,
}

pub(crate) struct Extender<'l, 'f> {
    loader: &'l mut Loader<'f>,
    environment: &'l Environment,
    chain: Vec<(PathBuf, String)>,
}

impl<'l, 'f> Extender<'l, 'f> {
    pub(crate) fn new(loader: &'l mut Loader<'f>, environment: &'l Environment) -> Self {
        Self {
            loader,
            environment,
            chain: Vec::new(),
        }
    }

    /// Replaces each service that extends another by what comes of it.
    pub(crate) fn apply(&mut self, document: &mut Document, file: &Path, directory: &Path) -> Result<(), LoadError> {
        let Some(services) = document.map.get("services").and_then(Node::as_map).cloned() else {
            return Ok(());
        };
        let scope = Scope {
            services,
            resets: document.resets.clone(),
            file: file.to_owned(),
            directory: directory.to_owned(),
            conformed: true,
        };
        let mut result = Map::new();
        for name in scope.services.keys() {
            result.insert(name.clone(), self.service(&scope, name, None)?);
        }
        if let Some(Node { value, .. }) = document.map.get_mut("services") {
            *value = Value::Map(result);
        }
        Ok(())
    }

    fn fail<T>(&self, fault: Fault) -> Result<T, LoadError> {
        self.loader.placed(Err(fault))
    }

    /// The service with everything that it extends; `asked` is where another one names it.
    fn service(&mut self, scope: &Scope, name: &str, asked: Option<&Node>) -> Result<Node, LoadError> {
        let key = KeyPath::of(&["services", name]);
        let Some(service) = scope.services.get(name) else {
            let at = asked.map(|node| node.at).unwrap_or_default();
            let sentence = format!("service {name:?} not found in {}", scope.file.display());
            return self.fail(Fault::said(at, &self.asking(), sentence));
        };
        let service = if scope.conformed {
            service.clone()
        } else {
            static SHAPE: Shape = Shape::Object(&SERVICE);
            let mut service = self.loader.placed(conform(service.clone(), &SHAPE, &key))?;
            resolve::resolve_service(&mut service, &scope.directory, self.environment.home().as_deref());
            service
        };
        let Some(extends) = service.get("extends").cloned() else {
            return Ok(service);
        };
        let link = (scope.file.clone(), name.to_owned());
        if self.chain.contains(&link) {
            let names: Vec<_> = self.chain.iter().map(|(_, name)| name.as_str()).collect();
            let sentence = format!("circular reference: {} extends {name}", names.join(" extends "));
            return self.fail(Fault::said(extends.at, &key.key("extends"), sentence));
        }
        self.chain.push(link);
        let base = self.base(scope, &extends)?;
        self.chain.pop();
        Ok(self.merged(base, service, scope, name))
    }

    fn asking(&self) -> KeyPath {
        match self.chain.last() {
            Some((_, name)) => KeyPath::of(&["services", name, "extends"]),
            None => KeyPath::of(&["services"]),
        }
    }

    fn base(&mut self, scope: &Scope, extends: &Node) -> Result<Node, LoadError> {
        let Some(target) = extends.get("service").and_then(Node::as_text) else {
            return self.fail(Fault::said(extends.at, &self.asking(), "extends is missing a service"));
        };
        match extends.get("file").and_then(Node::as_text) {
            None => self.service(scope, target, Some(extends)),
            Some(file) => {
                let name = extends.get("file").unwrap_or(extends);
                let home = self.environment.home();
                let file = PathBuf::from(path::absolute(file, &scope.directory, home.as_deref()));
                let other = self.scope_of(&file);
                let other = self.loader.named(name, &self.asking(), other)?;
                self.service(&other, target, Some(extends))
            }
        }
    }

    fn scope_of(&mut self, file: &Path) -> Result<Scope, LoadError> {
        let mut services = Map::new();
        let mut resets = Resets::default();
        for (node, found) in self.loader.raw_documents(file, self.environment)? {
            resets = found;
            let section = node.get("services").and_then(Node::as_map).cloned();
            services.extend(section.unwrap_or_default());
        }
        Ok(Scope {
            services,
            resets,
            directory: file.parent().map(Path::to_owned).unwrap_or_default(),
            file: file.to_owned(),
            conformed: false,
        })
    }

    fn merged(&self, base: Node, service: Node, scope: &Scope, name: &str) -> Node {
        let at = service.at;
        let (Value::Map(mut base), Value::Map(service)) = (base.value, service.value) else {
            return Node::new(Value::Null, at);
        };
        scope.resets.below(&["services", name]).apply(&mut base);
        base.remove("extends");
        let mut merged = merge_objects(base, service, &SERVICE);
        merged.remove("extends");
        Node::new(Value::Map(merged), at)
    }
}
