// SPDX-License-Identifier: MIT
//! Secrets and configs. Those that are files of this machine are mounted; those that are texts or variables of the client are written into
//! the container each time before it is started, as `docker compose` does it: nothing of them lies on the host but in the container's own layer
//! and in the daemon's database, where the container's variables are, too. A start that was interrupted, or a value that has changed, needs
//! nothing but the next start. A restart writes nothing, as with `docker compose restart`: what runs has what it was started with, and a
//! container that was made and never started has nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

use bytes::Bytes;
use futures_util::stream;
use hyperbox_core::container::CopyInto;
use hyperbox_project::create::FileKind;
use hyperbox_project::execute::EngineError;
use hyperbox_project::model::{FileObject, FileReference, Model, Service};
use hyperbox_types::ErrorKind;

use super::{InProcess, failure};

/// A file that is written into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WrittenFile<'a> {
    path: String,
    content: &'a str,
    mode: u32,
    user: u64,
    group: u64,
}

/// The files of this machine that a service's secrets and configs are, by `secrets.NAME` and `configs.NAME`.
pub(super) fn mounted(
    model: &Model,
    service: &Service,
    contents: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (kind, reference, object) in references(model, service) {
        let key = kind.key(&reference.source);
        if let Some(file) = object.and_then(|object| object.file.clone())
            && !contents.contains_key(&key)
        {
            found.insert(key, file);
        }
    }
    found
}

/// The files that are written into a container of the service.
fn written<'a>(
    model: &'a Model,
    name: &str,
    service: &'a Service,
    contents: &'a BTreeMap<String, String>,
) -> Result<Vec<WrittenFile<'a>>, EngineError> {
    let mut files = Vec::new();
    for (kind, reference, object) in references(model, service) {
        let word = kind.word();
        let source = &reference.source;
        let invalid = |message: String| EngineError::new(ErrorKind::InvalidArgument, message);
        let object = object.ok_or_else(|| invalid(format!("the project has no {word} {source:?}")))?;
        if object.external {
            return Err(invalid(format!("unsupported external {word} {source}")));
        }
        let key = kind.key(source);
        let content = contents.get(&key).or(object.content.as_ref());
        let Some(content) = content else {
            if object.file.is_some() {
                continue;
            }
            let variable = object.environment.as_deref().unwrap_or_default();
            return Err(invalid(format!(
                "the value of {word} {source:?} ({variable}) was not sent"
            )));
        };
        if service.read_only {
            return Err(invalid(format!(
                "cannot create {word} {:?} in read-only service {name}: `file` is the sole supported option",
                object.name
            )));
        }
        files.push(file(reference, kind.path(reference), content).map_err(invalid)?);
    }
    Ok(files)
}

fn references<'a>(
    model: &'a Model,
    service: &'a Service,
) -> impl Iterator<Item = (FileKind, &'a FileReference, Option<&'a FileObject>)> {
    FileKind::ALL.into_iter().flat_map(|kind| {
        let objects = match kind {
            FileKind::Config => &model.configs,
            FileKind::Secret => &model.secrets,
        };
        let references = kind.references(service).iter();
        references.map(move |reference| (kind, reference, objects.get(&reference.source)))
    })
}

fn file<'a>(reference: &FileReference, path: String, content: &'a str) -> Result<WrittenFile<'a>, String> {
    let number = |text: &Option<String>, what: &str| match text {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| format!("invalid {what} {text:?} of {path}")),
    };
    let mode = match &reference.mode {
        None => 0o444,
        Some(text) => u32::from_str_radix(text.trim_start_matches("0o"), 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)
            .ok_or_else(|| format!("invalid mode {text:?} of {path}"))?,
    };
    // What cannot be packed: it is refused before there is a container.
    let parts = || Path::new(&path).components();
    let has_name = parts().any(|part| matches!(part, Component::Normal(_)));
    if !has_name || path.contains('\0') || parts().any(|part| part == Component::ParentDir) {
        return Err(format!("invalid target {path:?}"));
    }
    Ok(WrittenFile {
        content,
        mode,
        user: number(&reference.uid, "uid")?,
        group: number(&reference.gid, "gid")?,
        path,
    })
}

/// A tar archive of files, for the root of a container.
fn archive(files: &[WrittenFile<'_>]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.user);
        header.set_gid(file.group);
        header.set_mtime(now());
        let path = file.path.trim_start_matches('/');
        builder.append_data(&mut header, path, file.content.as_bytes())?;
    }
    builder.into_inner()
}

fn now() -> u64 {
    u64::try_from(hyperbox_core::time::Timestamp::now().seconds()).unwrap_or_default()
}

impl InProcess {
    /// Tells whether what is written into a container of a service can be.
    ///
    /// # Errors
    /// Those of [`Self::packed_files`].
    pub(super) fn check_files(&self, name: &str, service: &Service) -> Result<(), EngineError> {
        if service.configs.is_empty() && service.secrets.is_empty() {
            return Ok(());
        }
        written(&self.model, name, service, &self.opened()?.contents).map(drop)
    }

    /// Packs what is written into a container of a service before it starts; `None` when that is nothing.
    pub(super) fn packed_files(&self, name: &str, service: &Service) -> Result<Option<Vec<u8>>, EngineError> {
        if service.configs.is_empty() && service.secrets.is_empty() {
            return Ok(None);
        }
        let contents = &self.opened()?.contents;
        let files = written(&self.model, name, service, contents)?;
        if files.is_empty() {
            return Ok(None);
        }
        let packed = archive(&files).map_err(|error| {
            let message = format!("cannot pack the secrets and configs of service {name:?}: {error}");
            EngineError::new(ErrorKind::InvalidArgument, message)
        })?;
        Ok(Some(packed))
    }

    /// Writes an archive into a container that does not run.
    pub(super) async fn write_files(&self, container: &str, archive: Vec<u8>) -> Result<(), EngineError> {
        let how = CopyInto {
            replace: hyperbox_core::seam::Replace::Anything,
            to_own_user: false,
        };
        let pieces = stream::iter([Ok(Bytes::from(archive))]);
        let written = self.engine.containers.write_path(container, "/", how, pieces).await;
        written.map_err(failure)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn model() -> Model {
        let object = |file: Option<&str>, content: Option<&str>, environment: Option<&str>| FileObject {
            name: "p_x".to_owned(),
            file: file.map(str::to_owned),
            content: content.map(str::to_owned),
            environment: environment.map(str::to_owned),
            ..FileObject::default()
        };
        Model {
            configs: BTreeMap::from([
                ("inline".to_owned(), object(None, Some("hello"), None)),
                ("mounted".to_owned(), object(Some("/host/file"), None, None)),
            ]),
            secrets: BTreeMap::from([("variable".to_owned(), object(None, None, Some("PASSWORD")))]),
            ..Model::default()
        }
    }

    fn reference(source: &str) -> FileReference {
        FileReference {
            source: source.to_owned(),
            ..FileReference::default()
        }
    }

    #[test]
    fn texts_are_written_and_files_are_mounted() {
        let model = model();
        let service = Service {
            configs: vec![
                FileReference {
                    target: Some("/etc/inline.txt".to_owned()),
                    mode: Some("0440".to_owned()),
                    uid: Some("1000".to_owned()),
                    ..reference("inline")
                },
                reference("mounted"),
            ],
            secrets: vec![reference("variable")],
            ..Service::default()
        };
        let contents = BTreeMap::from([("secrets.variable".to_owned(), "secret".to_owned())]);
        let files = written(&model, "web", &service, &contents).expect("files");
        let mut seen = Vec::new();
        let packed = archive(&files).expect("an archive");
        for entry in tar::Archive::new(packed.as_slice()).entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let mut content = String::new();
            entry.read_to_string(&mut content).expect("text");
            let header = entry.header();
            seen.push((
                entry.path().expect("a path").display().to_string(),
                content,
                header.mode().expect("a mode"),
                header.uid().expect("a number"),
            ));
        }
        let expected = [
            ("etc/inline.txt".to_owned(), "hello".to_owned(), 0o440, 1000),
            ("run/secrets/variable".to_owned(), "secret".to_owned(), 0o444, 0),
        ];
        assert_eq!(seen, expected);
        let mounts = mounted(&model, &service, &contents);
        assert_eq!(
            mounts,
            BTreeMap::from([("configs.mounted".to_owned(), "/host/file".to_owned())])
        );
    }

    #[test]
    fn what_cannot_be_given_is_said() {
        let model = model();
        let with = |reference: FileReference, read_only| Service {
            configs: vec![reference],
            read_only,
            ..Service::default()
        };
        let mut variable = with(reference("inline"), false);
        variable.configs.clear();
        variable.secrets.push(reference("variable"));
        for (service, expected) in [
            (
                with(reference("inline"), true),
                "cannot create config \"p_x\" in read-only service web: `file` is the sole supported option",
            ),
            (with(reference("no"), false), "the project has no config \"no\""),
            (
                with(
                    FileReference {
                        mode: Some("9".to_owned()),
                        ..reference("inline")
                    },
                    false,
                ),
                "invalid mode \"9\" of /inline",
            ),
            (
                with(
                    FileReference {
                        target: Some("/etc/../secret".to_owned()),
                        ..reference("inline")
                    },
                    false,
                ),
                "invalid target \"/etc/../secret\"",
            ),
            (variable, "the value of secret \"variable\" (PASSWORD) was not sent"),
        ] {
            let error = written(&model, "web", &service, &BTreeMap::new()).expect_err(expected);
            assert_eq!(error.message, expected);
        }
    }
}
