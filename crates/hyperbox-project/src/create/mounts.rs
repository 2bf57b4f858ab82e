// SPDX-License-Identifier: MIT
//! Mounts of a container: as `Binds` where their short form says all, else as `Mounts`.

use serde_json::{Value, json};

use super::{FileKind, Surroundings};
use crate::model::{Model, Service, ServiceMount};

/// `Binds` and `Mounts`.
pub(crate) fn mounts(model: &Model, service: &Service, surroundings: &Surroundings) -> (Vec<String>, Vec<Value>) {
    let mut binds = Vec::new();
    let mut mounts = Vec::new();
    for mount in &service.volumes {
        match short(model, mount) {
            Some(bind) => binds.push(bind),
            None => mounts.push(long(model, mount)),
        }
    }
    for kind in FileKind::ALL {
        for reference in kind.references(service) {
            if let Some(source) = surroundings.files.get(&kind.key(&reference.source)) {
                mounts.push(json!({
                    "Type": "bind", "Source": source, "Target": kind.path(reference), "ReadOnly": true,
                }));
            }
        }
    }
    (binds, mounts)
}

/// The name of a volume in the engine.
fn source(model: &Model, mount: &ServiceMount) -> Option<String> {
    let source = mount.source.clone()?;
    if mount.kind != "volume" {
        return Some(source);
    }
    Some(model.volumes.get(&source).map_or(source, |volume| volume.name.clone()))
}

/// `SOURCE:TARGET:OPTIONS`, which makes a missing directory of the host; `None` when more has to be said.
fn short(model: &Model, mount: &ServiceMount) -> Option<String> {
    let source = source(model, mount)?;
    let mut options = vec![if mount.read_only { "ro" } else { "rw" }.to_owned()];
    match (mount.kind.as_str(), &mount.bind, &mount.volume) {
        ("bind", Some(bind), _) if bind.create_host_path && bind.recursive.is_none() => {
            options.extend(bind.selinux.clone());
            options.extend(bind.propagation.clone());
        }
        ("volume", _, volume) => {
            let volume = volume.clone().unwrap_or_default();
            if volume.subpath.is_some() || !volume.labels.is_empty() {
                return None;
            }
            options.extend(volume.nocopy.then(|| "nocopy".to_owned()));
        }
        _ => return None,
    }
    Some(format!("{source}:{}:{}", mount.target, options.join(",")))
}

fn long(model: &Model, mount: &ServiceMount) -> Value {
    let mut value = json!({ "Type": mount.kind, "Target": mount.target });
    if let Some(source) = source(model, mount) {
        value["Source"] = json!(source);
    }
    if mount.read_only {
        value["ReadOnly"] = json!(true);
    }
    if let Some(bind) = &mount.bind {
        let mut options = json!({ "CreateMountpoint": bind.create_host_path });
        if let Some(propagation) = &bind.propagation {
            options["Propagation"] = json!(propagation);
        }
        match bind.recursive.as_deref() {
            Some("disabled") => options["NonRecursive"] = json!(true),
            Some("writable") => options["ReadOnlyNonRecursive"] = json!(true),
            Some("readonly") => options["ReadOnlyForceRecursive"] = json!(true),
            _ => {}
        }
        value["BindOptions"] = options;
    }
    if let Some(volume) = &mount.volume {
        value["VolumeOptions"] = json!({ "NoCopy": volume.nocopy, "Labels": volume.labels });
        if let Some(subpath) = &volume.subpath {
            value["VolumeOptions"]["Subpath"] = json!(subpath);
        }
    }
    if let Some(tmpfs) = &mount.tmpfs {
        let size: i64 = tmpfs
            .size
            .as_deref()
            .and_then(|size| size.parse().ok())
            .unwrap_or_default();
        value["TmpfsOptions"] = json!({ "SizeBytes": size, "Mode": tmpfs.mode.unwrap_or_default() });
    }
    if let Some(subpath) = mount.image.as_ref().and_then(|image| image.subpath.as_ref()) {
        value["ImageOptions"] = json!({ "Subpath": subpath });
    }
    value
}
