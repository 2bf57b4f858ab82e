// SPDX-License-Identifier: MIT
//! `--mount key=value,…`: one CSV record.

use hyperbox_client::model::{BindOptions, ImageOptions, Mount, TmpfsOptions, VolumeDriver, VolumeOptions};

use super::parse_bytes;
use super::volume::clean;

/// Parses one option; `current` is the directory that relative sources start from.
pub(crate) fn parse(text: &str, current: &str) -> Result<Mount, String> {
    let mut mount = Mount {
        kind: "volume".to_owned(),
        ..Mount::default()
    };
    let mut force_recursive = None;
    for field in csv(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
            None => (field.to_ascii_lowercase(), None),
        };
        if !KEYS.contains(&key.as_str()) {
            return Err(format!("unexpected key '{key}' in '{field}'"));
        }
        let value = match (value, key.as_str()) {
            (Some(value), _) => value,
            // These may stand alone.
            (None, "readonly" | "ro" | "volume-nocopy" | "bind-nonrecursive" | "bind-create-src") => "true",
            (None, _) => return Err(format!("invalid field '{field}' must be a key=value pair")),
        };
        if key == "bind-recursive" {
            force_recursive = Some(value.to_owned());
        }
        set(&mut mount, &key, value, &field, current)?;
    }
    recursive(&mut mount, force_recursive.as_deref())?;
    check(&mount)?;
    Ok(mount)
}

const KEYS: &[&str] = &[
    "type",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "consistency",
    "bind-propagation",
    "bind-nonrecursive",
    "bind-recursive",
    "bind-create-src",
    "volume-subpath",
    "volume-nocopy",
    "volume-label",
    "volume-driver",
    "volume-opt",
    "image-subpath",
    "tmpfs-size",
    "tmpfs-mode",
];

fn set(mount: &mut Mount, key: &str, value: &str, field: &str, current: &str) -> Result<(), String> {
    let flag = || boolean(value).ok_or_else(|| format!("invalid value for {key}: {value}"));
    match key {
        "type" => mount.kind = value.to_ascii_lowercase(),
        "source" | "src" => {
            let relative = value == "." || value == ".." || value.starts_with("./") || value.starts_with("../");
            mount.source = if relative {
                clean(&format!("{current}/{value}"))
            } else {
                value.to_owned()
            };
        }
        "target" | "dst" | "destination" => value.clone_into(&mut mount.target),
        "readonly" | "ro" => mount.read_only = flag()?,
        "consistency" => mount.consistency = value.to_ascii_lowercase(),
        "bind-propagation" => bind(mount).propagation = value.to_ascii_lowercase(),
        "bind-nonrecursive" => bind(mount).non_recursive = flag()?,
        "bind-create-src" => bind(mount).create_mountpoint = flag()?,
        "volume-subpath" => value.clone_into(&mut volume(mount).subpath),
        "volume-nocopy" => volume(mount).no_copy = flag()?,
        "volume-label" => {
            let (name, label) = value.split_once('=').unwrap_or((value, ""));
            volume(mount).labels.insert(name.to_owned(), label.to_owned());
        }
        "volume-driver" => value.clone_into(&mut driver(mount).name),
        "volume-opt" => {
            let (name, option) = value.split_once('=').unwrap_or((value, ""));
            driver(mount).options.insert(name.to_owned(), option.to_owned());
        }
        "image-subpath" => {
            value.clone_into(&mut mount.image_options.get_or_insert_with(ImageOptions::default).subpath);
        }
        "tmpfs-size" => {
            tmpfs(mount).size_bytes = parse_bytes(value).map_err(|_| format!("invalid value for {key}: {value}"))?;
        }
        "tmpfs-mode" => {
            tmpfs(mount).mode =
                u32::from_str_radix(value, 8).map_err(|_| format!("invalid value for {key}: {value}"))?;
        }
        "bind-recursive" => {}
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_with(BindOptions::default)
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_with(VolumeOptions::default)
}

fn driver(mount: &mut Mount) -> &mut VolumeDriver {
    volume(mount).driver_config.get_or_insert_with(VolumeDriver::default)
}

fn tmpfs(mount: &mut Mount) -> &mut TmpfsOptions {
    mount.tmpfs_options.get_or_insert_with(TmpfsOptions::default)
}

/// Translates `bind-recursive`, which also decides what read-only means for the mounts below.
fn recursive(mount: &mut Mount, value: Option<&str>) -> Result<(), String> {
    match value {
        None | Some("enabled") => {}
        Some("disabled") => bind(mount).non_recursive = true,
        Some("writable") => bind(mount).read_only_non_recursive = true,
        Some("readonly") => bind(mount).read_only_force_recursive = true,
        Some(value) => {
            return Err(format!(
                "invalid value for bind-recursive: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            ));
        }
    }
    let forced = mount
        .bind_options
        .as_ref()
        .is_some_and(|options| options.read_only_force_recursive);
    if forced && !mount.read_only {
        return Err("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction".to_owned());
    }
    Ok(())
}

fn check(mount: &Mount) -> Result<(), String> {
    if mount.kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    let kind = &mount.kind;
    for (present, family) in [
        (mount.volume_options.is_some(), "volume"),
        (mount.bind_options.is_some(), "bind"),
        (mount.tmpfs_options.is_some(), "tmpfs"),
        (mount.image_options.is_some(), "image"),
    ] {
        if present && kind != family {
            return Err(format!("cannot mix '{family}-*' options with mount type '{kind}'"));
        }
    }
    Ok(())
}

pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Splits one CSV record: fields in quotes may hold commas, two quotes stand for one.
pub(crate) fn csv(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        let mut field = String::new();
        if characters.next_if_eq(&'"').is_some() {
            loop {
                match characters.next() {
                    Some('"') if characters.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') => break,
                    Some(other) => field.push(other),
                    None => return Err("extraneous or missing \" in quoted-field".to_owned()),
                }
            }
            if characters.peek().is_some_and(|next| *next != ',') {
                return Err("extraneous or missing \" in quoted-field".to_owned());
            }
        } else {
            while let Some(next) = characters.next_if(|c| *c != ',') {
                if next == '"' {
                    return Err("bare \" in non-quoted-field".to_owned());
                }
                field.push(next);
            }
        }
        fields.push(field);
        if characters.next().is_none() {
            return Ok(fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts() {
        let mount = parse(
            r#"type=bind,source=./a,"target=/b,c",readonly,bind-propagation=rshared,bind-recursive=readonly"#,
            "/w",
        )
        .unwrap();
        assert_eq!(
            (mount.kind.as_str(), mount.source.as_str(), mount.target.as_str()),
            ("bind", "/w/a", "/b,c")
        );
        assert!(mount.read_only);
        let options = mount.bind_options.unwrap();
        assert_eq!(
            (options.propagation.as_str(), options.read_only_force_recursive),
            ("rshared", true)
        );
        let mount = parse(
            "src=v,dst=/d,volume-nocopy,volume-label=a=b,volume-opt=o=size=1,volume-driver=x",
            "/",
        )
        .unwrap();
        let options = mount.volume_options.unwrap();
        assert!(options.no_copy);
        assert_eq!(options.labels["a"], "b");
        assert_eq!(options.driver_config.unwrap().options["o"], "size=1");
        let mount = parse("type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1770", "/").unwrap();
        assert_eq!(
            mount.tmpfs_options,
            Some(TmpfsOptions {
                size_bytes: 1 << 20,
                mode: 0o1770
            })
        );
    }

    #[test]
    fn refused_mounts() {
        for (text, reason) in [
            ("type=bind,src=/x", "target is required"),
            ("type=bind,dst=/y,foo=1", "unexpected key 'foo' in 'foo=1'"),
            ("type=bind,dst", "invalid field 'dst' must be a key=value pair"),
            ("type=bind,dst=/y,readonly=maybe", "invalid value for readonly: maybe"),
            (
                "type=volume,dst=/y,tmpfs-size=1",
                "cannot mix 'tmpfs-*' options with mount type 'volume'",
            ),
            ("type=tmpfs,dst=/y,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
            ("type=,dst=/y", "type is required"),
            ("\"a", "extraneous or missing \" in quoted-field"),
            (
                "type=bind,dst=/y,bind-recursive=readonly",
                "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
            ),
        ] {
            assert_eq!(parse(text, "/").unwrap_err(), reason, "{text}");
        }
    }
}
