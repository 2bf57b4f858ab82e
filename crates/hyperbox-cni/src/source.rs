// SPDX-License-Identifier: MIT
//! Where a list comes from: the request itself, a file, or the directory of lists. Blocks; changes nothing.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::list::{InvalidList, LARGEST, List};

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoList {
    #[error("the list is invalid: {0}")]
    Given(InvalidList),
    #[error("the list {} is invalid: {problem}", path.display())]
    File { path: PathBuf, problem: InvalidList },
    #[error("cannot read the list {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0:?} is neither an absolute path nor the name of a list")]
    NotAPath(String),
    #[error("no list named {name:?} in {}", directory.display())]
    Unknown { name: String, directory: PathBuf },
}

/// Loads a list as the option names it: JSON when it begins with a brace, a path when it has a slash, else a name.
pub(crate) fn load(option: &str, list_dir: &Path) -> Result<List, NoList> {
    if option.trim_start().starts_with('{') {
        return List::parse(option.as_bytes()).map_err(NoList::Given);
    }
    if option.contains('/') {
        let path = Path::new(option);
        if !path.is_absolute() {
            return Err(NoList::NotAPath(option.chars().take(200).collect()));
        }
        return from_file(path);
    }
    named(option, list_dir)
}

fn from_file(path: &Path) -> Result<List, NoList> {
    let text = read(path).map_err(|source| NoList::Read {
        path: path.to_owned(),
        source,
    })?;
    List::parse(&text).map_err(|problem| NoList::File {
        path: path.to_owned(),
        problem,
    })
}

/// One byte more than allowed is enough to see that it is too much. Opening a pipe must not wait for a writer.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut text = Vec::new();
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(most).read_to_end(&mut text)?;
    Ok(text)
}

/// The first file, in the order of their names, whose list has the name.
fn named(name: &str, directory: &Path) -> Result<List, NoList> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        result => Some(result.map_err(|source| NoList::Read {
            path: directory.to_owned(),
            source,
        })?),
    };
    let is_list = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| matches!(extension, "conflist" | "conf" | "json"))
    };
    let mut files: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(is_list)
        .collect();
    files.sort();
    // Others' broken files are not this network's business.
    let mut lists = files.iter().filter_map(|path| from_file(path).ok());
    lists.find(|list| list.name == name).ok_or_else(|| NoList::Unknown {
        name: name.chars().take(200).collect(),
        directory: directory.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ways_to_a_list() {
        let directory = tempfile::tempdir().unwrap();
        let text = |name: &str| format!(r#"{{"cniVersion": "1.0.0", "name": "{name}", "plugins": [{{"type": "x"}}]}}"#);
        let file = directory.path().join("10-web.conflist");
        std::fs::write(directory.path().join("05-broken.conf"), "{").unwrap();
        std::fs::write(&file, text("web")).unwrap();
        let name = |option: &str| load(option, directory.path()).map(|list| list.name);
        assert_eq!(name(&text("inline")).unwrap(), "inline");
        assert_eq!(name(file.to_str().unwrap()).unwrap(), "web");
        assert_eq!(name("web").unwrap(), "web");
        let directory_text = directory.path().display();
        for (option, expected) in [
            ("db".to_owned(), format!("no list named \"db\" in {directory_text}")),
            (
                "a/b".to_owned(),
                "\"a/b\" is neither an absolute path nor the name of a list".to_owned(),
            ),
            (
                format!("{directory_text}/none"),
                format!("cannot read the list {directory_text}/none"),
            ),
            (
                format!("{directory_text}"),
                format!("cannot read the list {directory_text}"),
            ),
            ("/dev/zero".to_owned(), "cannot read the list /dev/zero".to_owned()),
            ("{".to_owned(), "the list is invalid: it is not JSON".to_owned()),
        ] {
            let refused = name(&option).unwrap_err().to_string();
            assert!(refused.starts_with(&expected), "{refused}");
        }
        assert!(load("web", &directory.path().join("none")).is_err());
    }
}
