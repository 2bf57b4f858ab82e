// SPDX-License-Identifier: MIT
//! From decisions to descriptors: everything the first process of a container will need, opened or copied by the parent.
//!
//! Bind sources are copied as detached trees with all their attributes already set, so there is no moment at which a read-only
//! mount is writable, and the child needs no path of the host any more. Whatever is made here vanishes when it is dropped.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hyperbox_sys::mount_attributes::{Attributes, Change, Propagation, Reach, change_mount};
use hyperbox_sys::spawn::NewNamespaces;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::MountFlags;

use crate::cgroup::Cgroups;
use crate::child::{ChildMount, ContainerSetup, FileSystem, MountAction};
use crate::error::StartError;
use crate::plan::Plan;
use crate::plan::mounts::{Content, MountPlan};
use crate::plan::target::{Target, TargetKind, c_string};
use crate::rootfs::{detached_beneath, detached_bind, detached_layers};

/// Prepares a container around an already made root.
pub(crate) fn prepare(
    plan: Plan,
    root: OwnedFd,
    cgroups: &Cgroups,
    network: Option<OwnedFd>,
) -> Result<ContainerSetup, StartError> {
    let mut joined = Vec::new();
    for (kind, path) in &plan.namespaces.joined {
        if *kind != NewNamespaces::PID {
            joined.push(open_namespace(path)?);
        }
    }
    joined.extend(network);
    let mut mounts = Vec::new();
    for (index, mount) in plan.mounts.iter().enumerate() {
        prepare_mount(mount, index, cgroups, &mut mounts)?;
    }
    Ok(ContainerSetup {
        bound_devices: bound_devices(&plan)?,
        console: target(Path::new("/dev/console"), TargetKind::File)?,
        plan,
        joined,
        root,
        mounts,
    })
}

/// Opens a namespace by its path.
pub(crate) fn open_namespace(path: &Path) -> Result<OwnedFd, StartError> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| StartError::system(format!("open the namespace {}", path.display()), error))
}

fn target(path: &Path, kind: TargetKind) -> Result<Target, StartError> {
    Target::new(path, kind)
        .ok_or_else(|| StartError::invalid(format!("{:?} is no mount point", path.display().to_string())))
}

fn text(value: &str) -> Result<std::ffi::CString, StartError> {
    c_string(value).ok_or_else(|| StartError::invalid("a mount contains a zero byte"))
}

fn prepare_mount(
    plan: &MountPlan,
    index: usize,
    cgroups: &Cgroups,
    mounts: &mut Vec<ChildMount>,
) -> Result<(), StartError> {
    match &plan.content {
        Content::Bind { .. } | Content::Layers { .. } => {
            let tree = shown_tree(plan)?;
            mounts.extend(tree.map(|tree| attached(plan, tree, index)).transpose()?);
        }
        Content::FileSystem {
            kind,
            source,
            flags,
            data,
        } => {
            let file_system = FileSystem {
                kind: text(kind)?,
                source: text(source)?,
                flags: *flags,
                data: text(data)?,
                no_links: matches!(kind.as_str(), "proc" | "sysfs"),
                inherit_mode: kind == "tmpfs" && !data.split(',').any(|word| word.starts_with("mode=")),
                propagation: plan.propagation,
            };
            mounts.push(ChildMount {
                target: target(&plan.destination, TargetKind::Directory)?,
                action: MountAction::FileSystem(file_system),
                index,
            });
        }
        Content::Cgroups { flags } => cgroup_mounts(plan, *flags, index, cgroups, mounts)?,
    }
    Ok(())
}

/// Attaches what was made beforehand.
fn attached(plan: &MountPlan, tree: OwnedFd, index: usize) -> Result<ChildMount, StartError> {
    let status = rustix::fs::fstat(&tree).map_err(|error| StartError::system(plan.to_string(), error))?;
    let kind = match FileType::from_raw_mode(status.st_mode) {
        FileType::Directory => TargetKind::Directory,
        _ => TargetKind::File,
    };
    Ok(ChildMount {
        target: target(&plan.destination, kind)?,
        action: MountAction::Attach(tree),
        index,
    })
}

/// Returns the detached tree that a mount shows, with all its attributes; nothing for one that the child makes.
pub(crate) fn shown_tree(plan: &MountPlan) -> Result<Option<OwnedFd>, StartError> {
    let failed = |error: std::io::Error| StartError::system(plan.to_string(), error);
    // A copy of a shared mount is its peer: everything asked for below happens to the copy only, but mounts would propagate.
    let start = Change {
        propagation: plan.propagation.is_none().then_some(Propagation::Private),
        ..Change::default()
    };
    let tree = match &plan.content {
        Content::Bind { source, reach, subpath } => match subpath {
            Some(path) => detached_beneath(source, path, *reach, &start),
            None => detached_bind(source, *reach, &start),
        },
        Content::Layers { lower, subpath } => detached_layers(lower, subpath.as_deref(), &start),
        Content::FileSystem { .. } | Content::Cgroups { .. } => return Ok(None),
    };
    let tree = tree.map_err(failed)?;
    if !plan.change.is_empty() {
        change_mount(tree.as_fd(), Reach::Mount, &plan.change, None).map_err(failed)?;
    }
    if !plan.tree_change.is_empty() {
        change_mount(tree.as_fd(), Reach::Tree, &plan.tree_change, None).map_err(failed)?;
    }
    if let Some((propagation, reach)) = plan.propagation {
        let change = Change {
            propagation: Some(propagation),
            ..Change::default()
        };
        change_mount(tree.as_fd(), reach, &change, None).map_err(failed)?;
    }
    Ok(Some(tree))
}

/// The container's own groups, and nothing above them: on version 2 its directory, on version 1 a tmpfs with one directory per
/// hierarchy, and a link for each controller that shares one (`cgroups(7)`).
fn cgroup_mounts(
    plan: &MountPlan,
    flags: MountFlags,
    index: usize,
    cgroups: &Cgroups,
    mounts: &mut Vec<ChildMount>,
) -> Result<(), StartError> {
    let change = Change {
        set: attributes(flags),
        propagation: Some(Propagation::Private),
        ..Change::default()
    };
    let copy = |path: &Path| {
        detached_bind(path, Reach::Mount, &change).map_err(|error| StartError::system(plan.to_string(), error))
    };
    let views = cgroups.views();
    if let [(None, path)] = views.as_slice() {
        mounts.push(ChildMount {
            target: target(&plan.destination, TargetKind::Directory)?,
            action: MountAction::Attach(copy(path)?),
            index,
        });
        return Ok(());
    }
    mounts.push(ChildMount {
        target: target(&plan.destination, TargetKind::Directory)?,
        action: MountAction::FileSystem(FileSystem {
            kind: c"tmpfs".to_owned(),
            source: c"tmpfs".to_owned(),
            // Writable even where the groups are not, as with runc: there is nothing in it but mount points and links.
            flags: flags.difference(MountFlags::RDONLY),
            data: c"mode=755".to_owned(),
            no_links: false,
            inherit_mode: false,
            propagation: None,
        }),
        index,
    });
    for (name, path) in views {
        let name = name.unwrap_or_default();
        let below = |name: &str| plan.destination.join(name);
        mounts.push(ChildMount {
            target: target(&below(&name), TargetKind::Directory)?,
            action: MountAction::Attach(copy(&path)?),
            index,
        });
        for controller in name.split(',').filter(|controller| *controller != name) {
            mounts.push(ChildMount {
                target: target(&below(controller), TargetKind::File)?,
                action: MountAction::Link(text(&name)?),
                index,
            });
        }
    }
    Ok(())
}

fn attributes(flags: MountFlags) -> Attributes {
    [
        (MountFlags::RDONLY, Attributes::READ_ONLY),
        (MountFlags::NOSUID, Attributes::NO_SUID),
        (MountFlags::NODEV, Attributes::NO_DEV),
        (MountFlags::NOEXEC, Attributes::NO_EXEC),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .fold(Attributes::NONE, |attributes, (_, attribute)| {
        attributes.with(attribute)
    })
}

/// In a user namespace device nodes cannot be made: the host's are shown instead.
fn bound_devices(plan: &Plan) -> Result<Option<Vec<OwnedFd>>, StartError> {
    let Some(devices) = plan.devices.as_ref() else {
        return Ok(None);
    };
    if !plan.namespaces.separates(NewNamespaces::USER) {
        return Ok(None);
    }
    let change = Change {
        propagation: Some(Propagation::Private),
        ..Change::default()
    };
    devices
        .iter()
        .map(|device| {
            let path: &PathBuf = &device.target.shown;
            detached_bind(path, Reach::Mount, &change)
                .map_err(|error| StartError::system(format!("bind the device {}", path.display()), error))
        })
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}
