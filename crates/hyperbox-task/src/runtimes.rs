// SPDX-License-Identifier: MIT
//! Which OCI runtimes there are, and which one a name means.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hyperbox_core::seam::{RuntimeInfo, RuntimeVersion, TaskError};
use hyperbox_types::ErrorKind;
use hyperbox_types::shim::RuntimeChoice;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::config::Config;

/// Name of the runtime inside the shim.
pub(crate) const EMBEDDED: &str = "hyperbox";

/// Runtimes that are offered when they are installed.
const KNOWN: [&str; 4] = ["crun", "runc", "youki", "runsc"];

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(2);

/// Version of the runtime inside the shim.
pub(crate) fn embedded_version() -> RuntimeVersion {
    RuntimeVersion {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: String::new(),
    }
}

/// Lists the runtimes, the default first.
pub(crate) fn list(config: &Config) -> Vec<RuntimeInfo> {
    let embedded = RuntimeInfo {
        name: EMBEDDED.to_owned(),
        program: None,
        version: Some(embedded_version().version),
    };
    let external = |name: &str, program: &Path| RuntimeInfo {
        name: name.to_owned(),
        program: Some(program.to_owned()),
        version: None,
    };
    let mut runtimes = vec![embedded];
    runtimes.extend(
        config
            .runtimes
            .iter()
            .map(|(name, runtime)| external(name, &runtime.path)),
    );
    for name in KNOWN.into_iter().filter(|name| !config.runtimes.contains_key(*name)) {
        runtimes.extend(search(config, name).map(|path| external(name, &path)));
    }
    // A stable sort by "is not the default" moves the default to the front and leaves the rest in order.
    runtimes.sort_by_key(|runtime| runtime.name != config.default_runtime);
    runtimes
}

/// Reads what a runtime answers to `--version`: `NAME version VERSION`, and maybe a line `commit: COMMIT`.
fn parse_version(text: &str) -> Option<RuntimeVersion> {
    let first = text.lines().next()?;
    let version = first.split_whitespace().skip_while(|word| *word != "version").nth(1)?;
    let commit = text.lines().find_map(|line| line.strip_prefix("commit:"));
    Some(RuntimeVersion {
        version: version.to_owned(),
        commit: commit.unwrap_or_default().trim().to_owned(),
    })
}

/// Versions of programs that were asked; those that gave none too.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    asked: Mutex<HashMap<PathBuf, Option<RuntimeVersion>>>,
}

impl Versions {
    /// Returns what a program says, and asks it the first time.
    pub(crate) async fn of(&self, program: &Path) -> Option<RuntimeVersion> {
        let mut asked = self.asked.lock().await;
        if let Some(known) = asked.get(program) {
            return known.clone();
        }
        let answer = ask(program).await;
        asked.insert(program.to_owned(), answer.clone());
        answer
    }
}

async fn ask(program: &Path) -> Option<RuntimeVersion> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => parse_version(&String::from_utf8_lossy(&output.stdout)),
        Ok(Err(error)) => {
            tracing::warn!(program = %program.display(), %error, "cannot ask a runtime for its version");
            None
        }
        Err(_) => {
            tracing::warn!(program = %program.display(), "a runtime does not tell its version");
            None
        }
    }
}

/// Returns what a name or an absolute path means; the empty name is the default.
pub(crate) fn choose(config: &Config, name: &str) -> Result<RuntimeChoice, TaskError> {
    let name = if name.is_empty() {
        config.default_runtime.as_str()
    } else {
        name
    };
    if name == EMBEDDED {
        return Ok(RuntimeChoice::Embedded);
    }
    if let Some(runtime) = config.runtimes.get(name) {
        return Ok(RuntimeChoice::External {
            program: runtime.path.clone(),
            arguments: runtime.arguments.clone(),
        });
    }
    let path = Path::new(name);
    let found = if path.is_absolute() {
        is_executable(path).then(|| path.to_owned())
    } else {
        KNOWN.contains(&name).then(|| search(config, name)).flatten()
    };
    let program = found.ok_or_else(|| {
        TaskError::new(
            ErrorKind::InvalidArgument,
            format!("unknown or invalid runtime name: {name}"),
        )
    })?;
    Ok(RuntimeChoice::External {
        program,
        arguments: Vec::new(),
    })
}

fn search(config: &Config, name: &str) -> Option<std::path::PathBuf> {
    config
        .search_path
        .iter()
        .map(|directory| directory.join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ExternalRuntime;

    fn config(directory: &Path) -> Config {
        let program = directory.join("runc");
        std::fs::write(&program, "").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(directory.join("crun"), "not executable").unwrap();
        let runtime = ExternalRuntime {
            path: "/opt/special".into(),
            arguments: vec!["--fast".into()],
        };
        Config {
            runtimes: [("special".to_owned(), runtime)].into(),
            search_path: vec![directory.to_owned()],
            ..Config::new("/nowhere")
        }
    }

    #[test]
    fn names_paths_and_the_default_are_understood() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let runc = directory.path().join("runc");
        let external = |program: &Path, arguments: &[&str]| {
            Some(RuntimeChoice::External {
                program: program.to_owned(),
                arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            })
        };
        for (name, expected) in [
            ("", Some(RuntimeChoice::Embedded)),
            ("hyperbox", Some(RuntimeChoice::Embedded)),
            ("special", external(Path::new("/opt/special"), &["--fast"])),
            ("runc", external(&runc, &[])),
            (runc.to_str().unwrap(), external(&runc, &[])),
            ("crun", None),
            ("youki", None),
            ("ls", None),
            ("../runc", None),
            ("/nowhere/runc", None),
        ] {
            assert_eq!(choose(&config, name).ok(), expected, "{name}");
        }
        let error = choose(&config, "nope").unwrap_err();
        assert_eq!(error.to_string(), "unknown or invalid runtime name: nope");
    }

    #[test]
    fn versions_are_read() {
        let both = |version: &str, commit: &str| {
            Some(RuntimeVersion {
                version: version.to_owned(),
                commit: commit.to_owned(),
            })
        };
        for (text, expected) in [
            (
                "runc version 1.3.6+ds1\ncommit: 1.3.6+ds1-1\nspec: 1.2.1\ngo: go1.27.1\n",
                both("1.3.6+ds1", "1.3.6+ds1-1"),
            ),
            (
                "crun version 1.8.1\ncommit: f8a096b\nrundir: /run/crun\n",
                both("1.8.1", "f8a096b"),
            ),
            ("youki version: 0.5.0\n", None),
            (
                "runsc version release-20250707.0\nspec: 1.1.0-rc.1\n",
                both("release-20250707.0", ""),
            ),
            ("", None),
        ] {
            assert_eq!(parse_version(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn programs_are_asked_once() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("runtime");
        std::fs::write(
            &program,
            "#!/bin/sh\necho \"own version $(($(wc -l <$0) + 1))\"\necho '#' >>$0\n",
        )
        .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let versions = Versions::default();
        let first = versions.of(&program).await;
        assert_eq!(first.as_ref().unwrap().version, "4");
        assert_eq!(versions.of(&program).await, first);
        assert_eq!(versions.of(Path::new("/nowhere")).await, None);
        assert_eq!(versions.of(Path::new("/bin/false")).await, None);
    }

    #[test]
    fn the_default_is_listed_first() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        let names = |config: &Config| list(config).into_iter().map(|runtime| runtime.name).collect::<Vec<_>>();
        assert_eq!(names(&config), ["hyperbox", "special", "runc"]);
        config.default_runtime = "runc".to_owned();
        assert_eq!(names(&config), ["runc", "hyperbox", "special"]);
    }
}
