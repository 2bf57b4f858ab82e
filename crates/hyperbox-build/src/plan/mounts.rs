// SPDX-License-Identifier: MIT
//! `RUN --mount`: defaults and numbers.

use hyperbox_core::image::change;
use hyperbox_dockerfile::{Lines, Mount, MountKind};
use hyperbox_types::ByteSize;

use super::refused;
use super::stage::Work;
use super::step::{PlannedMount, PlannedMountKind, Reference};
use crate::BuildError;
use crate::step::{SecretMount, SshMount};

/// Evaluates one field of a mount.
struct Fields<'a, 'b> {
    work: &'a Work<'b>,
    lines: Lines,
}

impl Fields<'_, '_> {
    fn text(&self, field: Option<&String>) -> Result<Option<String>, BuildError> {
        field.map(|text| self.work.word(text, self.lines)).transpose()
    }

    fn number(&self, name: &str, field: Option<&String>, default: u32) -> Result<u32, BuildError> {
        let Some(text) = self.text(field)? else {
            return Ok(default);
        };
        text.parse()
            .map_err(|_| refused(&format!("invalid value {text} for {name}"), self.lines))
    }

    fn mode(&self, field: Option<&String>, default: u32) -> Result<u32, BuildError> {
        let Some(text) = self.text(field)? else {
            return Ok(default);
        };
        u32::from_str_radix(&text, 8).map_err(|_| refused(&format!("invalid value {text} for mode"), self.lines))
    }

    fn source(&self, from: Option<&String>) -> Result<Reference, BuildError> {
        match from {
            None => Ok(Reference::Context),
            Some(from) => self.work.reference(from, self.lines),
        }
    }

    /// A path of a tree.
    fn path(&self, field: Option<&String>) -> Result<String, BuildError> {
        Ok(change::directory("/", &self.text(field)?.unwrap_or_default()))
    }
}

/// Plans a mount; `position` is its place among those of the instruction.
///
/// # Errors
/// Malformed numbers, references that lead nowhere.
pub(super) fn plan(work: &Work<'_>, mount: &Mount, position: usize, lines: Lines) -> Result<PlannedMount, BuildError> {
    let fields = Fields { work, lines };
    let working_dir = &work.evaluated.image.config.working_dir;
    let target = fields.text(mount.target.as_ref())?;
    let mut target = target.map(|path| change::directory(working_dir, &path));
    if target.as_deref() == Some("/") {
        return Err(refused(&"invalid mount target \"/\"", lines));
    }
    let kind = match &mount.kind {
        MountKind::Bind { from, source } => PlannedMountKind::Bind {
            from: fields.source(from.as_ref())?,
            path: fields.path(source.as_ref())?,
        },
        MountKind::Cache {
            id,
            sharing,
            from,
            source,
            mode,
            uid,
            gid,
        } => PlannedMountKind::Cache {
            id: fields.text(id.as_ref())?.or_else(|| target.clone()).unwrap_or_default(),
            sharing: *sharing,
            initial: match from {
                Some(_) => Some((fields.source(from.as_ref())?, fields.path(source.as_ref())?)),
                None => None,
            },
            mode: fields.mode(mode.as_ref(), 0o755)?,
            uid: fields.number("uid", uid.as_ref(), 0)?,
            gid: fields.number("gid", gid.as_ref(), 0)?,
        },
        MountKind::Tmpfs { size } => PlannedMountKind::Tmpfs {
            size: match fields.text(size.as_ref())? {
                Some(text) => {
                    let size = ByteSize::parse(&text);
                    Some(size.map_err(|_| refused(&format!("invalid value for size: {text}"), lines))?)
                }
                None => None,
            },
        },
        MountKind::Secret { .. } => {
            let (secret, path) = secret(&fields, &mount.kind, target)?;
            target = path;
            secret
        }
        MountKind::Ssh {
            id,
            required,
            mode,
            uid,
            gid,
        } => {
            target.get_or_insert_with(|| format!("/run/buildkit/ssh_agent.{position}"));
            PlannedMountKind::Ssh(SshMount {
                id: fields.text(id.as_ref())?.unwrap_or_else(|| "default".to_owned()),
                required: *required,
                mode: fields.mode(mode.as_ref(), 0o600)?,
                uid: fields.number("uid", uid.as_ref(), 0)?,
                gid: fields.number("gid", gid.as_ref(), 0)?,
            })
        }
    };
    Ok(PlannedMount {
        target,
        read_only: mount.read_only,
        kind,
    })
}

/// A secret is a file below `/run/secrets`, unless it says where it is or is only a variable.
fn secret(
    fields: &Fields<'_, '_>,
    kind: &MountKind,
    target: Option<String>,
) -> Result<(PlannedMountKind, Option<String>), BuildError> {
    let MountKind::Secret {
        id,
        environment,
        required,
        mode,
        uid,
        gid,
    } = kind
    else {
        return Err(refused(&"not a secret", fields.lines));
    };
    let last = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
    let id = match (fields.text(id.as_ref())?, &target) {
        (Some(id), _) if !id.is_empty() => id,
        (_, Some(target)) => last(target),
        (_, None) => {
            return Err(refused(
                &"invalid secret mount. one of source, target required",
                fields.lines,
            ));
        }
    };
    let environment = fields.text(environment.as_ref())?;
    let target = match (target, &environment) {
        (Some(target), _) => Some(target),
        (None, Some(_)) => None,
        (None, None) => Some(format!("/run/secrets/{}", last(&id))),
    };
    let mount = SecretMount {
        id,
        environment,
        required: *required,
        mode: fields.mode(mode.as_ref(), 0o400)?,
        uid: fields.number("uid", uid.as_ref(), 0)?,
        gid: fields.number("gid", gid.as_ref(), 0)?,
    };
    Ok((PlannedMountKind::Secret(mount), target))
}
