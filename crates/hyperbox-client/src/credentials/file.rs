// SPDX-License-Identifier: MIT
//! `config.json`: where a registry's credentials are, and how they get there.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyperbox_types::{ErrorKind, RegistryHost};
use serde_json::{Map, Value};

use super::helper::Helper;
use super::{Credentials, registry_key};
use crate::private_file;

/// Why credentials cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not JSON.
    #[error("{} is not valid", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An entry of the file is not understood.
    #[error("the credentials of {server} in {} are malformed", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The registry.
        server: String,
    },
    /// A helper cannot be started.
    #[error("cannot run the credential helper {program}")]
    HelperMissing {
        /// Its program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A helper failed.
    #[error("the credential helper {program} failed: {message}")]
    HelperFailed {
        /// Its program.
        program: String,
        /// What it said.
        message: String,
    },
}

impl CredentialsError {
    /// Returns the class of the failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                ErrorKind::PermissionDenied
            }
            Self::Read { .. } | Self::Write { .. } => ErrorKind::Internal,
            Self::Parse { .. } | Self::Entry { .. } => ErrorKind::InvalidArgument,
            Self::HelperMissing { .. } | Self::HelperFailed { .. } => ErrorKind::Unavailable,
        }
    }
}

/// The credentials of a user.
pub struct Store {
    path: PathBuf,
    content: Map<String, Value>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Store({})", self.path.display())
    }
}

impl Store {
    /// Reads `config.json` of a directory; a missing file is an empty one.
    ///
    /// # Errors
    /// When it exists and cannot be read, or is not JSON.
    pub fn open(directory: &Path) -> Result<Self, CredentialsError> {
        let path = directory.join("config.json");
        let content = match std::fs::read(&path) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Map::new(),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| CredentialsError::Parse {
                path: path.clone(),
                source,
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(source) => return Err(CredentialsError::Read { path, source }),
        };
        Ok(Self { path, content })
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether a helper keeps the secrets of a registry, and not the file in clear text.
    pub fn uses_helper(&self, key: &str) -> bool {
        self.helper(key).is_some()
    }

    /// Finds the credentials of a registry.
    ///
    /// # Errors
    /// When a helper fails, or an entry is malformed.
    pub fn lookup(&self, host: &RegistryHost) -> Result<Option<Credentials>, CredentialsError> {
        self.lookup_key(&registry_key(host))
    }

    /// Finds the credentials under a key of the file.
    ///
    /// # Errors
    /// As [`Self::lookup`].
    pub fn lookup_key(&self, key: &str) -> Result<Option<Credentials>, CredentialsError> {
        if let Some(helper) = self.helper(key) {
            return helper.get(key);
        }
        let Some(auths) = self.content.get("auths").and_then(Value::as_object) else {
            return Ok(None);
        };
        // Old tools wrote keys with a scheme and a path.
        let entry = auths.get(key).or_else(|| {
            auths
                .iter()
                .find(|(known, _)| hostname(known) == hostname(key))
                .map(|(_, entry)| entry)
        });
        entry.map_or(Ok(None), |entry| self.decode(key, entry))
    }

    /// Keeps credentials under a key, and writes the file.
    ///
    /// # Errors
    /// When a helper or the file refuses.
    pub fn save(&mut self, key: &str, credentials: &Credentials) -> Result<(), CredentialsError> {
        let entry = if let Some(helper) = self.helper(key) {
            helper.store(key, credentials)?;
            // An empty entry tells other tools that there is a login.
            Map::new()
        } else {
            let mut entry = Map::new();
            if credentials.identity_token.is_empty() {
                let pair = format!("{}:{}", credentials.username, credentials.secret);
                entry.insert("auth".to_owned(), STANDARD.encode(pair).into());
            } else {
                let pair = format!("{}:", credentials.username);
                entry.insert("auth".to_owned(), STANDARD.encode(pair).into());
                entry.insert("identitytoken".to_owned(), credentials.identity_token.clone().into());
            }
            entry
        };
        let auths = self.content.entry("auths").or_insert_with(|| Value::Object(Map::new()));
        if let Some(auths) = auths.as_object_mut() {
            auths.insert(key.to_owned(), Value::Object(entry));
        }
        self.write()
    }

    /// Forgets the credentials under a key; `false` when there were none.
    ///
    /// # Errors
    /// When a helper or the file refuses.
    pub fn erase(&mut self, key: &str) -> Result<bool, CredentialsError> {
        if let Some(helper) = self.helper(key) {
            helper.erase(key)?;
        }
        let removed = self
            .content
            .get_mut("auths")
            .and_then(Value::as_object_mut)
            .is_some_and(|auths| auths.remove(key).is_some());
        if removed {
            self.write()?;
        }
        Ok(removed)
    }

    fn helper(&self, key: &str) -> Option<Helper> {
        let special = self
            .content
            .get("credHelpers")
            .and_then(|helpers| helpers.get(key))
            .and_then(Value::as_str);
        let general = self.content.get("credsStore").and_then(Value::as_str);
        special.or(general).filter(|name| !name.is_empty()).map(Helper::new)
    }

    fn decode(&self, key: &str, entry: &Value) -> Result<Option<Credentials>, CredentialsError> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut credentials = Credentials {
            username: text("username"),
            secret: text("password"),
            identity_token: text("identitytoken"),
            server: key.to_owned(),
        };
        let auth = text("auth");
        if !auth.is_empty() {
            let malformed = || CredentialsError::Entry {
                path: self.path.clone(),
                server: key.to_owned(),
            };
            let pair = STANDARD.decode(auth.trim()).map_err(|_| malformed())?;
            let pair = String::from_utf8(pair).map_err(|_| malformed())?;
            let (username, secret) = pair.split_once(':').ok_or_else(malformed)?;
            username.clone_into(&mut credentials.username);
            // Old versions of Docker padded the secret.
            secret.trim_matches('\0').clone_into(&mut credentials.secret);
        }
        if !credentials.identity_token.is_empty() {
            credentials.username.clear();
            credentials.secret.clear();
        }
        let empty = credentials.username.is_empty() && credentials.identity_token.is_empty();
        Ok((!empty).then_some(credentials))
    }

    fn write(&self) -> Result<(), CredentialsError> {
        let write = |source| CredentialsError::Write {
            path: self.path.clone(),
            source,
        };
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&self.content, &mut serializer).map_err(|error| write(io::Error::other(error)))?;
        private_file::replace(&self.path, &text).map_err(write)
    }
}

/// Reduces `https://host/v1/` to `host`.
fn hostname(key: &str) -> &str {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    bare.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(json: &str) -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), json).unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, store)
    }

    #[test]
    fn lookups_by_every_spelling() {
        // "dXNlcjpwYTpzcw==" is "user:pa:ss".
        let (_directory, store) = store(
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYTpzcw=="},
                "https://old.example/v2/":{"auth":"dXNlcjpwYTpzcw=="},
                "token.example":{"auth":"dTo=","identitytoken":"abc"},
                "empty.example":{}, "bad.example":{"auth":"%%"}}}"#,
        );
        let lookup = |host: &str| store.lookup(&RegistryHost::parse(host).unwrap());
        for host in ["docker.io", "old.example"] {
            let found = lookup(host).unwrap().unwrap();
            assert_eq!(
                (found.username.as_str(), found.secret.as_str()),
                ("user", "pa:ss"),
                "{host}"
            );
        }
        let token = lookup("token.example").unwrap().unwrap();
        assert_eq!((token.username.as_str(), token.identity_token.as_str()), ("", "abc"));
        assert!(lookup("empty.example").unwrap().is_none());
        assert!(lookup("other.example").unwrap().is_none());
        assert!(matches!(lookup("bad.example"), Err(CredentialsError::Entry { .. })));
    }

    #[test]
    fn saving_keeps_what_is_not_ours() {
        let (directory, mut store) =
            store(r#"{"HttpHeaders":{"a":"b"},"auths":{"x":{"auth":"dTpw"}},"psFormat":"json"}"#);
        let credentials = Credentials {
            username: "u".into(),
            secret: "s".into(),
            ..Credentials::default()
        };
        store.save("r.example:5000", &credentials).unwrap();
        assert!(store.erase("x").unwrap());
        assert!(!store.erase("x").unwrap());
        let text = std::fs::read_to_string(directory.path().join("config.json")).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["psFormat"], "json");
        assert_eq!(value["HttpHeaders"]["a"], "b");
        assert_eq!(value["auths"], serde_json::json!({"r.example:5000": {"auth": "dTpz"}}));
        assert_eq!(
            std::fs::read_dir(directory.path()).unwrap().count(),
            1,
            "no temporary file stays"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(directory.path().join("config.json"))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn files_that_are_not_ours_to_understand() {
        let directory = tempfile::tempdir().unwrap();
        assert!(
            Store::open(&directory.path().join("missing"))
                .unwrap()
                .content
                .is_empty()
        );
        std::fs::write(directory.path().join("config.json"), "not json").unwrap();
        assert!(matches!(
            Store::open(directory.path()),
            Err(CredentialsError::Parse { .. })
        ));
    }
}
