// SPDX-License-Identifier: MIT
//! Where the daemon listens: `unix:///path`, `npipe:////./pipe/name` or `tcp://host:port`.
//!
//! Every form is understood on every system; whether it can be connected to is the transport's matter.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The address of a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A Unix socket.
    Unix(PathBuf),
    /// A named pipe of Windows, `//./pipe/name`.
    Pipe(String),
    /// A TCP address, `host:port`.
    Tcp(String),
}

impl Host {
    /// Where `hyperboxd` listens when nobody says otherwise.
    pub const DEFAULT_SOCKET: &'static str = "/run/hyperbox/hyperbox.sock";
    /// Where a client on Windows looks for a daemon when nobody says otherwise.
    pub const DEFAULT_PIPE: &'static str = "//./pipe/hyperbox";

    /// Parses an address.
    ///
    /// # Errors
    /// [`InvalidHost`] unless the text is `unix:///absolute/path`, `npipe:////./pipe/name` or `tcp://host:port`.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let invalid = || InvalidHost {
            text: text.chars().take(200).collect(),
        };
        if let Some(path) = text.strip_prefix("unix://") {
            // Not `Path::is_absolute`, which asks for a drive on Windows.
            return if path.starts_with('/') && path.len() > 1 {
                Ok(Self::Unix(PathBuf::from(path)))
            } else {
                Err(invalid())
            };
        }
        if let Some(path) = text.strip_prefix("npipe://") {
            let path = path.replace('\\', "/");
            let mut parts = path.strip_prefix("//").unwrap_or_default().splitn(3, '/');
            return match (parts.next(), parts.next(), parts.next()) {
                (Some(server), Some(kind), Some(name))
                    if !server.is_empty() && kind.eq_ignore_ascii_case("pipe") && !name.is_empty() =>
                {
                    Ok(Self::Pipe(path))
                }
                _ => Err(invalid()),
            };
        }
        let address = text.strip_prefix("tcp://").ok_or_else(invalid)?.trim_end_matches('/');
        let (name, port) = address.rsplit_once(':').ok_or_else(invalid)?;
        let bracketed = name.starts_with('[') && name.ends_with(']');
        if name.is_empty() || (!bracketed && name.contains([':', '/', ' '])) || port.parse::<u16>().is_err() {
            return Err(invalid());
        }
        Ok(Self::Tcp(address.to_owned()))
    }

    /// Returns the path of the socket, if it is one.
    pub fn socket_path(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            Self::Pipe(_) | Self::Tcp(_) => None,
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        if cfg!(windows) {
            Self::Pipe(Self::DEFAULT_PIPE.to_owned())
        } else {
            Self::Unix(PathBuf::from(Self::DEFAULT_SOCKET))
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Pipe(path) => write!(formatter, "npipe://{path}"),
            Self::Tcp(address) => write!(formatter, "tcp://{address}"),
        }
    }
}

impl FromStr for Host {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// The text is not the address of a daemon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unable to parse host {text:?}: expected unix:///path, npipe:////./pipe/name or tcp://host:port")]
pub struct InvalidHost {
    /// The beginning of the refused text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_and_refused_forms() {
        for (text, valid) in [
            ("unix:///run/hyperbox/hyperbox.sock", true),
            ("unix://relative", false),
            ("unix:///", false),
            ("npipe:////./pipe/hyperbox", true),
            ("npipe:////server/pipe/docker/engine", true),
            ("npipe:////./pipe/", false),
            ("npipe:////./file/x", false),
            ("npipe://pipe/x", false),
            ("tcp://127.0.0.1:2375", true),
            ("tcp://[::1]:2375", true),
            ("tcp://::1:2375", false),
            ("tcp://host", false),
            ("tcp://:80", false),
            ("tcp://host:99999", false),
            ("ssh://host", false),
            ("/run/x.sock", false),
            ("", false),
        ] {
            let parsed = Host::parse(text);
            assert_eq!(parsed.is_ok(), valid, "{text}");
            if let Ok(host) = parsed {
                assert_eq!(host.to_string(), text);
            }
        }
    }
}
