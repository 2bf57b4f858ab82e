// SPDX-License-Identifier: MIT
//! Checkouts of git repositories, made by the `git` program, as BuildKit does.
//!
//! The program knows nothing of this machine: no configuration, no hooks, no terminal, no credentials, only the protocols that
//! addresses may have. It is killed when the build is cancelled. What it makes is in a directory of its own; links in it are links of
//! a tree, which nobody follows out.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use hyperbox_types::ErrorKind;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::directory::{DirectoryTree, Owners};
use super::remote::GitAddress;
use super::scratch::ScratchDirectory;
use super::{DigestCache, EntryKind, Scratch, Tree as _, TreeError, path};
use crate::StepError;

/// As much of what `git` says is shown.
const SHOWN: usize = 4096;
/// What `git` says of a server that only has files: it cannot be asked for a part.
const NO_DEPTH: &str = "does not support shallow capabilities";
/// Variables that tell how to reach the network from this machine.
const PROXIES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// A commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Its id: 40 or 64 hexadecimal digits.
    pub(crate) id: String,
    /// What it is fetched by.
    fetched_by: String,
}

/// Runs `git`.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    pub(crate) scratch: Scratch,
    pub(crate) cancel: CancellationToken,
}

impl Git {
    /// Finds the commit that an address means now.
    ///
    /// # Errors
    /// `NotFound` when the repository does not have it; `Unavailable` when it cannot be asked.
    pub(crate) async fn resolve(&self, address: &GitAddress) -> Result<Commit, StepError> {
        if let Some(mistake) = &address.mistake {
            return Err(StepError::invalid(mistake.clone()));
        }
        let wanted = address.reference.as_deref().unwrap_or("HEAD");
        if wanted.starts_with('-') || address.remote.starts_with('-') {
            return Err(StepError::invalid(format!("invalid git reference {wanted:?}")));
        }
        if is_commit(wanted) {
            return as_asked(
                address,
                Commit {
                    id: wanted.to_owned(),
                    fetched_by: wanted.to_owned(),
                },
            );
        }
        let directory = self.directory()?;
        let peeled = format!("{wanted}^{{}}");
        let arguments = ["ls-remote", "--", &address.remote, wanted, &peeled];
        let output = self.run(directory.shown(), &arguments).await?;
        let chosen = choose(&output, wanted).ok_or_else(|| {
            StepError::not_found(format!(
                "repository does not contain ref {wanted}, output: {:?}",
                output.chars().take(SHOWN).collect::<String>()
            ))
        });
        as_asked(address, chosen?)
    }

    /// Makes a tree of a commit.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, I/O classes.
    pub(crate) async fn check_out(
        &self,
        address: &GitAddress,
        commit: &Commit,
        keep_git_directory: bool,
        digests: DigestCache,
    ) -> Result<DirectoryTree, StepError> {
        let directory = self.directory()?;
        let place = directory.shown().to_path_buf();
        self.run(&place, &["init", "-q"]).await?;
        self.run(&place, &["remote", "add", "--", "origin", &address.remote])
            .await?;
        let by_name = format!("{}:refs/fetched", commit.fetched_by);
        let fetch = [
            "fetch",
            "-q",
            "--depth=1",
            "--no-tags",
            "--",
            "origin",
            by_name.as_str(),
        ];
        let mut fetched = self.run(&place, &fetch).await;
        if matches!(&fetched, Err(error) if error.to_string().contains(NO_DEPTH)) {
            // A server of plain files gives what it has, or nothing.
            let whole: Vec<&str> = fetch.into_iter().filter(|word| *word != "--depth=1").collect();
            fetched = self.run(&place, &whole).await;
        }
        if let Err(error) = fetched {
            if commit.id != commit.fetched_by || self.cancel.is_cancelled() {
                return Err(error);
            }
            // Not every server gives a commit that no name leads to at once.
            let all = [
                "fetch",
                "-q",
                "--tags",
                "--",
                "origin",
                "+refs/heads/*:refs/remotes/origin/*",
            ];
            self.run(&place, &all).await?;
        }
        self.run(&place, &["checkout", "-q", "--detach", &commit.id, "--"])
            .await?;
        if !address.skips_submodules && place.join(".gitmodules").exists() {
            let submodules = ["submodule", "-q", "update", "--init", "--recursive", "--depth=1"];
            self.run(&place, &submodules).await?;
        }
        tokio::task::spawn_blocking({
            let wanted = address.directory.clone();
            let keep = address.keeps_git_directory.unwrap_or(keep_git_directory);
            move || finish(directory, wanted.as_deref(), keep, digests)
        })
        .await
        .map_err(|error| StepError::invalid(format!("a checkout was interrupted: {error}")))?
    }

    fn directory(&self) -> Result<ScratchDirectory, StepError> {
        self.scratch.directory().map_err(|source| StepError::Tree {
            doing: "cannot make a directory for a repository".to_owned(),
            source: TreeError::Io {
                operation: "make",
                path: "checkout".into(),
                source,
            },
        })
    }

    async fn run(&self, directory: &Path, arguments: &[&str]) -> Result<String, StepError> {
        let mut command = Command::new("git");
        command
            .args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"])
            .args(["-c", "credential.helper=", "-c", "protocol.ext.allow=never"])
            .args(["-c", "advice.detachedHead=false", "-c", "init.defaultBranch=main"])
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .envs(PROXIES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", OsStr::new("/nonexistent"))
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "true")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ALLOW_PROTOCOL", "http:https:git:ssh")
            .env("GIT_SSH_COMMAND", "ssh -F /dev/null -o BatchMode=yes")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let output = tokio::select! {
            () = self.cancel.cancelled() => return Err(StepError::Cancelled),
            output = command.output() => output,
        };
        let output = output.map_err(|error| StepError::Refused {
            kind: ErrorKind::Unsupported,
            message: format!("cannot run git, which repositories are fetched with: {error}"),
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim_end().chars().take(SHOWN).collect();
        Err(StepError::Refused {
            kind: ErrorKind::Unavailable,
            message: format!("failed to {}: git stderr:\n{said}", doing(arguments)),
        })
    }
}

fn doing(arguments: &[&str]) -> String {
    match arguments {
        ["ls-remote", _, remote, ..] => format!("fetch remote {remote}"),
        [verb, ..] => format!("{verb} a repository"),
        [] => "ask git".to_owned(),
    }
}

/// Requires the commit that the address says it should be; a beginning of seven digits is enough.
fn as_asked(address: &GitAddress, commit: Commit) -> Result<Commit, StepError> {
    match &address.commit {
        Some(wanted) if wanted.len() < 7 || !commit.id.starts_with(wanted.as_str()) => Err(StepError::invalid(
            format!("expected checksum to match {wanted}, got {}", commit.id),
        )),
        _ => Ok(commit),
    }
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}

/// Chooses among the lines of `git ls-remote`: the name itself, a tag (what it was put on), a branch.
fn choose(output: &str, wanted: &str) -> Option<Commit> {
    let lines: Vec<(&str, &str)> = output.lines().filter_map(|line| line.split_once('\t')).collect();
    let find = |name: &str| lines.iter().find(|(_, known)| *known == name);
    let names = [
        wanted.to_owned(),
        format!("refs/tags/{wanted}"),
        format!("refs/heads/{wanted}"),
        format!("refs/{wanted}"),
    ];
    let name = names.iter().find(|name| find(name).is_some())?;
    let (id, _) = find(&format!("{name}^{{}}")).or_else(|| find(name))?;
    is_commit(id).then(|| Commit {
        id: (*id).to_owned(),
        fetched_by: name.clone(),
    })
}

fn finish(
    directory: ScratchDirectory,
    wanted: Option<&str>,
    keep_git_directory: bool,
    digests: DigestCache,
) -> Result<DirectoryTree, StepError> {
    let failed = |source: TreeError| StepError::Tree {
        doing: "cannot use a checkout".to_owned(),
        source,
    };
    let place = directory.shown().to_path_buf();
    if !keep_git_directory {
        std::fs::remove_dir_all(place.join(".git")).map_err(|source| {
            failed(TreeError::Io {
                operation: "remove",
                path: ".git".into(),
                source,
            })
        })?;
    }
    let whole = DirectoryTree::open(&place, Owners::Root, digests.clone()).map_err(failed)?;
    let Some(wanted) = wanted else {
        return Ok(whole.owning(directory));
    };
    // Links in the checkout are somebody else's: none on the way is followed.
    let entry = whole.entry(&path::as_path(wanted.as_bytes())).map_err(failed)?;
    match entry.map(|entry| entry.kind) {
        Some(EntryKind::Directory) => {}
        Some(_) => return Err(StepError::invalid(format!("subdir not a directory {wanted}"))),
        None => return Err(StepError::not_found(format!("subdir not found {wanted}"))),
    }
    let part = DirectoryTree::open(&place.join(wanted), Owners::Root, digests).map_err(failed)?;
    Ok(part.owning(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_commits() {
        let id = |digit: &str| digit.repeat(40);
        let (one, two, three) = (id("1"), id("2"), id("3"));
        let output = format!(
            "{one}\tHEAD\n{one}\trefs/heads/v1\n{two}\trefs/tags/v1\n{three}\trefs/tags/v1^{{}}\n{two}\trefs/heads/a/v2\n{two}\trefs/pull/1/head\n"
        );
        let chosen = |wanted: &str| choose(&output, wanted).map(|commit| commit.id);
        assert_eq!(chosen("HEAD"), Some(one.clone()));
        assert_eq!(chosen("v1"), Some(three));
        assert_eq!(chosen("refs/heads/v1"), Some(one));
        assert_eq!(chosen("pull/1/head"), Some(two));
        assert_eq!(chosen("v2"), None);
        assert_eq!(choose("--upload-pack=x\tHEAD\n", "HEAD"), None);
    }
}
