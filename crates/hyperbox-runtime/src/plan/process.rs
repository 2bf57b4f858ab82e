// SPDX-License-Identifier: MIT
//! What a process becomes: identity, limits, directory and command, in the form that a child can use without allocating. Pure.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hyperbox_sys::execute::StringArray;
use hyperbox_types::shim::CommandFault;
use oci_spec::runtime::{PosixRlimitType, Process};
use rustix::process::{Resource, Rlimit};

use super::capabilities::CapabilityPlan;
use super::target::{Target, TargetKind, c_string};
use crate::error::StartError;
use crate::user::ResolvedUser;

/// Where a command is looked for when its environment names no place.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How the command was named.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// By a path: this one.
    Path(CString),
    /// By a name: one of these, in order.
    Candidates(Vec<CString>),
}

/// A process, ready to become.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    pub lookup: Lookup,
    pub arguments: StringArray,
    pub environment: StringArray,
    /// The working directory, absolute in the container.
    pub directory: CString,
    /// The same as a place to create; `None` for the root.
    pub directory_target: Option<Target>,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<rustix::fs::Gid>,
    pub umask: u32,
    /// `None` keeps what the shim has.
    pub capabilities: Option<CapabilityPlan>,
    pub no_new_privileges: bool,
    pub limits: Vec<(Resource, Rlimit)>,
    /// Text for `/proc/self/oom_score_adj`.
    pub oom_score: Option<(i32, CString)>,
    /// Text for `/proc/self/attr/apparmor/exec`.
    pub apparmor: Option<CString>,
    /// The command as messages name it.
    pub shown_command: String,
}

impl ProcessPlan {
    /// Prepares a process for a resolved user.
    pub(crate) fn new(process: &Process, user: &ResolvedUser) -> Result<Self, StartError> {
        let arguments = process.args().as_deref().unwrap_or_default();
        let command = arguments.first().filter(|command| !command.is_empty());
        let Some(command) = command else {
            return Err(no_command(arguments.is_empty()));
        };
        let environment = environment(process.env().as_deref().unwrap_or_default(), user);
        let cwd = process.cwd();
        if !cwd.is_absolute() {
            return Err(StartError::invalid(format!(
                "the working directory {:?} is not an absolute path",
                cwd.display().to_string()
            )));
        }
        Ok(Self {
            lookup: lookup(command, &environment)?,
            arguments: strings(arguments)?,
            environment: strings(&environment)?,
            directory: c_string(cwd).ok_or_else(zero_byte)?,
            directory_target: Target::new(cwd, TargetKind::Directory),
            uid: user.uid,
            gid: user.gid,
            groups: user
                .additional_gids
                .iter()
                .map(|gid| rustix::fs::Gid::from_raw(*gid))
                .collect(),
            umask: process.user().umask().unwrap_or(0o022),
            capabilities: process.capabilities().as_ref().map(CapabilityPlan::new),
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            limits: limits(process),
            oom_score: oom_score(process)?,
            apparmor: apparmor(process)?,
            shown_command: command.clone(),
        })
    }
}

fn no_command(none_at_all: bool) -> StartError {
    if none_at_all {
        return StartError::invalid("process.args is empty");
    }
    StartError::Command {
        fault: CommandFault::NotFound,
        message: "exec: \"\": executable file not found in $PATH".to_owned(),
    }
}

fn zero_byte() -> StartError {
    StartError::invalid("a string of the process contains a zero byte")
}

fn strings(list: &[String]) -> Result<StringArray, StartError> {
    let strings = list
        .iter()
        .map(|string| c_string(string).ok_or_else(zero_byte))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(StringArray::new(strings))
}

/// Adds `HOME` as Docker does: from the user's entry, unless the configuration sets it.
fn environment(configured: &[String], user: &ResolvedUser) -> Vec<String> {
    let mut environment = configured.to_vec();
    if !environment.iter().any(|variable| variable.starts_with("HOME=")) {
        environment.push(format!("HOME={}", user.home.display()));
    }
    environment
}

fn lookup(command: &str, environment: &[String]) -> Result<Lookup, StartError> {
    if command.contains('/') {
        return Ok(Lookup::Path(c_string(command).ok_or_else(zero_byte)?));
    }
    let path = environment
        .iter()
        .rev()
        .find_map(|variable| variable.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH);
    let candidates = path
        .split(':')
        .map(|directory| if directory.is_empty() { "." } else { directory })
        .map(|directory| c_string(Path::new(directory).join(command)).ok_or_else(zero_byte))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Lookup::Candidates(candidates))
}

fn limits(process: &Process) -> Vec<(Resource, Rlimit)> {
    let finite = |value: u64| (value != u64::MAX).then_some(value);
    process
        .rlimits()
        .as_deref()
        .unwrap_or_default()
        .iter()
        .map(|limit| {
            let value = Rlimit {
                current: finite(limit.soft()),
                maximum: finite(limit.hard()),
            };
            (resource(limit.typ()), value)
        })
        .collect()
}

fn resource(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    }
}

fn oom_score(process: &Process) -> Result<Option<(i32, CString)>, StartError> {
    let Some(score) = process.oom_score_adj() else {
        return Ok(None);
    };
    if !(-1000..=1000).contains(&score) {
        return Err(StartError::invalid(format!(
            "oom_score_adj {score} is not between -1000 and 1000"
        )));
    }
    Ok(c_string(score.to_string()).map(|text| (score, text)))
}

fn apparmor(process: &Process) -> Result<Option<CString>, StartError> {
    let profile = process.apparmor_profile().as_deref().unwrap_or_default();
    if profile.is_empty() {
        return Ok(None);
    }
    c_string(format!("exec {profile}")).map(Some).ok_or_else(zero_byte)
}

/// Returns whether this kernel enforces AppArmor profiles. Without, a profile in a configuration means nothing, as in Docker.
pub(crate) fn apparmor_enabled() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.first() == Some(&b'Y'))
}

/// Makes the error for a command that could not be executed, in the words Docker's clients look for.
pub(crate) fn command_error(command: &str, fault: crate::report::ExecFault, errno: rustix::io::Errno) -> StartError {
    use crate::report::ExecFault;
    let (fault, message) = match fault {
        ExecFault::NotInPath => (
            CommandFault::NotFound,
            format!("exec: {command:?}: executable file not found in $PATH"),
        ),
        ExecFault::NoFile => (
            CommandFault::NotFound,
            format!("exec: {command:?}: stat {command}: no such file or directory"),
        ),
        ExecFault::NoInterpreter => (
            CommandFault::NotFound,
            format!("exec {command}: no such file or directory"),
        ),
        ExecFault::Directory => (
            CommandFault::NotExecutable,
            format!("exec: {command:?}: is a directory: permission denied"),
        ),
        ExecFault::Denied => (
            CommandFault::NotExecutable,
            format!("exec: {command:?}: permission denied"),
        ),
        ExecFault::Other => (
            CommandFault::NotExecutable,
            format!("exec {command}: {}", errno_text(errno)),
        ),
    };
    StartError::Command { fault, message }
}

/// The C library's words for the errors of `execve`, in lower case as Go writes them.
fn errno_text(errno: rustix::io::Errno) -> String {
    use rustix::io::Errno;
    match errno {
        Errno::NOEXEC => "exec format error".to_owned(),
        Errno::TOOBIG => "argument list too long".to_owned(),
        Errno::TXTBSY => "text file busy".to_owned(),
        Errno::PERM => "operation not permitted".to_owned(),
        Errno::LOOP => "too many levels of symbolic links".to_owned(),
        Errno::NOTDIR => "not a directory".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

impl ProcessPlan {
    /// Returns the working directory for messages.
    pub(crate) fn shown_directory(&self) -> String {
        Path::new(std::ffi::OsStr::from_bytes(self.directory.as_bytes()))
            .display()
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(command: &str, environment: &[&str]) -> Vec<String> {
        let environment: Vec<String> = environment.iter().map(|variable| (*variable).to_owned()).collect();
        match lookup(command, &environment).unwrap() {
            Lookup::Path(path) => vec![path.into_string().unwrap()],
            Lookup::Candidates(list) => list.into_iter().map(|path| path.into_string().unwrap()).collect(),
        }
    }

    #[test]
    fn commands_are_looked_up() {
        assert_eq!(candidates("/bin/sh", &[]), ["/bin/sh"]);
        assert_eq!(candidates("bin/sh", &["PATH=/x"]), ["bin/sh"]);
        assert_eq!(candidates("sh", &["PATH=/a:/b/"]), ["/a/sh", "/b/sh"]);
        assert_eq!(candidates("sh", &["PATH=:/b"]), ["./sh", "/b/sh"]);
        assert_eq!(candidates("sh", &[]).len(), 6);
    }

    #[test]
    fn home_is_added_once() {
        let user = ResolvedUser {
            uid: 0,
            gid: 0,
            additional_gids: vec![],
            home: "/root".into(),
        };
        assert_eq!(environment(&["A=1".into()], &user), ["A=1", "HOME=/root"]);
        assert_eq!(environment(&["HOME=/x".into()], &user), ["HOME=/x"]);
    }
}
