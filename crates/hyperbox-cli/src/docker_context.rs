// SPDX-License-Identifier: MIT
//! Docker's contexts: names for daemons, kept beside Docker's `config.json`.
//!
//! ```text
//! CONFIG/config.json                                  "currentContext": NAME
//! CONFIG/contexts/meta/SHA256(NAME)/meta.json         {"Name", "Metadata", "Endpoints": {"docker": {"Host", …}}}
//! CONFIG/contexts/tls/SHA256(NAME)/…                  certificates; never made here
//! ```
//!
//! Files are written beside their place and renamed into it, so a reader finds the old or the new one.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::CliError;

/// The name that stands for no context.
pub(crate) const DEFAULT: &str = "default";

/// Refuses what is no name of a context, as Docker does.
pub(crate) fn check_name(name: &str) -> Result<(), CliError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
    let well_formed = name.len() > 1 && name.as_bytes()[0].is_ascii_alphanumeric() && name.bytes().all(allowed);
    match name {
        DEFAULT => Err(CliError::new("\"default\" is a reserved context name").bare()),
        _ if well_formed => Ok(()),
        _ => Err(CliError::new(format!(
            "context name \"{name}\" is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
        ))
        .bare()),
    }
}

fn directory(config: &Path, kind: &str, name: &str) -> PathBuf {
    let digest: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    config.join("contexts").join(kind).join(digest)
}

/// Makes a context that leads to `host`.
///
/// # Errors
/// When there is one of that name that leads elsewhere, or a file cannot be written.
pub(crate) fn create(config: &Path, name: &str, description: &str, host: &str) -> Result<(), CliError> {
    match endpoint(config, name) {
        Ok(known) if known != host => {
            return Err(exists(name).with_hint(format!("it leads to {known}; remove it, or choose another --name")));
        }
        _ => {}
    }
    write(config, name, description, host)
}

/// Tells that there is a context of that name.
pub(crate) fn exists(name: &str) -> CliError {
    CliError::new(format!("context \"{name}\" already exists")).bare()
}

fn write(config: &Path, name: &str, description: &str, host: &str) -> Result<(), CliError> {
    let description = match description {
        "" => json!({}),
        text => json!({ "Description": text }),
    };
    let endpoints = json!({ "docker": { "Host": host, "SkipTLSVerify": false } });
    store(config, name, &document(name, &description, &endpoints))
}

/// Changes what is given; the rest stays.
///
/// # Errors
/// When there is no such context, or its file is malformed or cannot be written.
pub(crate) fn update(config: &Path, name: &str, description: Option<&str>, host: Option<&str>) -> Result<(), CliError> {
    let mut meta = metadata(config, name)?;
    if let Some(text) = description {
        meta["Metadata"]["Description"] = text.into();
    }
    if let Some(host) = host {
        meta["Endpoints"]["docker"] = json!({ "Host": host, "SkipTLSVerify": false });
    }
    store(config, name, &document(name, &meta["Metadata"], &meta["Endpoints"]))
}

/// Writes what a context's file says, with the members in Docker's order.
pub(crate) fn document(name: &str, metadata: &Value, endpoints: &Value) -> String {
    let name = Value::from(name);
    format!("{{\"Name\":{name},\"Metadata\":{metadata},\"Endpoints\":{endpoints}}}")
}

/// Writes a context's file.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn store(config: &Path, name: &str, document: &str) -> Result<(), CliError> {
    let directory = directory(config, "meta", name);
    fs::create_dir_all(&directory).map_err(|error| failed("make", &directory, &error))?;
    replace(&directory.join("meta.json"), document)
}

/// Removes a context; `force` also takes it out of use.
///
/// # Errors
/// When there is none, or it is in use and `force` is not set.
pub(crate) fn remove(config: &Path, name: &str, force: bool) -> Result<(), CliError> {
    if name == DEFAULT {
        return Err(CliError::new("context \"default\" cannot be removed").bare());
    }
    if !is_there(config, name) {
        return Err(CliError::new(format!("context \"{name}\" does not exist")).bare());
    }
    if current(config)?.as_deref() == Some(name) {
        if !force {
            let text = format!("context \"{name}\" is in use, set -f flag to force remove");
            return Err(CliError::new(text).bare());
        }
        choose(config, None)?;
    }
    for kind in ["meta", "tls"] {
        let directory = directory(config, kind, name);
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("remove", &directory, &error)),
            _ => {}
        }
    }
    Ok(())
}

/// Takes a context into use; `None` stands for the default one.
///
/// # Errors
/// When there is no such context, or `config.json` cannot be read or written.
pub(crate) fn choose(config: &Path, name: Option<&str>) -> Result<(), CliError> {
    if let Some(name) = name {
        metadata(config, name)?;
    }
    let path = config.join("config.json");
    let mut value = read(&path)?.unwrap_or_else(|| json!({}));
    if let Some(fields) = value.as_object_mut() {
        match name {
            Some(name) => fields.insert("currentContext".to_owned(), name.into()),
            None => fields.remove("currentContext"),
        };
    }
    let text = serde_json::to_string_pretty(&value).map_err(|error| CliError::new(error.to_string()))?;
    fs::create_dir_all(config).map_err(|error| failed("make", config, &error))?;
    replace(&path, &text)
}

/// Tells whether there is a context of that name.
pub(crate) fn is_there(config: &Path, name: &str) -> bool {
    directory(config, "meta", name).join("meta.json").exists()
}

/// Returns the names of all contexts but the default one, sorted.
///
/// # Errors
/// When a file is malformed or cannot be read.
pub(crate) fn names(config: &Path) -> Result<Vec<String>, CliError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(config.join("contexts/meta"))
        .into_iter()
        .flatten()
        .flatten()
    {
        if let Some(meta) = read(&entry.path().join("meta.json"))?
            && let Some(name) = meta["Name"].as_str()
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Returns what a context's file says.
///
/// # Errors
/// When there is no such context, or its file is malformed or cannot be read.
pub(crate) fn metadata(config: &Path, name: &str) -> Result<Value, CliError> {
    let path = directory(config, "meta", name).join("meta.json");
    read(&path)?.ok_or_else(|| {
        let path = path.display();
        CliError::new(format!(
            "context \"{name}\": context not found: open {path}: no such file or directory"
        ))
        .bare()
    })
}

/// Returns where a context's metadata and certificates are.
pub(crate) fn storage(config: &Path, name: &str) -> (PathBuf, PathBuf) {
    (directory(config, "meta", name), directory(config, "tls", name))
}

/// Returns the address that a context leads to.
///
/// # Errors
/// When there is no such context, or it leads to no Docker.
pub(crate) fn endpoint(config: &Path, name: &str) -> Result<String, CliError> {
    match metadata(config, name)?["Endpoints"]["docker"]["Host"].as_str() {
        Some(host) if !host.is_empty() => Ok(host.to_owned()),
        _ => Err(CliError::new(format!(
            "context \"{name}\" has no address of a Docker daemon"
        ))),
    }
}

/// Returns the context that `docker context use` chose; `None` for the default one.
///
/// # Errors
/// When `config.json` cannot be read.
pub(crate) fn current(config: &Path) -> Result<Option<String>, CliError> {
    let value = read(&config.join("config.json"))?.unwrap_or_default();
    let name = value["currentContext"].as_str().unwrap_or_default();
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty() && name != DEFAULT))
}

fn read(path: &Path) -> Result<Option<Value>, CliError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| CliError::new(format!("{} is malformed: {error}", path.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, &error)),
    }
}

fn replace(path: &Path, text: &str) -> Result<(), CliError> {
    let staged = path.with_extension("json.new");
    fs::write(&staged, text).map_err(|error| failed("write", &staged, &error))?;
    if let Ok(old) = fs::metadata(path) {
        // It may hold credentials: who could not read it before cannot read it now.
        fs::set_permissions(&staged, old.permissions()).map_err(|error| failed("protect", &staged, &error))?;
    }
    fs::rename(&staged, path).map_err(|error| failed("write", path, &error))
}

fn failed(verb: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(format!("cannot {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_allowed() {
        for (name, good) in [
            ("hyperbox", true),
            ("a.b+c-d_e", true),
            ("default", false),
            ("x", false),
            ("", false),
            ("-a", false),
            ("a/b", false),
        ] {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn made_used_and_removed() {
        let config = tempfile::tempdir().expect("temporary directory");
        let config = config.path();
        create(config, "foo", "text", "unix:///run/x.sock").expect("created");
        // The name of Docker's own directory for "foo".
        let meta =
            config.join("contexts/meta/2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae/meta.json");
        let made: Value = serde_json::from_slice(&fs::read(meta).expect("made")).expect("JSON");
        assert_eq!(
            made,
            json!({"Name":"foo","Metadata":{"Description":"text"},"Endpoints":{"docker":{"Host":"unix:///run/x.sock","SkipTLSVerify":false}}})
        );
        create(config, "foo", "text", "unix:///run/x.sock").expect("the same once more");
        create(config, "foo", "text", "unix:///run/y.sock").expect_err("taken");
        assert_eq!(endpoint(config, "foo").expect("known"), "unix:///run/x.sock");
        update(config, "foo", Some("new"), None).expect("described");
        update(config, "foo", None, Some("unix:///run/z.sock")).expect("led elsewhere");
        let changed = metadata(config, "foo").expect("there");
        assert_eq!(
            document("foo", &changed["Metadata"], &changed["Endpoints"]),
            r#"{"Name":"foo","Metadata":{"Description":"new"},"Endpoints":{"docker":{"Host":"unix:///run/z.sock","SkipTLSVerify":false}}}"#
        );
        update(config, "bar", Some("x"), None).expect_err("not there");
        update(config, "foo", None, Some("unix:///run/x.sock")).expect("led back");
        assert_eq!(current(config).expect("readable"), None);
        fs::write(config.join("config.json"), r#"{"auths":{},"currentContext":"foo"}"#).expect("written");
        assert_eq!(current(config).expect("readable").as_deref(), Some("foo"));
        remove(config, "foo", false).expect_err("in use");
        choose(config, None).expect("writable");
        assert_eq!(current(config).expect("readable"), None);
        choose(config, Some("bar")).expect_err("not there");
        choose(config, Some("foo")).expect("there");
        assert_eq!(current(config).expect("readable").as_deref(), Some("foo"));
        assert_eq!(names(config).expect("readable"), ["foo"]);
        remove(config, "foo", true).expect("removed");
        assert_eq!(current(config).expect("readable"), None);
        assert!(
            fs::read_to_string(config.join("config.json"))
                .expect("kept")
                .contains("auths")
        );
        remove(config, "foo", true).expect_err("gone");
    }
}
