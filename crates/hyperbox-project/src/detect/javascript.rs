// SPDX-License-Identifier: MIT
//! `package.json`: scripts, dependencies, and which program installs them.

use serde_json::Value;

use super::folder::{Folder, version};

/// A folder's `package.json`.
pub(crate) struct Package(Value);

/// What installs dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Installer {
    Npm,
    Pnpm,
    Yarn,
    Bun,
}

impl Package {
    pub(crate) fn of(folder: &Folder<'_>) -> Self {
        Self(folder.json("package.json"))
    }

    /// Whether there is a script of this name.
    pub(crate) fn script(&self, name: &str) -> bool {
        self.0["scripts"][name].is_string()
    }

    /// Whether it depends on a package.
    pub(crate) fn needs(&self, name: &str) -> bool {
        ["dependencies", "devDependencies"]
            .iter()
            .any(|kind| !self.0[*kind][name].is_null())
    }

    /// The file that `main` names.
    pub(crate) fn main(&self) -> Option<&str> {
        self.0["main"].as_str()
    }

    /// The version of Node.js that it is for.
    pub(crate) fn engine(&self) -> Option<String> {
        version(self.0["engines"]["node"].as_str()?, 1)
    }

    /// What `packageManager` says.
    fn manager(&self) -> &str {
        self.0["packageManager"].as_str().unwrap_or_default()
    }
}

impl Installer {
    /// The one whose lock file is there, or that `package.json` names; tells why.
    pub(crate) fn of(folder: &Folder<'_>, package: &Package) -> (Self, &'static str) {
        const LOCKS: [(&str, Installer); 6] = [
            ("pnpm-lock.yaml", Installer::Pnpm),
            ("yarn.lock", Installer::Yarn),
            ("bun.lock", Installer::Bun),
            ("bun.lockb", Installer::Bun),
            ("package-lock.json", Installer::Npm),
            ("npm-shrinkwrap.json", Installer::Npm),
        ];
        if let Some((name, installer)) = LOCKS.iter().find(|(name, _)| folder.has(name)) {
            return (*installer, name);
        }
        let named = [("pnpm", Self::Pnpm), ("yarn", Self::Yarn), ("bun", Self::Bun)];
        let manager = package.manager();
        match named.iter().find(|(name, _)| manager.starts_with(name)) {
            Some((_, installer)) => (*installer, "package.json"),
            None => (Self::Npm, ""),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
            Self::Bun => "bun",
        }
    }

    /// The line that installs what the lock file says, or what is wanted when there is none.
    pub(crate) fn install(self, locked: bool) -> &'static str {
        match (self, locked) {
            (Self::Npm, true) => "RUN --mount=type=cache,target=/root/.npm npm ci",
            (Self::Npm, false) => "RUN --mount=type=cache,target=/root/.npm npm install",
            (Self::Pnpm, true) => "RUN corepack enable && pnpm install --frozen-lockfile",
            (Self::Pnpm, false) => "RUN corepack enable && pnpm install",
            (Self::Yarn, true) => "RUN corepack enable && yarn install --immutable || yarn install --frozen-lockfile",
            (Self::Yarn, false) => "RUN corepack enable && yarn install",
            (Self::Bun, true) => "RUN bun install --frozen-lockfile",
            (Self::Bun, false) => "RUN bun install",
        }
    }
}
