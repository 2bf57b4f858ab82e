// SPDX-License-Identifier: MIT
//! What the daemon may ask for while it builds: secrets, and connections to SSH agents. Read when they are asked for, not before.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use hyperbox_client::{BuildWriter, decode_data, encode_data};
use hyperbox_types::build::{BuildAnswer, BuildMessage};

use crate::error::CliError;
use crate::options;

/// A secret longer than that is refused, as by BuildKit.
const LONGEST_SECRET: u64 = 500 * 1024;

/// Where secrets and agents are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    secrets: BTreeMap<String, SecretPlace>,
    agents: BTreeMap<String, PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SecretPlace {
    File(PathBuf),
    Value(String),
}

impl Keys {
    /// Reads `--secret` and `--ssh`.
    pub(super) fn parse(
        secrets: &[String],
        agents: &[String],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, CliError> {
        let mut keys = Self::default();
        for text in secrets {
            let (id, place) = secret(text, &variable).map_err(|reason| {
                CliError::new(format!("invalid argument {text:?} for \"--secret\" flag: {reason}"))
            })?;
            keys.secrets.extend(place.map(|place| (id, place)));
        }
        for text in agents {
            let (id, path) = text.split_once('=').unwrap_or((text, ""));
            let path = match path {
                "" => variable("SSH_AUTH_SOCK").ok_or_else(|| {
                    CliError::new(format!(
                        "invalid empty ssh agent socket for {id:?}: SSH_AUTH_SOCK is not set"
                    ))
                })?,
                path => path.to_owned(),
            };
            std::fs::metadata(&path).map_err(|error| {
                let reason = match error.kind() {
                    io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                    _ => error.to_string(),
                };
                CliError::new(format!(
                    "failed to convert agent config for ID: {id:?}: stat {path}: {reason}"
                ))
            })?;
            keys.agents.insert(id.to_owned(), path.into());
        }
        Ok(keys)
    }

    pub(super) fn secret_ids(&self) -> Vec<String> {
        self.secrets.keys().cloned().collect()
    }

    pub(super) fn agent_ids(&self) -> Vec<String> {
        self.agents.keys().cloned().collect()
    }
}

fn secret(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<(String, Option<SecretPlace>), String> {
    let (mut id, mut source, mut from, mut kind) = (None, None, None, None);
    for field in options::comma_separated(&[text.to_owned()])? {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"))?;
        match key.to_ascii_lowercase().as_str() {
            "type" if matches!(value, "file" | "env") => kind = Some(value.to_owned()),
            "type" => return Err(format!("unsupported secret type {value:?}")),
            "id" => id = Some(value.to_owned()),
            "source" | "src" => source = Some(value.to_owned()),
            "env" => from = Some(value.to_owned()),
            other => return Err(format!("unexpected key '{other}' in '{field}'")),
        }
    }
    let id = id.ok_or("missing id")?;
    if kind.as_deref() == Some("env") && from.is_none() {
        from = source.take();
    }
    if let Some(name) = from {
        return Ok((id, variable(&name).map(SecretPlace::Value)));
    }
    if let Some(path) = source {
        if !std::path::Path::new(&path).exists() {
            return Err(format!("failed to stat {path}: no such file or directory"));
        }
        return Ok((id, Some(SecretPlace::File(path.into()))));
    }
    // Without a place it is the variable of its name, else the file.
    let place = variable(&id).map_or_else(|| SecretPlace::File(id.clone().into()), SecretPlace::Value);
    Ok((id, Some(place)))
}

impl SecretPlace {
    fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Value(value) => Ok(value.clone().into_bytes()),
            Self::File(path) => {
                let mut bytes = Vec::new();
                let mut file = std::fs::File::open(path)?.take(LONGEST_SECRET + 1);
                file.read_to_end(&mut bytes)?;
                if bytes.len() as u64 > LONGEST_SECRET {
                    return Err(io::Error::other("a secret is at most 500 KB long"));
                }
                Ok(bytes)
            }
        }
    }
}

/// Answers questions.
#[derive(Debug)]
pub(super) struct Answers {
    keys: Keys,
    writer: BuildWriter,
    connections: HashMap<u64, agent::Connection>,
}

impl Answers {
    pub(super) fn new(keys: Keys, writer: BuildWriter) -> Self {
        Self {
            keys,
            writer,
            connections: HashMap::new(),
        }
    }

    /// Answers a message, if it is a question.
    pub(super) fn answer(&mut self, message: &BuildMessage) -> io::Result<()> {
        match message {
            BuildMessage::Secret { question, id } => {
                let read = self.keys.secrets.get(id).map(SecretPlace::read).transpose();
                let (data, error) = match read {
                    Ok(bytes) => (bytes.map(|bytes| encode_data(&bytes)), None),
                    Err(error) => (None, Some(format!("cannot read secret {id}: {error}"))),
                };
                let question = *question;
                self.writer.answer(&BuildAnswer::Secret { question, data, error })
            }
            BuildMessage::SshOpen { connection, id } => self.open(*connection, id),
            BuildMessage::SshData { connection, data } => {
                let Some(agent) = self.connections.get_mut(connection) else {
                    return Ok(());
                };
                let bytes = decode_data(data);
                if bytes.is_empty() || agent.write_all(&bytes).is_err() {
                    self.connections.remove(connection);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, connection: u64, id: &str) -> io::Result<()> {
        let opened = self.keys.agents.get(id).map(|path| agent::open(path));
        let Some(Ok((agent, reader))) = opened else {
            return self.writer.answer(&BuildAnswer::SshData {
                connection,
                data: String::new(),
            });
        };
        self.connections.insert(connection, agent);
        let writer = self.writer.clone();
        std::thread::spawn(move || pass_on(reader, connection, &writer));
        Ok(())
    }
}

/// Sends what an agent says, to its end.
fn pass_on(mut agent: impl Read, connection: u64, writer: &BuildWriter) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = agent.read(&mut buffer).unwrap_or(0);
        let data = encode_data(&buffer[..length]);
        if writer.answer(&BuildAnswer::SshData { connection, data }).is_err() || length == 0 {
            return;
        }
    }
}

#[cfg(unix)]
mod agent {
    //! Agents of OpenSSH listen at a Unix socket.

    use std::io;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    use std::path::Path;

    /// The writing half; closes both when it is dropped.
    #[derive(Debug)]
    pub(super) struct Connection(UnixStream);

    pub(super) fn open(path: &Path) -> io::Result<(Connection, UnixStream)> {
        let stream = UnixStream::connect(path)?;
        let reader = stream.try_clone()?;
        Ok((Connection(stream), reader))
    }

    impl io::Write for Connection {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    impl Drop for Connection {
        fn drop(&mut self) {
            // It may be closed already.
            drop(self.0.shutdown(Shutdown::Both));
        }
    }
}

#[cfg(not(unix))]
mod agent {
    //! Agents elsewhere are not reached.

    use std::fs::File;
    use std::io;
    use std::path::Path;

    /// Never made.
    pub(super) type Connection = File;

    pub(super) fn open(_path: &Path) -> io::Result<(Connection, File)> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_agents() {
        let variable = |name: &str| match name {
            "TOKEN" => Some("t".to_owned()),
            "SSH_AUTH_SOCK" => Some("/dev/null".to_owned()),
            _ => None,
        };
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let keys = Keys::parse(
            &list(&[
                "id=a,src=/dev/null",
                "id=b,env=TOKEN",
                "type=env,id=c,src=TOKEN",
                "id=TOKEN",
                "id=d,env=NONE",
            ]),
            &list(&["default", "other=/dev/zero"]),
            variable,
        )
        .unwrap();
        assert_eq!(keys.secret_ids(), ["TOKEN", "a", "b", "c"]);
        assert_eq!(keys.secrets["c"], SecretPlace::Value("t".to_owned()));
        assert_eq!(keys.agents["default"], PathBuf::from("/dev/null"));
        assert_eq!(keys.agents["other"], PathBuf::from("/dev/zero"));
        let missing = Keys::parse(&[], &list(&["a=/no/such"]), variable)
            .unwrap_err()
            .to_string();
        assert!(
            missing.ends_with("stat /no/such: no such file or directory"),
            "{missing}"
        );
        for (text, reason) in [
            ("src=/x", "missing id"),
            ("id", "invalid field 'id' must be a key=value pair"),
            ("id=x,colour=red", "unexpected key 'colour' in 'colour=red'"),
            (
                "id=x,src=/no/such",
                "failed to stat /no/such: no such file or directory",
            ),
            ("id=x,type=moon", "unsupported secret type \"moon\""),
        ] {
            let message = Keys::parse(&list(&[text]), &[], variable).unwrap_err().to_string();
            assert!(message.ends_with(reason), "{message}");
        }
        assert!(Keys::parse(&[], &list(&["default"]), |_| None).is_err());
    }
}
