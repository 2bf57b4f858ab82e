// SPDX-License-Identifier: MIT
//! Secrets and configs: what differs between them.

use crate::model::{FileReference, Service};

/// What a file is that a service refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A config.
    Config,
    /// A secret.
    Secret,
}

impl FileKind {
    /// Both, in the order in which containers get them.
    pub const ALL: [Self; 2] = [Self::Config, Self::Secret];

    /// What one is called.
    pub fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Secret => "secret",
        }
    }

    /// The key by which one is found: `configs.NAME` or `secrets.NAME`.
    pub fn key(self, source: &str) -> String {
        format!("{}s.{source}", self.word())
    }

    /// Those that a service refers to.
    pub fn references(self, service: &Service) -> &[FileReference] {
        match self {
            Self::Config => &service.configs,
            Self::Secret => &service.secrets,
        }
    }

    /// Where one lies in a container; a name alone lies in the directory of its kind.
    pub fn path(self, reference: &FileReference) -> String {
        let target = reference.target.as_deref().unwrap_or(&reference.source);
        match (target.starts_with('/'), self) {
            (true, _) => target.to_owned(),
            (false, Self::Config) => format!("/{target}"),
            (false, Self::Secret) => format!("/run/secrets/{target}"),
        }
    }
}
