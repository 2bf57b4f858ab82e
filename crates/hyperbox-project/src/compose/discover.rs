// SPDX-License-Identifier: MIT
//! Which Compose files a folder has, when nobody names them.
//!
//! Source: <https://docs.docker.com/compose/intro/compose-application-model/#the-compose-file>.

use std::path::{Path, PathBuf};

use super::files::Files;

const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// The files of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file, and the override beside it if there is one.
    pub files: Vec<PathBuf>,
    /// The folder in which they are: the project's.
    pub directory: PathBuf,
}

/// Looks for a Compose file in a folder and in those around it, innermost first.
pub fn discover(folder: &Path, files: &dyn Files) -> Option<Found> {
    let first = |directory: &Path, names: &[&str]| {
        names
            .iter()
            .map(|name| directory.join(name))
            .find(|path| files.is_file(path))
    };
    folder.ancestors().find_map(|directory| {
        let main = first(directory, &NAMES)?;
        let mut found = vec![main];
        found.extend(first(directory, &OVERRIDES));
        Some(Found {
            files: found,
            directory: directory.to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    struct Only(&'static [&'static str]);
    impl Files for Only {
        fn read(&self, _path: &Path) -> io::Result<String> {
            Err(io::ErrorKind::NotFound.into())
        }
        fn is_file(&self, path: &Path) -> bool {
            self.0.iter().any(|known| Path::new(known) == path)
        }
    }

    #[test]
    fn the_innermost_folder_counts() {
        let files = Only(&[
            "/a/compose.yml",
            "/a/b/docker-compose.yml",
            "/a/b/docker-compose.override.yml",
            "/a/b/compose.override.yaml",
        ]);
        let found = discover(Path::new("/a/b/c"), &files).unwrap();
        assert_eq!(found.directory, Path::new("/a/b"));
        assert_eq!(
            found.files,
            [
                Path::new("/a/b/docker-compose.yml"),
                Path::new("/a/b/compose.override.yaml")
            ]
        );
        assert_eq!(discover(Path::new("/x"), &files), None);
    }
}
