// SPDX-License-Identifier: MIT
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use hyperbox_core::seam::VolumeDriver;
use hyperbox_testkit::{conformance, unique_name, wait_for};
use hyperbox_types::{RootMount, VolumeName};
use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use tempfile::TempDir;

use super::LocalVolumes;

fn volume(name: &str) -> VolumeName {
    VolumeName::parse(name).unwrap()
}

fn image(path: &Path) -> RootMount {
    RootMount::Overlay {
        lower: vec![path.to_path_buf()],
        writable: None,
    }
}

#[tokio::test]
async fn privileged_conforms() {
    let directory = TempDir::new().unwrap();
    conformance::volume::run(|| -> Arc<dyn VolumeDriver> {
        Arc::new(LocalVolumes::open(&directory.path().join(unique_name("volumes"))).unwrap())
    })
    .await;
}

/// Makes one of everything in `directory`.
fn furnish(directory: &Path) {
    fs::write(directory.join("file"), "text").unwrap();
    fs::hard_link(directory.join("file"), directory.join("hard")).unwrap();
    fs::set_permissions(directory.join("file"), PermissionsExt::from_mode(0o4751)).unwrap();
    std::os::unix::fs::chown(directory.join("file"), Some(11), Some(12)).unwrap();
    fs::set_permissions(directory.join("file"), PermissionsExt::from_mode(0o4751)).unwrap();
    rustix::fs::setxattr(directory.join("file"), "user.note", b"kept", XattrFlags::empty()).unwrap();
    symlink("/etc/passwd", directory.join("link")).unwrap();
    fs::create_dir_all(directory.join("sub/deep")).unwrap();
    fs::write(directory.join("sub/deep/inner"), "inner").unwrap();
    let sparse = fs::File::create(directory.join("sparse")).unwrap();
    rustix::io::pwrite(&sparse, b"end", 64 << 20).unwrap();
    let device = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(
        CWD,
        directory.join("null"),
        FileType::CharacterDevice,
        Mode::RUSR,
        device,
    )
    .unwrap();
    rustix::fs::mknodat(CWD, directory.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::set_permissions(directory, PermissionsExt::from_mode(0o2770)).unwrap();
    std::os::unix::fs::chown(directory, Some(33), Some(44)).unwrap();
    fs::set_permissions(directory, PermissionsExt::from_mode(0o2770)).unwrap();
}

#[tokio::test]
async fn privileged_everything_is_copied() {
    let root = TempDir::new().unwrap();
    let source = root.path().join("image");
    fs::create_dir_all(source.join("var/lib/data")).unwrap();
    furnish(&source.join("var/lib/data"));
    // The mount point is reached through links that mean the image's root.
    symlink("/var/lib", source.join("data")).unwrap();
    let volumes = LocalVolumes::open(&root.path().join("volumes")).unwrap();
    let data = volumes.create(&volume("all")).await.unwrap();
    volumes
        .populate(&volume("all"), &image(&source), Path::new("/data/./data/"))
        .await
        .unwrap();

    let original = source.join("var/lib/data");
    let own = fs::metadata(&data).unwrap();
    assert_eq!((own.mode() & 0o7777, own.uid(), own.gid()), (0o2770, 33, 44));
    for name in [
        "file",
        "hard",
        "link",
        "sub",
        "sub/deep",
        "sub/deep/inner",
        "sparse",
        "null",
        "fifo",
    ] {
        let [one, other] = [&original, &data].map(|root| fs::symlink_metadata(root.join(name)).unwrap());
        let facts = |of: &fs::Metadata| {
            (
                of.mode(),
                of.uid(),
                of.gid(),
                of.mtime(),
                of.mtime_nsec(),
                of.rdev(),
                of.nlink(),
                of.is_file().then_some(of.len()),
            )
        };
        assert_eq!(facts(&one), facts(&other), "{name}");
    }
    assert_eq!(
        fs::metadata(data.join("file")).unwrap().ino(),
        fs::metadata(data.join("hard")).unwrap().ino()
    );
    assert!(
        fs::metadata(data.join("sparse")).unwrap().blocks() < 1024,
        "the hole stays one"
    );
    let mut note = [0; 8];
    assert_eq!(
        rustix::fs::getxattr(data.join("file"), "user.note", &mut note[..]),
        Ok(4)
    );
    assert_eq!(fs::read_link(data.join("link")).unwrap(), Path::new("/etc/passwd"));
    assert!(
        fs::symlink_metadata(data.join("null"))
            .unwrap()
            .file_type()
            .is_char_device()
    );
    assert_eq!(fs::read_dir(root.path().join("volumes/.scratch")).unwrap().count(), 0);
    assert!(!root.path().join("volumes/all/ready").exists());
}

#[tokio::test]
async fn privileged_layers_are_merged_and_links_do_not_lead_out() {
    let root = TempDir::new().unwrap();
    let [upper, lower] = ["upper", "lower"].map(|name| root.path().join(name));
    fs::create_dir_all(upper.join("data")).unwrap();
    fs::create_dir_all(lower.join("data")).unwrap();
    fs::write(upper.join("data/both"), "upper").unwrap();
    fs::write(lower.join("data/both"), "lower").unwrap();
    fs::write(lower.join("data/hidden"), "lower").unwrap();
    fs::write(lower.join("data/seen"), "lower").unwrap();
    rustix::fs::mknodat(
        CWD,
        upper.join("data/hidden"),
        FileType::CharacterDevice,
        Mode::empty(),
        0,
    )
    .unwrap();
    let outside = root.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "x").unwrap();
    symlink(&outside, lower.join("escape")).unwrap();
    symlink("../../outside", lower.join("climb")).unwrap();

    let volumes = LocalVolumes::open(&root.path().join("volumes")).unwrap();
    let view = RootMount::Overlay {
        lower: vec![upper, lower],
        writable: None,
    };
    let data = volumes.create(&volume("merged")).await.unwrap();
    volumes
        .populate(&volume("merged"), &view, Path::new("/data"))
        .await
        .unwrap();
    let mut names: Vec<_> = fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["both", "seen"]);
    assert_eq!(fs::read(data.join("both")).unwrap(), b"upper");
    for path in ["/escape", "/climb", "/data/both"] {
        let empty = volumes.create(&volume("empty")).await.unwrap();
        volumes
            .populate(&volume("empty"), &view, Path::new(path))
            .await
            .unwrap();
        assert_eq!(fs::read_dir(empty).unwrap().count(), 0, "{path}");
    }
}

#[tokio::test]
async fn privileged_interrupted_work_is_finished_or_discarded() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("volumes");
    let volumes = LocalVolumes::open(&path).unwrap();
    let data = volumes.create(&volume("half")).await.unwrap();
    drop(volumes);
    // Killed after the commit point, with one entry moved; and another one killed while it copied.
    fs::create_dir_all(path.join("half/ready/directory")).unwrap();
    fs::write(path.join("half/ready/second"), "2").unwrap();
    fs::set_permissions(path.join("half/ready"), PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(data.join("first"), "1").unwrap();
    fs::create_dir_all(path.join(".scratch/abandoned/deep")).unwrap();

    let volumes = LocalVolumes::open(&path).unwrap();
    assert_eq!(fs::read(data.join("second")).unwrap(), b"2");
    assert!(data.join("first").exists() && data.join("directory").is_dir() && !path.join("half/ready").exists());
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(volumes.list().unwrap(), [volume("half")]);
    wait_for("the scratch directory to be emptied", || {
        match fs::read_dir(path.join(".scratch")).unwrap().count() {
            0 => Ok(()),
            count => Err(format!("{count} entries are left")),
        }
    });
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
}
