// SPDX-License-Identifier: MIT
//! Mounts in all the forms that clients write them: `Binds`, `Mounts`, `Tmpfs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use hyperbox_core::container::{Bind, MountRequest, MountSource, Propagation};
use hyperbox_types::{ByteSize, VolumeName};

use super::image::parse_reference;
use crate::error::{ApiError, ApiResult};
use crate::version::ApiVersion;
use crate::wire::Set;
use crate::wire::host_config::{HostConfig, Mount};

/// Translates all mounts of a request. `volumes` are the anonymous ones: a bind to the same place takes precedence.
///
/// # Errors
/// 400 with Docker's texts.
pub(crate) fn requests(host: &HostConfig, volumes: &Set) -> ApiResult<Vec<MountRequest>> {
    if let Some(path) = volumes
        .keys()
        .find(|path| !path.starts_with('/') || path.as_str() == "/")
    {
        let reason = if path == "/" {
            "destination can't be '/'"
        } else {
            "mount path must be absolute"
        };
        return Err(ApiError::bad_request(format!(
            "invalid volume specification: '{path}': {reason}"
        )));
    }
    let binds = host.binds.iter().flatten().map(|text| bind(text));
    let mounts = host.mounts.iter().map(mount);
    let tmpfs = host.tmpfs.iter().map(|(target, options)| tmpfs(target, options));
    binds.chain(mounts).chain(tmpfs).collect()
}

/// `source:target[:options]` or `name:target[:options]`, or a lone target.
fn bind(text: &str) -> ApiResult<MountRequest> {
    let invalid = |reason: &str| {
        let colon = if reason.is_empty() { "" } else { ": " };
        ApiError::bad_request(format!("invalid volume specification: '{text}'{colon}{reason}"))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => ("", *target, ""),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => return Err(invalid("")),
    };
    let kind = if source.starts_with('/') { "bind" } else { "volume" };
    if !target.starts_with('/') {
        return Err(invalid(&format!(
            "invalid mount config for type {kind:?}: invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    if target.trim_end_matches('/').is_empty() {
        return Err(invalid(&format!(
            "invalid mount config for type {kind:?}: invalid specification: destination can't be '/'"
        )));
    }
    let mut read_only = false;
    let mut no_copy = false;
    let mut propagation = Propagation::default();
    let mut classes = BTreeSet::new();
    for option in options.split(',').filter(|_| !options.is_empty()) {
        let invalid = || ApiError::bad_request(format!("invalid mode: {options}"));
        let class = match option {
            "ro" | "rw" => {
                read_only = option == "ro";
                "access"
            }
            // Labels need SELinux; without it Docker ignores them too.
            "z" | "Z" => "label",
            "cached" | "consistent" | "delegated" => "consistency",
            "nocopy" if kind == "volume" => {
                no_copy = true;
                option
            }
            other => {
                let known = propagation_of(other).filter(|_| kind == "bind" && !other.is_empty());
                propagation = known.ok_or_else(invalid)?;
                "propagation"
            }
        };
        // One of each class at most, so that none contradicts another.
        if !classes.insert(class) {
            return Err(invalid());
        }
    }
    let source = if kind == "bind" {
        MountSource::Bind(Bind {
            path: source.into(),
            create: true,
            non_recursive: false,
            propagation,
        })
    } else {
        let name = if source.is_empty() {
            None
        } else {
            Some(volume_name(source)?)
        };
        MountSource::Volume {
            name,
            no_copy,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
            subpath: PathBuf::new(),
        }
    };
    Ok(MountRequest {
        source,
        target: target.into(),
        read_only,
    })
}

/// Parses the name of a volume, with Docker's text for something that looks like a relative path.
pub(crate) fn volume_name(text: &str) -> ApiResult<VolumeName> {
    if text.len() < 2 {
        return Err(ApiError::bad_request(format!(
            "create {text}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    VolumeName::parse(text).map_err(|_| {
        ApiError::bad_request(format!(
            "create {text}: {text:?} includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        ))
    })
}

fn propagation_of(text: &str) -> Option<Propagation> {
    Some(match text {
        "" | "rprivate" => Propagation::Rprivate,
        "private" => Propagation::Private,
        "rshared" => Propagation::Rshared,
        "shared" => Propagation::Shared,
        "rslave" => Propagation::Rslave,
        "slave" => Propagation::Slave,
        _ => return None,
    })
}

/// The long form.
fn mount(mount: &Mount) -> ApiResult<MountRequest> {
    let kind = mount.kind.as_str();
    let invalid = |reason: String| ApiError::bad_request(format!("invalid mount config for type {kind:?}: {reason}"));
    if !matches!(kind, "bind" | "volume" | "tmpfs" | "image") {
        return Err(invalid("mount type unknown".to_owned()));
    }
    if mount.target.is_empty() {
        return Err(invalid("field Target must not be empty".to_owned()));
    }
    if !mount.target.starts_with('/') {
        return Err(invalid(format!(
            "invalid mount path: '{}' mount path must be absolute",
            mount.target
        )));
    }
    if mount.target.trim_end_matches('/').is_empty() {
        return Err(invalid("invalid specification: destination can't be '/'".to_owned()));
    }
    refuse_foreign_options(mount)?;
    let source = match kind {
        "bind" => bind_source(mount).map_err(invalid)?,
        "volume" => volume_source(mount)?,
        "image" => {
            let source = image_source(mount).map_err(invalid)?;
            parse_reference(&mount.source)?;
            source
        }
        _ => tmpfs_source(mount).map_err(invalid)?,
    };
    Ok(MountRequest {
        source,
        target: mount.target.as_str().into(),
        read_only: mount.read_only,
    })
}

fn refuse_foreign_options(mount: &Mount) -> ApiResult<()> {
    let options = [
        ("BindOptions", "bind", mount.bind_options.is_some()),
        ("VolumeOptions", "volume", mount.volume_options.is_some()),
        ("TmpfsOptions", "tmpfs", mount.tmpfs_options.is_some()),
    ];
    match options
        .iter()
        .find(|(_, kind, present)| *present && *kind != mount.kind)
    {
        None if mount.image_options.is_some() && mount.kind != "image" => Err(ApiError::bad_request(format!(
            "invalid mount config for type {:?}: field ImageOptions must not be specified",
            mount.kind
        ))),
        Some((name, _, _)) => Err(ApiError::bad_request(format!(
            "{name} must not be specified on mount type {:?}",
            mount.kind
        ))),
        None => Ok(()),
    }
}

fn bind_source(mount: &Mount) -> Result<MountSource, String> {
    if mount.source.is_empty() {
        return Err("field Source must not be empty".to_owned());
    }
    if !mount.source.starts_with('/') {
        return Err(format!(
            "invalid mount path: '{}' mount path must be absolute",
            mount.source
        ));
    }
    let options = mount.bind_options.clone().unwrap_or_default();
    let propagation = propagation_of(&options.propagation)
        .ok_or_else(|| format!("invalid propagation mode: {}", options.propagation))?;
    Ok(MountSource::Bind(Bind {
        path: mount.source.as_str().into(),
        create: options.create_mountpoint,
        non_recursive: options.non_recursive,
        propagation,
    }))
}

fn volume_source(mount: &Mount) -> ApiResult<MountSource> {
    let options = mount.volume_options.clone().unwrap_or_default();
    let invalid = |reason| ApiError::bad_request(format!("invalid mount config for type \"volume\": {reason}"));
    let subpath = subpath(&options.subpath).map_err(invalid)?;
    if mount.source.is_empty() && !options.subpath.is_empty() {
        return Err(invalid("must not set Subpath when using anonymous volumes"));
    }
    let driver = options.driver_config.unwrap_or_default();
    if !matches!(driver.name.as_str(), "" | "local") {
        let name = driver.name;
        return Err(ApiError::not_found(format!(
            "error looking up volume plugin {name}: plugin {name:?} not found"
        )));
    }
    let name = if mount.source.is_empty() {
        None
    } else {
        Some(volume_name(&mount.source)?)
    };
    Ok(MountSource::Volume {
        name,
        no_copy: options.no_copy,
        labels: options.labels,
        options: driver.options,
        subpath,
    })
}

fn image_source(mount: &Mount) -> Result<MountSource, String> {
    if mount.source.is_empty() {
        return Err("field Source must not be empty".to_owned());
    }
    let options = mount.image_options.as_ref();
    Ok(MountSource::Image {
        reference: mount.source.clone(),
        subpath: subpath(options.map_or("", |options| &options.subpath))?,
    })
}

/// Looks at the part of a volume or image that is wanted, as text; where it leads is found when the container starts.
fn subpath(text: &str) -> Result<PathBuf, &'static str> {
    let mut depth: usize = 0;
    for component in Path::new(text).components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err("subpath must be a relative path within the volume");
            }
        }
    }
    Ok(text.into())
}

/// Refuses what clients of a version cannot ask for.
///
/// # Errors
/// 400 with Docker's texts.
pub(crate) fn refuse_newer(mounts: &[Mount], version: ApiVersion) -> ApiResult<()> {
    for mount in mounts {
        let has_subpath = mount
            .volume_options
            .as_ref()
            .is_some_and(|options| !options.subpath.is_empty());
        if has_subpath && !version.at_least(45) {
            return Err(ApiError::bad_request("VolumeOptions.Subpath needs API v1.45 or newer"));
        }
        if mount.kind == "image" && !version.at_least(48) {
            return Err(ApiError::bad_request("Mount type \"Image\" needs API v1.48 or newer"));
        }
    }
    Ok(())
}

/// Returns what Docker tells of mounts that it may change.
pub(crate) fn warnings(mounts: &[Mount]) -> Option<String> {
    let has_image = mounts.iter().any(|mount| mount.kind == "image");
    has_image.then(|| "Image mount is an experimental feature".to_owned())
}

fn tmpfs_source(mount: &Mount) -> Result<MountSource, String> {
    if !mount.source.is_empty() {
        return Err("field Source must not be specified".to_owned());
    }
    let options = mount.tmpfs_options.clone().unwrap_or_default();
    let size = u64::try_from(options.size_bytes).map_err(|_| "size must not be negative".to_owned())?;
    let words = tmpfs_words(&options.options)?;
    let mode = u32::try_from(options.mode).ok().filter(|mode| *mode <= 0o7777);
    let mode = mode.ok_or_else(|| format!("invalid mode {:o}", options.mode))?;
    Ok(MountSource::Tmpfs {
        size: Some(ByteSize(size)).filter(|size| size.0 != 0),
        mode: Some(mode).filter(|mode| *mode != 0),
        options: words,
    })
}

/// The long form takes two words only.
fn tmpfs_words(options: &[Vec<String>]) -> Result<Vec<String>, String> {
    let word = |option: &Vec<String>| match option.as_slice() {
        [name] | [name, _] if !matches!(name.as_str(), "exec" | "noexec") => Err(format!("invalid option: {name}")),
        [_] | [_, _] => Ok(option.join("=")),
        _ => Err("invalid option array length".to_owned()),
    };
    options.iter().map(word).collect()
}

/// `--tmpfs target:options`: Docker's defaults are `noexec,nosuid,nodev`.
fn tmpfs(target: &str, options: &str) -> ApiResult<MountRequest> {
    if !target.starts_with('/') {
        return Err(ApiError::bad_request(format!(
            "invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    let mut read_only = false;
    let mut list = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => {}
            other => list.push(other.to_owned()),
        }
    }
    for (default, opposite) in [("noexec", "exec"), ("nosuid", "suid"), ("nodev", "dev")] {
        if !list.iter().any(|option| option == default || option == opposite) {
            list.push(default.to_owned());
        }
    }
    let source = MountSource::Tmpfs {
        size: None,
        mode: None,
        options: list,
    };
    Ok(MountRequest {
        source,
        target: target.into(),
        read_only,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::host_config::VolumeOptions;

    #[test]
    fn refusals_have_dockers_texts() {
        for (text, message) in [
            (
                "a:b",
                "invalid volume specification: 'a:b': invalid mount config for type \"volume\": invalid mount path: 'b' \
                 mount path must be absolute",
            ),
            ("/a:/b:bogus", "invalid mode: bogus"),
            ("/a:/b:/c:ro", "invalid volume specification: '/a:/b:/c:ro'"),
            (
                "/a:/",
                "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid specification: \
                 destination can't be '/'",
            ),
            ("/a:/b:nocopy", "invalid mode: nocopy"),
            ("/a:/b:ro,rw", "invalid mode: ro,rw"),
            ("/a:/b:ro,", "invalid mode: ro,"),
            ("/a:/b:z,Z", "invalid mode: z,Z"),
            ("/a:/b:rshared,slave", "invalid mode: rshared,slave"),
            ("vol:/b:rshared", "invalid mode: rshared"),
        ] {
            assert_eq!(bind(text).expect_err(text).message(), message);
        }
        let relative = bind("./x:/b").expect_err("relative source");
        assert!(
            relative
                .message()
                .contains("If you intended to pass a host directory, use absolute path")
        );
    }

    #[test]
    fn long_form_refusals_have_dockers_texts() {
        let mount = |kind: &str, source: &str, target: &str| Mount {
            kind: kind.to_owned(),
            source: source.to_owned(),
            target: target.to_owned(),
            ..Mount::default()
        };
        for (wire, message) in [
            (
                mount("bogus", "", "/x"),
                "invalid mount config for type \"bogus\": mount type unknown",
            ),
            (
                mount("bind", "", "/x"),
                "invalid mount config for type \"bind\": field Source must not be empty",
            ),
            (
                mount("volume", "vo", ""),
                "invalid mount config for type \"volume\": field Target must not be empty",
            ),
            (
                mount("volume", "vo", "x"),
                "invalid mount config for type \"volume\": invalid mount path: 'x' mount path must be absolute",
            ),
            (
                mount("tmpfs", "v", "/x"),
                "invalid mount config for type \"tmpfs\": field Source must not be specified",
            ),
            (
                mount("image", "", "/x"),
                "invalid mount config for type \"image\": field Source must not be empty",
            ),
            (
                mount("cluster", "x", "/x"),
                "invalid mount config for type \"cluster\": mount type unknown",
            ),
        ] {
            assert_eq!(super::mount(&wire).expect_err(message).message(), message);
        }
    }

    #[test]
    fn parts_stay_inside() {
        for (text, is_inside) in [
            ("", true),
            ("a/b", true),
            ("a/../b", true),
            ("./a", true),
            ("/a", false),
            ("..", false),
            ("a/../../b", false),
        ] {
            assert_eq!(subpath(text).is_ok(), is_inside, "{text}");
        }
        let options = |subpath: &str| VolumeOptions {
            subpath: subpath.to_owned(),
            ..VolumeOptions::default()
        };
        let mount = |source: &str, subpath: &str| Mount {
            kind: "volume".to_owned(),
            source: source.to_owned(),
            target: "/x".to_owned(),
            volume_options: Some(options(subpath)),
            ..Mount::default()
        };
        for (wire, message) in [
            (
                mount("data", "../x"),
                "invalid mount config for type \"volume\": subpath must be a relative path within the volume",
            ),
            (
                mount("", "x"),
                "invalid mount config for type \"volume\": must not set Subpath when using anonymous volumes",
            ),
        ] {
            assert_eq!(super::mount(&wire).expect_err(message).message(), message);
        }
        let old = refuse_newer(&[mount("data", "x")], ApiVersion::new(1, 44)).expect_err("an old client");
        assert_eq!(old.message(), "VolumeOptions.Subpath needs API v1.45 or newer");
    }
}
