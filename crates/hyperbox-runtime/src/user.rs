// SPDX-License-Identifier: MIT
//! Who a process runs as: Docker's `user[:group]` resolved in the image's own `/etc/passwd` and `/etc/group`.
//!
//! The files belong to a stranger. They are opened with `openat2(2)` and `RESOLVE_IN_ROOT`, so that symbolic links cannot lead
//! out of the root, never block on a device or pipe, and are read up to a limit. Parsing is pure.

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use hyperbox_types::ErrorKind;
use hyperbox_types::shim::UserSpec;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// No sane file is larger; a larger one is cut there.
const LIMIT: u64 = 8 << 20;

/// A user with numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids: the primary one, then the others without duplicates, as Docker gives them.
    pub additional_gids: Vec<u32>,
    /// Home directory; `/` when the user has no entry.
    pub home: PathBuf,
}

/// Why a user could not be resolved. The texts are those of Docker Engine.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UserError {
    /// No such user.
    #[error("unable to find user {name}: no matching entries in passwd file")]
    NoUser {
        /// The name asked for.
        name: String,
    },
    /// No such group.
    #[error("unable to find group {name}: no matching entries in group file")]
    NoGroup {
        /// The name asked for.
        name: String,
    },
    /// A number that is no id.
    #[error("uids and gids must be in range 0-2147483647")]
    OutOfRange,
    /// The root filesystem could not be read.
    #[error("cannot read {file} of the image: {cause}")]
    Unreadable {
        /// Which file.
        file: &'static str,
        /// Why.
        cause: Errno,
    },
}

impl UserError {
    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

/// Resolves a user inside the root filesystem `root`, an open directory.
///
/// # Errors
/// A name without an entry, a number out of range, or an unreadable file. Missing files are as empty ones.
pub fn resolve_user(root: BorrowedFd<'_>, user: &UserSpec) -> Result<ResolvedUser, UserError> {
    let passwd = read_in_root(root, "etc/passwd")?;
    let group = read_in_root(root, "etc/group")?;
    resolve(&passwd, &group, user)
}

fn read_in_root(root: BorrowedFd<'_>, file: &'static str) -> Result<String, UserError> {
    let unreadable = |cause| UserError::Unreadable { file, cause };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let opened = match rustix::fs::openat2(root, file, flags, Mode::empty(), resolve) {
        Ok(opened) => opened,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(String::new()),
        Err(cause) => return Err(unreadable(cause)),
    };
    let status = rustix::fs::fstat(&opened).map_err(unreadable)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    std::fs::File::from(opened)
        .take(LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One line of `/etc/passwd`.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// One line of `/etc/group`.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let home = fields.nth(1).unwrap_or_default();
        Some(Account { name, uid, gid, home })
    })
}

fn groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    group.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let gid = fields.next()?.parse().ok()?;
        let members = fields.next().unwrap_or_default();
        Some(Group { name, gid, members })
    })
}

/// Parses an id as Docker does: a name wins over a number, so this is only asked when no name matched.
fn parse_id(text: &str) -> Option<Result<u32, UserError>> {
    let number: i64 = text.parse().ok()?;
    Some(
        u32::try_from(number)
            .ok()
            .filter(|id| *id <= i32::MAX.cast_unsigned())
            .ok_or(UserError::OutOfRange),
    )
}

/// Decides the ids from the text of both files.
fn resolve(passwd: &str, group: &str, spec: &UserSpec) -> Result<ResolvedUser, UserError> {
    let (user, wished_group) = match spec.user.split_once(':') {
        Some((user, group)) => (user, group),
        None => (spec.user.as_str(), ""),
    };
    let numeric = parse_id(user);
    let account = if user.is_empty() {
        accounts(passwd).find(|account| account.uid == 0)
    } else {
        accounts(passwd)
            .find(|account| account.name == user || matches!(&numeric, Some(Ok(uid)) if account.uid == *uid))
    };
    let (uid, default_gid) = match (&account, user.is_empty(), numeric) {
        (Some(account), ..) => (account.uid, account.gid),
        (None, true, _) => (0, 0),
        (None, false, Some(number)) => (number?, 0),
        (None, false, None) => return Err(UserError::NoUser { name: user.to_owned() }),
    };
    let mut additional = Vec::new();
    let gid = if wished_group.is_empty() {
        // Memberships count only when no group was asked for, as in Docker.
        if let Some(account) = &account {
            additional.extend(
                groups(group)
                    .filter(|entry| entry.members.split(',').any(|member| member == account.name))
                    .map(|entry| entry.gid),
            );
        }
        default_gid
    } else {
        find_group(group, wished_group)?
    };
    for wished in &spec.additional_groups {
        additional.push(find_group(group, wished)?);
    }
    let mut seen = std::collections::BTreeSet::new();
    additional.retain(|gid| seen.insert(*gid));
    // Without the primary group among them, a file's group permissions could be evaded by dropping it (CVE-2022-36109).
    additional.insert(0, gid);
    let home = account
        .as_ref()
        .map(|account| account.home)
        .filter(|home| !home.is_empty());
    Ok(ResolvedUser {
        uid,
        gid,
        additional_gids: additional,
        home: PathBuf::from(home.unwrap_or("/")),
    })
}

fn find_group(group: &str, wished: &str) -> Result<u32, UserError> {
    let numeric = parse_id(wished);
    if let Some(entry) =
        groups(group).find(|entry| entry.name == wished || matches!(&numeric, Some(Ok(gid)) if entry.gid == *gid))
    {
        return Ok(entry.gid);
    }
    numeric.unwrap_or_else(|| {
        Err(UserError::NoGroup {
            name: wished.to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:w:/var/www:/bin/false\nbroken\n1000:x:7:8::/seven:\n";
    const GROUP: &str = "root:x:0:\nweb:x:33:\naudio:x:29:web,other\nvideo:x:44:web\nempty:x:50:\n";

    fn spec(user: &str, groups: &[&str]) -> UserSpec {
        UserSpec {
            user: user.into(),
            additional_groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    #[test]
    fn users_and_groups() {
        for (user, extra, expected) in [
            ("", &[][..], Ok((0, 0, vec![0], "/root"))),
            ("web", &[], Ok((33, 33, vec![33, 29, 44], "/var/www"))),
            ("33", &[], Ok((33, 33, vec![33, 29, 44], "/var/www"))),
            ("web:audio", &[], Ok((33, 29, vec![29], "/var/www"))),
            (
                "web:77",
                &["audio", "audio", "1234"],
                Ok((33, 77, vec![77, 29, 1234], "/var/www")),
            ),
            ("web:audio", &["audio"], Ok((33, 29, vec![29, 29], "/var/www"))),
            ("4242", &[], Ok((4242, 0, vec![0], "/"))),
            ("4242:43", &[], Ok((4242, 43, vec![43], "/"))),
            ("1000", &[], Ok((7, 8, vec![8], "/seven"))),
            (":audio", &[], Ok((0, 29, vec![29], "/root"))),
            (
                "nobody",
                &[],
                Err("unable to find user nobody: no matching entries in passwd file"),
            ),
            (
                "web:none",
                &[],
                Err("unable to find group none: no matching entries in group file"),
            ),
            (
                "web",
                &["none"],
                Err("unable to find group none: no matching entries in group file"),
            ),
            ("-1", &[], Err("uids and gids must be in range 0-2147483647")),
            ("4294967296", &[], Err("uids and gids must be in range 0-2147483647")),
        ] {
            let got = resolve(PASSWD, GROUP, &spec(user, extra))
                .map(|user| {
                    (
                        user.uid,
                        user.gid,
                        user.additional_gids,
                        user.home.display().to_string(),
                    )
                })
                .map_err(|error| error.to_string());
            let expected = expected
                .map(|(uid, gid, groups, home)| (uid, gid, groups, home.to_owned()))
                .map_err(str::to_owned);
            assert_eq!(got, expected, "{user} {extra:?}");
        }
    }
}
