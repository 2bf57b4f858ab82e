// SPDX-License-Identifier: MIT
//! Which rule a changed file falls under, and what is to be done. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hyperbox_dockerfile::Ignore;
use hyperbox_project::model::{Hook, Model, Service, WatchAction, WatchRule};

use crate::error::CliError;
use crate::project::Opened;

/// Files that programs write for a moment, and what belongs to version control: never worth anything.
const NEVER: &str = "\
**/.git
**/.hg
**/.svn
**/.#*
**/#*#
**/*~
**/4913
**/.*.sw?
**/.*.kate-swp
**/*-go-tmp-umask
**/___jb_tmp___
**/___jb_old___
**/.goutputstream-*
**/.DS_Store
";

/// A rule for one service.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) service: String,
    pub(super) path: PathBuf,
    pub(super) action: WatchAction,
    pub(super) target: String,
    pub(super) initial_sync: bool,
    pub(super) exec: Option<Hook>,
    /// Whether the container sees the files themselves, by a bind mount: copying would write each file over itself, and change it again.
    pub(super) mounted: bool,
    ignore: Ignore,
    include: Option<Ignore>,
    /// The build's folder and what it leaves out.
    context: Option<(PathBuf, Ignore)>,
    never: Ignore,
}

/// The rules of a project, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(super) list: Vec<Rule>,
}

/// What is to be done for a service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Work {
    pub(super) service: String,
    pub(super) action: WatchAction,
    /// The files that have changed, or are gone.
    pub(super) paths: Vec<PathBuf>,
    /// What runs afterwards.
    pub(super) exec: Option<Hook>,
}

impl Work {
    pub(super) fn of(rule: &Rule) -> Self {
        Self {
            service: rule.service.clone(),
            action: rule.action,
            paths: Vec::new(),
            exec: rule.exec.clone(),
        }
    }
}

impl Rules {
    /// The rules of some services; of all when none is named.
    ///
    /// # Errors
    /// A pattern that is none, or no rule at all.
    pub(crate) fn of(opened: &Opened, services: &[String]) -> Result<Self, CliError> {
        let rules = Self::all(opened, services)?;
        if rules.list.is_empty() {
            return Err(CliError::new(
                "nothing is to be watched: no service has rules for files that its containers do not see themselves",
            )
            .with_hint("`develop.watch` of a Compose file or [[watch]] of hyperbox.toml does"));
        }
        Ok(rules)
    }

    /// [`Rules::of`], of which there may be none.
    ///
    /// # Errors
    /// A pattern that is none.
    pub(crate) fn all(opened: &Opened, services: &[String]) -> Result<Self, CliError> {
        if let Some(unknown) = services.iter().find(|name| !opened.model.services.contains_key(*name)) {
            return Err(CliError::new(format!("no such service: {unknown}")));
        }
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        Self::of_model(&opened.model, services, &read)
    }

    fn of_model(model: &Model, services: &[String], read: &dyn Fn(&Path) -> Option<String>) -> Result<Self, CliError> {
        let mut list = Vec::new();
        for (name, service) in &model.services {
            if !services.is_empty() && !services.contains(name) {
                continue;
            }
            let context = context_of(service, read)?;
            for rule in service.develop.iter().flat_map(|develop| &develop.watch) {
                let mounted = is_mounted(service, rule);
                if !(mounted && rule.action == WatchAction::Sync) {
                    list.push(of_rule(name, rule, mounted, context.clone())?);
                }
            }
        }
        Ok(Self { list })
    }

    /// The services that have rules.
    pub(super) fn services(&self) -> Vec<&str> {
        let names: BTreeSet<&str> = self.list.iter().map(|rule| rule.service.as_str()).collect();
        names.into_iter().collect()
    }

    /// Tells whether a file falls under any rule.
    pub(super) fn concern(&self, path: &Path) -> bool {
        self.list.iter().any(|rule| rule.covers(path))
    }

    /// Tells whether files below a directory may fall under a rule, so that it is worth watching.
    pub(super) fn enter(&self, directory: &Path) -> bool {
        self.list.iter().any(|rule| rule.enters(directory))
    }
}

fn context_of(
    service: &Service,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Result<Option<(PathBuf, Ignore)>, CliError> {
    let Some(build) = &service.build else { return Ok(None) };
    let folder = PathBuf::from(&build.context);
    let dockerfile = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    let text = read(&folder.join(format!("{dockerfile}.dockerignore"))).or_else(|| read(&folder.join(".dockerignore")));
    text.map(|text| Ok((folder, parsed(&text)?))).transpose()
}

fn parsed(text: &str) -> Result<Ignore, CliError> {
    Ignore::parse(text).map_err(|error| CliError::from_error(&error))
}

/// Tells whether the place that files are copied to is those very files.
fn is_mounted(service: &Service, rule: &WatchRule) -> bool {
    let Some(target) = &rule.target else { return false };
    let mut binds = service.volumes.iter().filter(|mount| mount.kind == "bind");
    binds.any(|mount| {
        let source = mount.source.as_deref().unwrap_or_default();
        let Some(name) = below(Path::new(&rule.path), Path::new(source)) else {
            return false;
        };
        let seen = format!("{}/{name}", mount.target.trim_end_matches('/'));
        seen.trim_end_matches('/') == target.trim_end_matches('/')
    })
}

fn of_rule(
    service: &str,
    rule: &WatchRule,
    mounted: bool,
    context: Option<(PathBuf, Ignore)>,
) -> Result<Rule, CliError> {
    let patterns = |list: &[String]| parsed(&list.join("\n")).map_err(|error| error.about(service));
    Ok(Rule {
        service: service.to_owned(),
        path: PathBuf::from(&rule.path),
        action: rule.action,
        target: rule.target.clone().unwrap_or_default(),
        initial_sync: rule.initial_sync,
        exec: rule.exec.clone(),
        mounted,
        ignore: patterns(&rule.ignore)?,
        include: if rule.include.is_empty() {
            None
        } else {
            Some(patterns(&rule.include)?)
        },
        context,
        never: parsed(NEVER)?,
    })
}

/// A path below a directory, with slashes.
fn below(path: &Path, directory: &Path) -> Option<String> {
    let rest = path.strip_prefix(directory).ok()?;
    let names: Vec<_> = rest
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    Some(names.join("/"))
}

impl Rule {
    /// Tells whether a file falls under the rule.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let Some(name) = below(path, &self.path) else {
            return false;
        };
        if name.is_empty() {
            return true;
        }
        let in_context =
            |(folder, ignore): &(PathBuf, Ignore)| below(path, folder).is_some_and(|name| ignore.excludes(&name));
        let excluded =
            self.never.excludes(&name) || self.ignore.excludes(&name) || self.context.as_ref().is_some_and(in_context);
        !excluded && self.include.as_ref().is_none_or(|include| include.excludes(&name))
    }

    /// Tells whether files below a directory may fall under the rule.
    fn enters(&self, directory: &Path) -> bool {
        if self.path.starts_with(directory) {
            return true;
        }
        let Some(name) = below(directory, &self.path) else {
            return false;
        };
        let shut = |ignore: &Ignore, name: &str| ignore.excludes(name) && !ignore.may_take_back_below(name);
        let in_context =
            |(folder, ignore): &(PathBuf, Ignore)| below(directory, folder).is_some_and(|name| shut(ignore, &name));
        !(shut(&self.never, &name) || shut(&self.ignore, &name) || self.context.as_ref().is_some_and(in_context))
    }

    /// Where a file goes in the container.
    pub(super) fn destination(&self, path: &Path) -> Option<String> {
        let name = below(path, &self.path)?;
        let target = self.target.trim_end_matches('/');
        Some(if name.is_empty() {
            target.to_owned()
        } else {
            format!("{target}/{name}")
        })
    }
}

/// What is to be done about changed files. For each service and file the first rule that covers it counts; a rebuild makes everything else of its
/// service needless, since it brings all files along.
pub(super) fn works(rules: &Rules, paths: &BTreeSet<PathBuf>) -> Vec<Work> {
    let mut by_service: BTreeMap<&str, Vec<Work>> = BTreeMap::new();
    for service in rules.services() {
        for path in paths {
            let own = rules.list.iter().filter(|rule| rule.service == service);
            let Some(rule) = own.into_iter().find(|rule| rule.covers(path)) else {
                continue;
            };
            let works = by_service.entry(service).or_default();
            let known = works
                .iter_mut()
                .find(|work| work.action == rule.action && work.exec == rule.exec);
            match known {
                Some(work) => work.paths.push(path.clone()),
                None => works.push(Work {
                    paths: vec![path.clone()],
                    ..Work::of(rule)
                }),
            }
        }
    }
    let mut all = Vec::new();
    for works in by_service.into_values() {
        let rebuild = works.iter().position(|work| work.action == WatchAction::Rebuild);
        match rebuild {
            Some(place) => all.extend(works.into_iter().nth(place)),
            None => all.extend(ordered(works)),
        }
    }
    all
}

/// Files are copied before anything is started again or runs.
fn ordered(mut works: Vec<Work>) -> Vec<Work> {
    works.sort_by_key(|work| match work.action {
        WatchAction::Sync | WatchAction::Rebuild => 0,
        WatchAction::SyncExec => 1,
        WatchAction::SyncRestart | WatchAction::Restart => 2,
    });
    works
}

#[cfg(test)]
#[path = "rule/tests.rs"]
mod tests;
