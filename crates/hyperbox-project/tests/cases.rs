// SPDX-License-Identifier: MIT
//! Every case of `tests/cases` gives the document that `docker compose config --format json` gave, or fails where that failed.
//!
//! A case is one text file: sections that begin with `=== `, namely `arguments` and `environment` (both may be missing), `file NAME` for each
//! file of the project, `expected` (recorded by `cargo xtask compose-cases`, a document or `error:` with Compose's words), and `said`
//! for our words when that is an error: ours name the file, the line and the key.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use hyperbox_project::compose::{Files, Request, discover, load};
use hyperbox_project::model::Model;
use hyperbox_project::plan::{network_hash, note_hashes, service_hash, volume_hash};
use serde_json::json;

const ROOT: &str = "/project";

struct Case {
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
    expected: String,
    said: String,
}

impl Case {
    fn parse(text: &str) -> Self {
        let mut case = Self {
            arguments: Vec::new(),
            environment: BTreeMap::from([("HOME".to_owned(), "/home/user".to_owned())]),
            files: BTreeMap::new(),
            expected: String::new(),
            said: String::new(),
        };
        for section in format!("\n{text}").split("\n=== ").skip(1) {
            let (title, body) = section.split_once('\n').unwrap_or((section, ""));
            match title.split_once(' ').unwrap_or((title, "")) {
                ("arguments", _) => case.arguments = body.split_whitespace().map(str::to_owned).collect(),
                ("environment", _) => case.environment.extend(
                    body.lines()
                        .filter_map(|line| line.split_once('='))
                        .map(|(name, value)| (name.to_owned(), value.to_owned())),
                ),
                ("file", name) => {
                    case.files.insert(Path::new(ROOT).join(name), format!("{body}\n"));
                }
                ("expected", _) => case.expected = body.trim().to_owned(),
                ("said", _) => case.said = body.trim().to_owned(),
                (other, _) => panic!("no section is called {other:?}"),
            }
        }
        case
    }

    fn request(&self) -> Request {
        let mut request = Request {
            files: Vec::new(),
            directory: ROOT.into(),
            name: None,
            env_files: Vec::new(),
            environment: self.environment.clone(),
            profiles: Vec::new(),
        };
        let mut arguments = self.arguments.iter();
        while let Some(flag) = arguments.next() {
            let value = arguments.next().cloned().unwrap_or_default();
            match flag.as_str() {
                "-f" => request.files.push(Path::new(ROOT).join(value)),
                "-p" => request.name = Some(value),
                "--profile" => request.profiles.push(value),
                "--env-file" => request.env_files.push(Path::new(ROOT).join(value)),
                other => panic!("no argument is called {other:?}"),
            }
        }
        if request.files.is_empty() {
            request.files = discover(Path::new(ROOT), self)
                .map(|found| found.files)
                .unwrap_or_default();
        }
        let dotenv = Path::new(ROOT).join(".env");
        if request.env_files.is_empty() && self.is_file(&dotenv) {
            request.env_files.push(dotenv);
        }
        request
    }

    fn check(&self) -> Result<(), String> {
        let outcome = load(&self.request(), self);
        if self.expected.is_empty() {
            return Err("nothing is expected; run cargo xtask compose-cases".to_owned());
        }
        match (outcome, self.expected.strip_prefix("error:")) {
            (Ok(project), None) => {
                let expected: serde_json::Value =
                    serde_json::from_str(&self.expected).map_err(|error| error.to_string())?;
                let expected = without_escapes(expected);
                let mut found = project.document().clone();
                // Compose shows them as YAML and forgets them as JSON.
                found.as_object_mut().and_then(|document| document.remove("models"));
                let difference = first_difference("", &expected, &found);
                difference.map_or(Ok(()), Err)
            }
            (Err(error), Some(_)) if error.to_string() == self.said => Ok(()),
            (Err(error), Some(_)) => Err(format!("=== said\n{error}")),
            (Err(error), None) => Err(format!("Compose takes it, ours says: {error}")),
            (Ok(_), Some(words)) => Err(format!("ours takes it, Compose says:{words}")),
        }
    }
}

impl Files for Case {
    fn read(&self, path: &Path) -> io::Result<String> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file or directory");
        self.files.get(path).cloned().ok_or_else(missing)
    }

    fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }
}

/// Compose writes `$$` for `$`, so that its output is a Compose file; a project has the values themselves.
fn without_escapes(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value::{Array, Object, String};
    match value {
        String(text) => String(text.replace("$$", "$")),
        Array(list) => Array(list.into_iter().map(without_escapes).collect()),
        Object(map) => Object(
            map.into_iter()
                .map(|(key, value)| (key.replace("$$", "$"), without_escapes(value)))
                .collect(),
        ),
        other => other,
    }
}

fn first_difference(path: &str, expected: &serde_json::Value, found: &serde_json::Value) -> Option<String> {
    use serde_json::Value::{Array, Object};
    match (expected, found) {
        (Object(left), Object(right)) => {
            let keys: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
            keys.into_iter().find_map(|key| match (left.get(key), right.get(key)) {
                (Some(left), Some(right)) => first_difference(&format!("{path}.{key}"), left, right),
                (left, right) => Some(format!("{path}.{key}: expected {left:?}, found {right:?}")),
            })
        }
        (Array(left), Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(index, (left, right))| first_difference(&format!("{path}[{index}]"), left, right)),
        (left, right) if left == right => None,
        (left, right) => Some(format!("{path}: expected {left}, found {right}")),
    }
}

#[test]
fn all_cases_agree_with_docker_compose() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert!(names.len() >= 150, "only {} cases", names.len());
    let failures: Vec<_> = names
        .iter()
        .filter_map(|path| {
            let case = Case::parse(&std::fs::read_to_string(path).unwrap());
            let reason = case.check().err()?;
            Some(format!("{}: {reason}", path.file_name().unwrap().display()))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} cases differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// `hashes.txt` has lines `CASE SERVICE HASH`, as `docker compose config --hash '*'` told them of the cases in `/project`; those with an `env_file` are
/// left out, because there it tells another hash than the label has that `docker compose up` writes.
#[test]
fn hashes_agree_with_docker_compose() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut differing = Vec::new();
    let lines: Vec<&str> = include_str!("hashes.txt").lines().collect();
    assert!(lines.len() >= 150, "only {} hashes", lines.len());
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let [case, service, hash] = words[..] else {
            panic!("{line}")
        };
        let text = std::fs::read_to_string(folder.join(format!("{case}.case"))).unwrap();
        let case = Case::parse(&text);
        let document = load(&case.request(), &case).unwrap().document().clone();
        let mut model = Model::from_document(&document).unwrap();
        note_hashes(&mut model, &document);
        if service_hash(&model.services[service]) != hash {
            differing.push(format!("{line}: {}", document["services"][service]));
        }
    }
    assert!(
        differing.is_empty(),
        "{} differ:\n{}",
        differing.len(),
        differing.join("\n")
    );
}

/// The labels that `docker compose up` writes on networks and volumes.
#[test]
fn hashes_of_networks_and_volumes_agree_with_docker_compose() {
    let document = json!({
        "name": "p8cmp", "networks": { "back": { "name": "p8cmp_back", "ipam": {} } }, "volumes": { "data": { "name": "p8cmp_data" } },
    });
    let mut model = Model::from_document(&document).unwrap();
    note_hashes(&mut model, &document);
    assert_eq!(
        (
            network_hash(&model.networks["back"]),
            volume_hash(&model.volumes["data"])
        ),
        (
            "38e3c8880551ae2dcf36e513cee7854fcc3843251455a7f64124c93fb83711d0".to_owned(),
            "e82b0f7b5e0d8de96cba73b9aa7beeb196363c8ec352dbd1962dc307847c77bf".to_owned()
        )
    );
}
