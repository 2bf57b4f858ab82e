// SPDX-License-Identifier: MIT
//! `RUN --mount=type=…`: what a command sees for its own time only.

use crate::flag::with_suggestion;

/// A mount of a RUN instruction. Texts may hold variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// Where it is seen; `None` where the kind has a place of its own.
    pub target: Option<String>,
    /// Whether it refuses writes.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// Files of a stage, an image or the context.
    Bind {
        /// Stage or image; `None` is the context.
        from: Option<String>,
        /// Path in it; `None` is all.
        source: Option<String>,
    },
    /// A directory that stays from build to build.
    Cache {
        /// What names it; `None` is the target.
        id: Option<String>,
        /// Who else may have it at the same time.
        sharing: CacheSharing,
        /// What it begins with.
        from: Option<String>,
        /// Path in that.
        source: Option<String>,
        /// Mode of the directory, octal digits.
        mode: Option<String>,
        /// Owner of the directory.
        uid: Option<String>,
        /// Group of the directory.
        gid: Option<String>,
    },
    /// A filesystem in memory.
    Tmpfs {
        /// Its size, as written.
        size: Option<String>,
    },
    /// A file that no layer ever holds.
    Secret {
        /// What names it; `None` is the last part of the target.
        id: Option<String>,
        /// The environment variable that holds it, instead of a file.
        environment: Option<String>,
        /// Whether a build without it fails.
        required: bool,
        /// Mode of the file, octal digits.
        mode: Option<String>,
        /// Owner of the file.
        uid: Option<String>,
        /// Group of the file.
        gid: Option<String>,
    },
    /// The socket of an SSH agent.
    Ssh {
        /// What names it; `None` is `default`.
        id: Option<String>,
        /// Whether a build without it fails.
        required: bool,
        /// Mode of the socket, octal digits.
        mode: Option<String>,
        /// Owner of the socket.
        uid: Option<String>,
        /// Group of the socket.
        gid: Option<String>,
    },
}

/// Who may use a cache mount at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheSharing {
    /// Everybody.
    Shared,
    /// One; another one gets a new one.
    Private,
    /// One; another one waits.
    Locked,
}

/// The fields as they were written.
#[derive(Debug, Default)]
struct Fields {
    kind: String,
    from: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: Option<bool>,
    id: Option<String>,
    sharing: Option<CacheSharing>,
    size: Option<String>,
    required: Option<bool>,
    environment: Option<String>,
    mode: Option<String>,
    uid: Option<String>,
    gid: Option<String>,
}

const KEYS: [&str; 16] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "rw",
    "readwrite",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
];
const KINDS: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];

/// Why a text is no mount, in Docker's words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MountError {
    /// It is no list of fields.
    List(String),
    /// A field is not as it should be; Docker finds that when it carries the instruction out, and names no line.
    Field(String),
}

impl Mount {
    /// Reads the value of the flag: fields as comma-separated values.
    pub(crate) fn parse(text: &str) -> Result<Self, MountError> {
        let list = |reason: &str| MountError::List(format!("failed to parse csv mounts: {reason}"));
        if text.is_empty() {
            return Err(list("EOF"));
        }
        let texts = csv(text).map_err(|reason| list(&reason))?;
        if texts.iter().any(|field| names_a_stage_by_variable(field)) {
            let message = "'from' doesn't support variable expansion, define alias stage instead";
            return Err(MountError::List(message.to_owned()));
        }
        let mut fields = Fields {
            kind: "bind".to_owned(),
            ..Fields::default()
        };
        let read = texts.iter().try_for_each(|field| fields.set(field));
        read.and_then(|()| fields.finish()).map_err(MountError::Field)
    }
}

/// A stage has to be known before anything is evaluated.
fn names_a_stage_by_variable(field: &str) -> bool {
    let named = field.split_once('=');
    named.is_some_and(|(key, value)| key.eq_ignore_ascii_case("from") && value.contains('$'))
}

impl Fields {
    fn set(&mut self, field: &str) -> Result<(), String> {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value.to_owned())),
            None => (field.to_ascii_lowercase(), None),
        };
        let switch = |value: &Option<String>| match value.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(format!(
                "invalid value for {key}: {}",
                value.as_deref().unwrap_or_default()
            )),
        };
        match key.as_str() {
            "readonly" | "ro" => self.read_only = Some(switch(&value)?),
            "rw" | "readwrite" => self.read_only = Some(!switch(&value)?),
            "required" => self.required = Some(switch(&value)?),
            _ => {
                let Some(value) = value else {
                    return Err(format!("invalid field '{field}' must be a key=value pair"));
                };
                self.set_text(&key, value)?;
            }
        }
        Ok(())
    }

    fn set_text(&mut self, key: &str, value: String) -> Result<(), String> {
        match key {
            "type" if KINDS.contains(&value.to_ascii_lowercase().as_str()) => self.kind = value.to_ascii_lowercase(),
            "type" => {
                return Err(with_suggestion(
                    format!("unsupported mount type {value:?}"),
                    &value,
                    &KINDS,
                ));
            }
            "from" => self.from = Some(value).filter(|from| !from.is_empty()),
            "source" | "src" => self.source = Some(value),
            "target" | "dst" | "destination" => self.target = Some(value),
            "id" => self.id = Some(value),
            "sharing" => {
                self.sharing = Some(match value.as_str() {
                    "shared" => CacheSharing::Shared,
                    "private" => CacheSharing::Private,
                    "locked" => CacheSharing::Locked,
                    _ => return Err(format!("unsupported sharing value {value:?}")),
                });
            }
            "size" => self.size = Some(value),
            "env" => self.environment = Some(value),
            "mode" => self.mode = Some(value),
            "uid" => self.uid = Some(value),
            "gid" => self.gid = Some(value),
            _ => {
                let message = format!("unexpected key '{key}' in '{key}={value}'");
                return Err(with_suggestion(message, key, &KEYS));
            }
        }
        Ok(())
    }

    /// Refuses fields that mean nothing for the kind, with BuildKit's words.
    fn refuse_what_is_for_other_kinds(&self) -> Result<(), String> {
        let kind = self.kind.as_str();
        let unexpected = |key: &str| Err(format!("unexpected key '{key}' for mount type '{kind}'"));
        if self.required.is_some() && !matches!(kind, "secret" | "ssh") {
            return unexpected("required");
        }
        if self.size.is_some() && kind != "tmpfs" {
            return unexpected("size");
        }
        if matches!(kind, "bind" | "tmpfs") {
            for (key, field) in [("mode", &self.mode), ("uid", &self.uid), ("gid", &self.gid)] {
                if field.is_some() {
                    return Err(format!("{key} not allowed for {kind:?} type mounts"));
                }
            }
        }
        if self.sharing.is_some() && kind != "cache" {
            return Err(format!("invalid cache sharing set for {kind} mount"));
        }
        if self.source.is_some() && kind == "ssh" {
            return Err("ssh does not support source".to_owned());
        }
        Ok(())
    }

    fn finish(self) -> Result<Mount, String> {
        let needs_target = matches!(self.kind.as_str(), "bind" | "cache" | "tmpfs");
        if needs_target && self.target.as_deref().is_none_or(str::is_empty) {
            return Err("invalid mount target \"/\"".to_owned());
        }
        self.refuse_what_is_for_other_kinds()?;
        if self.from.is_some() && matches!(self.kind.as_str(), "tmpfs" | "secret" | "ssh") {
            return Err(format!("{} mount should not have a from", self.kind));
        }
        let required = self.required.unwrap_or(false);
        let (read_only, kind) = match self.kind.as_str() {
            "cache" => (
                self.read_only.unwrap_or(false),
                MountKind::Cache {
                    id: self.id,
                    sharing: self.sharing.unwrap_or(CacheSharing::Shared),
                    from: self.from,
                    source: self.source,
                    mode: self.mode,
                    uid: self.uid,
                    gid: self.gid,
                },
            ),
            "tmpfs" => (self.read_only.unwrap_or(false), MountKind::Tmpfs { size: self.size }),
            "secret" => (
                true,
                MountKind::Secret {
                    id: self.id.or(self.source),
                    environment: self.environment,
                    required,
                    mode: self.mode,
                    uid: self.uid,
                    gid: self.gid,
                },
            ),
            "ssh" => (
                true,
                MountKind::Ssh {
                    id: self.id,
                    required,
                    mode: self.mode,
                    uid: self.uid,
                    gid: self.gid,
                },
            ),
            // Writes to what is bound are possible if asked for, and lost.
            _ => (
                self.read_only.unwrap_or(true),
                MountKind::Bind {
                    from: self.from,
                    source: self.source,
                },
            ),
        };
        Ok(Mount {
            kind,
            target: self.target,
            read_only,
        })
    }
}

/// Splits comma-separated values; a field in double quotes may hold commas (RFC 4180).
fn csv(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None if behind.is_empty() => return Ok(fields),
            None => return Err("extraneous or missing \" in quoted-field".to_owned()),
        }
    }
}

fn quoted_field(mut text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    loop {
        let Some((part, behind)) = text.split_once('"') else {
            return Err("extraneous or missing \" in quoted-field".to_owned());
        };
        field.push_str(part);
        match behind.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                text = more;
            }
            None => return Ok((field, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_their_defaults() {
        let mount = Mount::parse("target=/a,source=b,from=c").unwrap();
        assert!(mount.read_only);
        assert_eq!(
            mount.kind,
            MountKind::Bind {
                from: Some("c".to_owned()),
                source: Some("b".to_owned())
            }
        );
        assert!(!Mount::parse("type=bind,dst=/a,rw").unwrap().read_only);
        let MountKind::Cache { id, sharing, mode, .. } =
            Mount::parse("type=cache,\"target=/a,b\",id=x,sharing=locked,mode=0700")
                .unwrap()
                .kind
        else {
            panic!("no cache");
        };
        assert_eq!(
            (id.as_deref(), sharing, mode.as_deref()),
            (Some("x"), CacheSharing::Locked, Some("0700"))
        );
        let secret = Mount::parse("type=secret,id=token,env=TOKEN,required").unwrap();
        assert!(secret.target.is_none() && secret.read_only);
        assert!(matches!(secret.kind, MountKind::Secret { required: true, .. }));
        assert!(matches!(
            Mount::parse("type=ssh").unwrap().kind,
            MountKind::Ssh { id: None, .. }
        ));
        assert!(matches!(
            Mount::parse("type=tmpfs,target=/t,size=1m").unwrap().kind,
            MountKind::Tmpfs { size: Some(_) }
        ));
    }

    #[test]
    fn mistakes() {
        for (text, message) in [
            (
                "type=cach,target=/a",
                "unsupported mount type \"cach\" (did you mean cache?)",
            ),
            ("type=cache", "invalid mount target \"/\""),
            ("target", "invalid field 'target' must be a key=value pair"),
            (
                "tagret=/a",
                "unexpected key 'tagret' in 'tagret=/a' (did you mean target?)",
            ),
            ("target=/a,sharing=locked", "invalid cache sharing set for bind mount"),
            ("target=/a,uid=1", "uid not allowed for \"bind\" type mounts"),
            (
                "type=cache,target=/a,required",
                "unexpected key 'required' for mount type 'cache'",
            ),
            ("target=/a,size=1", "unexpected key 'size' for mount type 'bind'"),
            ("type=ssh,source=a", "ssh does not support source"),
            ("type=cache,target=/a,sharing=x", "unsupported sharing value \"x\""),
            ("type=secret,required=perhaps", "invalid value for required: perhaps"),
        ] {
            assert_eq!(Mount::parse(text), Err(MountError::Field(message.to_owned())), "{text}");
        }
        for (text, message) in [
            ("", "failed to parse csv mounts: EOF"),
            (
                "\"target=/a",
                "failed to parse csv mounts: extraneous or missing \" in quoted-field",
            ),
            (
                "from=$A,target=/a",
                "'from' doesn't support variable expansion, define alias stage instead",
            ),
        ] {
            assert_eq!(Mount::parse(text), Err(MountError::List(message.to_owned())), "{text}");
        }
    }
}
