// SPDX-License-Identifier: MIT
//! Addresses of git repositories and of files on the web, as Docker reads them. Pure.
//!
//! Source: <https://docs.docker.com/build/concepts/context/#git-repositories>; `gitutil.ParseGitRef` and `urlutil` of BuildKit and
//! moby for what the text leaves open.

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A repository.
    Git(GitAddress),
    /// A file.
    Http(String),
}

/// Something in a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GitAddress {
    /// What `git fetch` takes.
    pub(crate) remote: String,
    /// Branch, tag or commit; `None` is what the repository says.
    pub(crate) reference: Option<String>,
    /// A directory in it, clean.
    pub(crate) directory: Option<String>,
    /// The commit that the reference has to mean, or its beginning.
    pub(crate) commit: Option<String>,
    /// Whether submodules stay empty.
    pub(crate) skips_submodules: bool,
    /// Whether `.git` stays, where the address says it.
    pub(crate) keeps_git_directory: Option<bool>,
    /// What is wrong with it.
    pub(crate) mistake: Option<String>,
}

impl Address {
    /// Reads an address; `None` when it is a path.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (remote, fragment) = text.split_once('#').unwrap_or((text, ""));
        let lower = remote.to_ascii_lowercase();
        let on_the_web = lower.starts_with("http://") || lower.starts_with("https://");
        let (path, query) = remote.split_once('?').unwrap_or((remote, ""));
        let has_suffix = path.ends_with(".git");
        let is_git = lower.starts_with("git://")
            || lower.starts_with("ssh://")
            || (on_the_web && has_suffix)
            || is_short_ssh(remote);
        if is_git {
            let mut address = GitAddress::new(path.to_owned(), fragment);
            address.mistake = address.ask(query).err();
            return Some(Self::Git(address));
        }
        if on_the_web {
            return Some(Self::Http(text.to_owned()));
        }
        // Docker took this before Go modules made such names common.
        let is_github = remote.starts_with("github.com/") && remote.split('/').count() == 3;
        is_github.then(|| Self::Git(GitAddress::new(format!("https://{remote}"), fragment)))
    }
}

impl GitAddress {
    fn new(remote: String, fragment: &str) -> Self {
        let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let cleaned = String::from_utf8_lossy(&super::path::clean(directory.as_bytes())).into_owned();
        Self {
            remote,
            reference: (!reference.is_empty()).then(|| reference.to_owned()),
            directory: (!cleaned.is_empty()).then_some(cleaned),
            ..Self::default()
        }
    }

    /// Takes over what a query says, as BuildKit's `dfgitutil.ParseGitRef`.
    fn ask(&mut self, query: &str) -> Result<(), String> {
        for field in query.split('&').filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            let value = String::from_utf8_lossy(&percent_decoded(value)).into_owned();
            match key {
                "ref" => self.name(value)?,
                "branch" => self.name(format!("refs/heads/{value}"))?,
                "tag" => self.name(format!("refs/tags/{value}"))?,
                "subdir" if self.directory.is_some() => return Err("subdir conflicts".to_owned()),
                "subdir" => {
                    let cleaned = super::path::clean(value.as_bytes());
                    let cleaned = String::from_utf8_lossy(&cleaned).into_owned();
                    self.directory = Some(cleaned).filter(|path| !path.is_empty());
                }
                "checksum" | "commit" => self.commit = Some(value),
                "keep-git-dir" => self.keeps_git_directory = Some(switch(key, &value)?),
                "submodules" => self.skips_submodules = !switch(key, &value)?,
                other => return Err(format!("unexpected query {other:?}")),
            }
        }
        Ok(())
    }

    fn name(&mut self, reference: String) -> Result<(), String> {
        match self.reference.replace(reference) {
            None => Ok(()),
            Some(_) => Err("ref conflicts".to_owned()),
        }
    }
}

/// Reads a switch of a query; without a value it is on.
fn switch(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("invalid {key} value: {value:?}")),
    }
}

/// `user@host:path`, as scp(1) has it.
fn is_short_ssh(remote: &str) -> bool {
    let Some((user, rest)) = remote.split_once('@') else {
        return false;
    };
    let word = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text
                .chars()
                .all(|each| each.is_ascii_alphanumeric() || matches!(each, '.' | '_' | '-'))
    };
    let Some((host, path)) = rest.split_once(':') else {
        return false;
    };
    word(user) && word(host) && !path.is_empty()
}

/// Returns the name of a file that is fetched: the last one of the path, as BuildKit has it.
pub(crate) fn file_name(address: &str) -> String {
    let without_scheme = address.split_once("://").map_or(address, |(_, rest)| rest);
    let path = without_scheme.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once('/').map_or("", |(_, path)| path);
    let cleaned = super::path::clean(percent_decoded(path).as_slice());
    let name = super::path::split(&cleaned).1;
    if name.is_empty() || name.contains(&0) {
        return "__unnamed__".to_owned();
    }
    String::from_utf8_lossy(name).into_owned()
}

/// What is no escape stays as it is.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let git = |remote: &str, reference: Option<&str>, directory: Option<&str>| {
            Some(Address::Git(GitAddress {
                remote: remote.to_owned(),
                reference: reference.map(str::to_owned),
                directory: directory.map(str::to_owned),
                ..GitAddress::default()
            }))
        };
        for (text, expected) in [
            ("https://a.b/c.git", git("https://a.b/c.git", None, None)),
            ("https://a.b/c.git#v1", git("https://a.b/c.git", Some("v1"), None)),
            (
                "https://a.b/c.git#v1:x/../y",
                git("https://a.b/c.git", Some("v1"), Some("y")),
            ),
            ("https://a.b/c.git#:../../y", git("https://a.b/c.git", None, Some("y"))),
            ("git://a/b", git("git://a/b", None, None)),
            (
                "git://a/b?ref=v1&subdir=x%20y",
                git("git://a/b", Some("v1"), Some("x y")),
            ),
            (
                "https://a/b.git?tag=v1",
                git("https://a/b.git", Some("refs/tags/v1"), None),
            ),
            (
                "https://a/b.git?branch=x#:y",
                git("https://a/b.git", Some("refs/heads/x"), Some("y")),
            ),
            (
                "https://a/b?x=c.git",
                Some(Address::Http("https://a/b?x=c.git".to_owned())),
            ),
            ("ssh://git@a/b", git("ssh://git@a/b", None, None)),
            ("git@a.b:c/d.git#x", git("git@a.b:c/d.git", Some("x"), None)),
            ("github.com/a/b", git("https://github.com/a/b", None, None)),
            ("github.com/a/b/c", None),
            ("github.com/a", None),
            (
                "https://a.b/c.tar.gz",
                Some(Address::Http("https://a.b/c.tar.gz".to_owned())),
            ),
            ("http://a/x#y", Some(Address::Http("http://a/x#y".to_owned()))),
            ("a/b", None),
            ("-o@x:y", None),
            ("a@b", None),
            ("user@-host:x", None),
            ("", None),
        ] {
            assert_eq!(Address::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_queries_of_repositories_say() {
        let Some(Address::Git(asked)) = Address::parse("git://a/b?commit=1234567&submodules=0&keep-git-dir") else {
            panic!("an address of git");
        };
        assert_eq!(asked.commit.as_deref(), Some("1234567"));
        assert!(asked.skips_submodules && asked.keeps_git_directory == Some(true) && asked.mistake.is_none());
        for (text, mistake) in [
            ("git://a/b?foo=x", "unexpected query \"foo\""),
            ("git://a/b?ref=x#y", "ref conflicts"),
            ("git://a/b?submodules=some", "invalid submodules value: \"some\""),
        ] {
            let Some(Address::Git(refused)) = Address::parse(text) else {
                panic!("an address of git");
            };
            assert_eq!(refused.mistake.as_deref(), Some(mistake), "{text}");
        }
    }

    #[test]
    fn names_of_files() {
        for (address, expected) in [
            ("http://a/b/c.txt", "c.txt"),
            ("http://a/b/c.txt?q=1/2", "c.txt"),
            ("http://a/b/", "b"),
            ("http://a/", "__unnamed__"),
            ("http://a", "__unnamed__"),
            ("http://a/..", "__unnamed__"),
            ("http://a/x%20y", "x y"),
            ("http://a/x%2f..%2fy", "y"),
            ("http://a/%00", "__unnamed__"),
        ] {
            assert_eq!(file_name(address), expected, "{address}");
        }
    }
}
