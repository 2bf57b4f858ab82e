// SPDX-License-Identifier: MIT
//! Does what files that changed ask for: copies and removes files in containers, runs commands in them, restarts them, builds their image again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hyperbox_client::{Client, ExecConfig, ServiceVerb, demultiplex};
use hyperbox_project::model::{Hook, WatchAction};
use hyperbox_types::project::{ProjectServices, ProjectUp};

use super::rule::{Rule, Rules, Work};
use crate::context::Context;
use crate::error::CliError;
use crate::project::building::{self, BuildOptions};
use crate::project::progress::{self, Style};
use crate::project::{Opened, credentials};

pub(super) struct Refresher<'a> {
    context: &'a Context,
    client: Client,
    opened: &'a Opened,
    remark: &'a dyn Fn(&str),
}

/// What happens to files in a container.
#[derive(Debug, Default)]
struct Transfer {
    /// Files and where they go, without the first slash.
    copied: Vec<(PathBuf, String)>,
    /// What is gone, as absolute paths.
    removed: Vec<String>,
}

impl<'a> Refresher<'a> {
    pub(super) fn new(context: &'a Context, opened: &'a Opened, remark: &'a dyn Fn(&str)) -> Result<Self, CliError> {
        Ok(Self {
            context,
            client: context.client()?,
            opened,
            remark,
        })
    }

    /// Does one thing.
    pub(super) fn work(&self, rules: &Rules, work: &Work) -> Result<(), CliError> {
        let service = &work.service;
        let what = describe(&work.paths);
        match work.action {
            WatchAction::Rebuild => {
                (self.remark)(&format!("{service}: {what} changed, building again"));
                self.rebuild(service)
            }
            WatchAction::Restart => {
                (self.remark)(&format!("{service}: {what} changed, restarting"));
                self.restart(service)
            }
            WatchAction::Sync | WatchAction::SyncRestart | WatchAction::SyncExec => {
                (self.remark)(&format!("{service}: {what} changed, copying"));
                let containers = self.containers(service)?;
                let transfer = transfer(rules, work);
                for container in &containers {
                    self.send(container, &transfer)?;
                }
                match (work.action, &work.exec) {
                    (WatchAction::SyncRestart, _) => self.restart(service),
                    (WatchAction::SyncExec, Some(hook)) => containers
                        .iter()
                        .try_for_each(|container| self.exec(service, container, hook)),
                    _ => Ok(()),
                }
            }
        }
    }

    /// The ids of a service's containers that run.
    fn containers(&self, service: &str) -> Result<Vec<String>, CliError> {
        let status = self.client.project_status(&self.opened.name)?;
        let own = status.services.into_iter().filter(|known| known.name == service);
        let containers = own.flat_map(|known| known.containers);
        Ok(containers
            .filter(|container| container.state == "running")
            .map(|container| container.id)
            .collect())
    }

    fn rebuild(&self, service: &str) -> Result<(), CliError> {
        let services = BTreeSet::from([service.to_owned()]);
        let options = BuildOptions {
            quiet: true,
            ..BuildOptions::default()
        };
        building::build(self.context, &self.client, self.opened, &services, options)?;
        let request = ProjectUp {
            services: vec![service.to_owned()],
            no_deps: true,
            ..ProjectUp::default()
        };
        let credentials = credentials(self.context, self.opened)?;
        let events = self.client.up_project(&self.opened.name, &request, &credentials)?;
        let summary = progress::show(&self.opened.name, events, Style::Quiet, |_| Ok(()))?;
        let outcome = if summary.created == 0 {
            "built, nothing is different"
        } else {
            "built and started anew"
        };
        (self.remark)(&format!("{service}: {outcome}"));
        Ok(())
    }

    fn restart(&self, service: &str) -> Result<(), CliError> {
        let request = ProjectServices {
            services: vec![service.to_owned()],
            no_deps: true,
            ..ProjectServices::default()
        };
        let events = self
            .client
            .project_services(&self.opened.name, ServiceVerb::Restart, &request)?;
        progress::show(&self.opened.name, events, Style::Quiet, |_| Ok(()))?;
        Ok(())
    }

    fn send(&self, container: &str, transfer: &Transfer) -> Result<(), CliError> {
        if !transfer.removed.is_empty() {
            let mut words = vec!["rm".to_owned(), "-rf".to_owned(), "--".to_owned()];
            words.extend(transfer.removed.iter().cloned());
            let config = ExecConfig {
                user: "0".to_owned(),
                cmd: words,
                ..ExecConfig::default()
            };
            let code = self.run(container, config, &mut io::sink())?;
            if code != 0 {
                return Err(CliError::new(format!(
                    "rm of files that are gone ended with code {code}"
                )));
            }
        }
        if transfer.copied.is_empty() {
            return Ok(());
        }
        let (mut reader, writer) = io::pipe()?;
        let files = transfer.copied.clone();
        let packing = std::thread::spawn(move || pack(&files, io::BufWriter::new(writer)));
        let sent = self.client.copy_to_container(container, "/", false, &mut reader);
        drop(reader);
        let packed = packing.join();
        sent?;
        match packed {
            Ok(packed) => packed.map_err(|error| CliError::new(format!("cannot read what changed: {error}"))),
            Err(_) => Err(CliError::new("cannot read what changed")),
        }
    }

    fn exec(&self, service: &str, container: &str, hook: &Hook) -> Result<(), CliError> {
        let environment = hook.environment.iter();
        let config = ExecConfig {
            user: hook.user.clone().unwrap_or_default(),
            privileged: hook.privileged,
            working_dir: hook.working_dir.clone().unwrap_or_default(),
            env: environment
                .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)))
                .collect(),
            cmd: hook.command.clone().unwrap_or_default(),
            ..ExecConfig::default()
        };
        let command = config.cmd.join(" ");
        let mut output = Vec::new();
        let code = self.run(container, config, &mut output)?;
        for line in String::from_utf8_lossy(&output).lines() {
            (self.remark)(&format!("{service}: {line}"));
        }
        if code == 0 {
            return Ok(());
        }
        Err(CliError::new(format!("{service}: {command} ended with code {code}")))
    }

    /// Runs a command to its end; returns its exit code.
    fn run(&self, container: &str, mut config: ExecConfig, output: &mut dyn Write) -> Result<i64, CliError> {
        config.attach_stdout = true;
        config.attach_stderr = true;
        let exec = self.client.create_exec(container, &config)?;
        let upgraded = self.client.start_exec(&exec, &config)?;
        let mut errors = Vec::new();
        demultiplex(upgraded.reader, output, &mut errors)?;
        output.write_all(&errors)?;
        Ok(self.client.exec_state(&exec)?.exit_code.unwrap_or_default())
    }
}

/// Names what changed, without naming hundreds.
fn describe(paths: &[PathBuf]) -> String {
    let name = |path: &PathBuf| {
        path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
    };
    match paths {
        [only] => name(only),
        [first, second] => format!("{} and {}", name(first), name(second)),
        [first, rest @ ..] => format!("{} and {} more", name(first), rest.len()),
        [] => "nothing".to_owned(),
    }
}

/// Decides what is copied and what is removed.
fn transfer(rules: &Rules, work: &Work) -> Transfer {
    let mut copied = BTreeMap::new();
    let mut removed = BTreeSet::new();
    let own = |rule: &&Rule| rule.service == work.service;
    for path in &work.paths {
        let Some(rule) = rules.list.iter().filter(own).find(|rule| rule.covers(path)) else {
            continue;
        };
        if rule.mounted {
            continue;
        }
        let Some(destination) = rule.destination(path) else {
            continue;
        };
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => files_below(rule, path, &mut copied),
            Ok(_) => drop(copied.insert(path.clone(), destination)),
            // The root of a rule is not removed: whoever removes it has other plans.
            Err(_) if *path != rule.path => drop(removed.insert(destination)),
            Err(_) => {}
        }
    }
    Transfer {
        copied: copied
            .into_iter()
            .map(|(path, destination)| (path, destination.trim_start_matches('/').to_owned()))
            .collect(),
        removed: removed.into_iter().filter(|path| path.len() > 1).collect(),
    }
}

/// All files of a directory that fall under a rule.
fn files_below(rule: &Rule, directory: &Path, copied: &mut BTreeMap<PathBuf, String>) {
    // A directory that has vanished meanwhile is told of by the next event.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory {
            files_below(rule, &path, copied);
        } else if rule.covers(&path) {
            copied.extend(rule.destination(&path).map(|destination| (path, destination)));
        }
    }
}

/// Writes files as an archive. They belong to root there: who they belong to here means nothing in the container.
fn pack(files: &[(PathBuf, String)], out: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    for (path, name) in files {
        let metadata = match fs::symlink_metadata(path) {
            // It went away meanwhile: the next event tells.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&metadata);
        header.set_uid(0);
        header.set_gid(0);
        if metadata.is_symlink() {
            header.set_size(0);
            archive.append_link(&mut header, name, fs::read_link(path)?)?;
        } else if metadata.is_file() {
            let bytes = fs::read(path)?;
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, &bytes[..])?;
        }
    }
    archive.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_named() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        for (names, expected) in [
            (&["/p/a.js"][..], "a.js"),
            (&["/p/a", "/p/b"], "a and b"),
            (&["/p/a", "/p/b", "/p/c"], "a and 2 more"),
        ] {
            assert_eq!(describe(&paths(names)), expected);
        }
    }

    #[test]
    fn archives_belong_to_root() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("a");
        fs::write(&file, "text").unwrap();
        let mut bytes = Vec::new();
        let gone = scratch.path().join("gone");
        pack(&[(file, "app/a".to_owned()), (gone, "app/gone".to_owned())], &mut bytes).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries: Vec<_> = archive.entries().unwrap().map(Result::unwrap).collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].path().unwrap(), Path::new("app/a"));
        assert_eq!((entries[0].header().uid().unwrap(), entries[0].size()), (0, 4));
    }
}
