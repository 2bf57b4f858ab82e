// SPDX-License-Identifier: MIT
//! Listening sockets: made safely, removed at the end.
//!
//! A socket is bound under a temporary name, gets its owner and mode, and is then renamed into place: at no moment is it open to
//! anyone else. A stale socket of a dead daemon is replaced, a live one is an error.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::process::Gid;
use tokio::net::UnixListener;

/// The group that Docker's packages make for those who may use its socket.
const DOCKER_GROUP: &str = "docker";

/// A bound socket that vanishes when it is dropped, unless somebody has put another one into its place.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    path: PathBuf,
    /// Device and number of the file.
    identity: Option<(u64, u64)>,
}

impl BoundSocket {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: identity(path),
        }
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if identity(&self.path) == self.identity {
            // Somebody may have removed it already.
            drop(fs::remove_file(&self.path));
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Binds the socket at which Docker's clients look for Docker: for root and the group `docker`, where there is one.
///
/// # Errors
/// As [`may_bind_for_docker`] and [`bind`].
pub(crate) fn bind_for_docker(path: &Path) -> Result<(UnixListener, BoundSocket)> {
    may_bind_for_docker(path)?;
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let group = group_id(&groups, DOCKER_GROUP).map_or("", |_| DOCKER_GROUP);
    bind(path, group)
}

/// Tells whether Docker's clients could be served there now; asked before anything is made on the machine.
///
/// # Errors
/// When an engine answers there, or something else than a socket is there.
pub(crate) fn may_bind_for_docker(path: &Path) -> Result<()> {
    let shown = path.display();
    if UnixStream::connect(path).is_ok() {
        bail!(
            "cannot serve Docker's clients on {shown}: an engine answers there already\nhint: stop it first (systemctl stop \
             docker.socket docker), or choose another path with --docker-socket=PATH"
        );
    }
    if let Ok(file) = fs::symlink_metadata(path)
        && !file.file_type().is_socket()
    {
        bail!("cannot serve Docker's clients on {shown}: what is there is not a socket");
    }
    Ok(())
}

/// Binds a Unix socket that only root, and the group if one is given, may use.
///
/// # Errors
/// When a daemon listens there, the directory cannot be made, or the group does not exist.
pub(crate) fn bind(path: &Path, group: &str) -> Result<(UnixListener, BoundSocket)> {
    if UnixStream::connect(path).is_ok() {
        bail!("another daemon listens on {}", path.display());
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let mut staged = path.as_os_str().to_owned();
    staged.push(".new");
    let staged = PathBuf::from(staged);
    drop(fs::remove_file(&staged));
    let listener = UnixListener::bind(&staged).with_context(|| format!("cannot listen on {}", path.display()))?;
    let mode = if group.is_empty() { 0o600 } else { 0o660 };
    if !group.is_empty() {
        let gid = group_id(&fs::read_to_string("/etc/group").unwrap_or_default(), group)
            .with_context(|| format!("setting socket_group: there is no group {group}"))?;
        rustix::fs::chown(&staged, None, Some(Gid::from_raw(gid)))
            .with_context(|| format!("cannot give {} to group {group}", path.display()))?;
    }
    fs::set_permissions(&staged, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot protect {}", path.display()))?;
    fs::rename(&staged, path).with_context(|| format!("cannot listen on {}", path.display()))?;
    Ok((listener, BoundSocket::new(path)))
}

fn group_id(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_by_name() {
        let text = "root:x:0:\ndocker:x:999:a,b\n";
        assert_eq!(group_id(text, "docker"), Some(999));
        assert_eq!(group_id(text, "x"), None);
    }

    #[tokio::test]
    async fn socket_is_private_and_goes_away() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("a/b.sock");
        let (listener, socket) = bind(&path, "").expect("bound");
        assert_eq!(fs::metadata(&path).expect("socket").permissions().mode() & 0o777, 0o600);
        assert!(bind(&path, "").is_err(), "a live socket is not taken over");
        drop(listener);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn dockers_socket_is_taken_only_where_nothing_is() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("docker.sock");
        fs::write(&path, "text").expect("a file");
        let error = bind_for_docker(&path).expect_err("a file is there").to_string();
        assert!(error.ends_with("not a socket"), "{error}");
        fs::remove_file(&path).expect("removed");
        let (listener, socket) = bind_for_docker(&path).expect("bound");
        let file = fs::metadata(&path).expect("socket");
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        let expected = group_id(&groups, DOCKER_GROUP).map_or((0o600, file.gid()), |gid| (0o660, gid));
        assert_eq!((file.permissions().mode() & 0o777, file.gid()), expected);
        let error = bind_for_docker(&path).expect_err("it is served").to_string();
        assert!(error.contains("an engine answers there already"), "{error}");
        drop(listener);
        // One that nobody serves any more is replaced; the old owner leaves the new one alone.
        let (_listener, second) = bind_for_docker(&path).expect("bound again");
        drop(socket);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
