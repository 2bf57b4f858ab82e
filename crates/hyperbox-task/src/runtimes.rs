// SPDX-License-Identifier: MIT
//! Which OCI runtimes there are, and which one a name means.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hyperbox_core::seam::{RuntimeInfo, TaskError};
use hyperbox_types::ErrorKind;
use hyperbox_types::shim::RuntimeChoice;

use crate::config::Config;

/// Name of the runtime inside the shim.
pub(crate) const EMBEDDED: &str = "hyperbox";

/// Runtimes that are offered when they are installed.
const KNOWN: [&str; 4] = ["crun", "runc", "youki", "runsc"];

/// Lists the runtimes, the default first.
pub(crate) fn list(config: &Config) -> Vec<RuntimeInfo> {
    let embedded = RuntimeInfo {
        name: EMBEDDED.to_owned(),
        program: None,
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
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
    fn the_default_is_listed_first() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        let names = |config: &Config| list(config).into_iter().map(|runtime| runtime.name).collect::<Vec<_>>();
        assert_eq!(names(&config), ["hyperbox", "special", "runc"]);
        config.default_runtime = "runc".to_owned();
        assert_eq!(names(&config), ["runc", "hyperbox", "special"]);
    }
}
