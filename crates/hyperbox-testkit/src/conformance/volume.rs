// SPDX-License-Identifier: MIT
//! What every [`VolumeDriver`] does with plain files; owners, links and devices are for the real ones' own tests.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hyperbox_core::seam::{VolumeDriver, VolumeMount};
use hyperbox_types::{RootMount, VolumeName};

/// Runs the suite; `make` makes a driver without volumes.
///
/// # Panics
/// When the implementation breaks the contract.
pub async fn run(make: impl Fn() -> Arc<dyn VolumeDriver>) {
    volumes_come_and_go(&*make()).await;
    empty_volumes_are_filled_once(&*make()).await;
    what_the_image_lacks_gives_nothing(&*make()).await;
    what_can_be_mounted(&*make());
}

fn name(text: &str) -> VolumeName {
    VolumeName::parse(text).expect("a valid name")
}

fn view(directory: &Path) -> RootMount {
    RootMount::Bind {
        source: directory.to_path_buf(),
        read_only: true,
    }
}

async fn volumes_come_and_go(driver: &dyn VolumeDriver) {
    assert!(driver.list().expect("list").is_empty());
    let path = driver.create(&name("beta")).await.expect("create");
    assert_eq!(path, driver.mountpoint(&name("beta")));
    assert!(path.is_dir() && path.is_absolute());
    fs::write(path.join("file"), vec![1; 100_000]).expect("write");
    assert_eq!(driver.create(&name("beta")).await.expect("again"), path);
    assert!(path.join("file").exists(), "creating again keeps the content");
    assert!(driver.usage(&name("beta")).await.expect("usage") >= 100_000);
    driver.create(&name("alpha")).await.expect("create");
    assert_eq!(driver.list().expect("list"), [name("alpha"), name("beta")]);
    driver.remove(&name("beta")).await.expect("remove");
    driver.remove(&name("beta")).await.expect("removing what is not there");
    assert!(!path.exists());
    assert_eq!(driver.list().expect("list"), [name("alpha")]);
    let path = driver.create(&name("beta")).await.expect("create");
    assert_eq!(
        fs::read_dir(path).expect("list").count(),
        0,
        "a new volume of an old name is empty"
    );
}

async fn empty_volumes_are_filled_once(driver: &dyn VolumeDriver) {
    let image = tempfile::tempdir().expect("directory");
    fs::create_dir_all(image.path().join("var/data/inner")).expect("directory");
    fs::write(image.path().join("var/data/file"), "content").expect("write");
    fs::write(image.path().join("var/data/inner/deep"), "deeper").expect("write");
    let volume = name("filled");
    let path = driver.create(&volume).await.expect("create");
    driver
        .populate(&volume, &view(image.path()), Path::new("/var/data"))
        .await
        .expect("populate");
    assert_eq!(fs::read_to_string(path.join("file")).expect("read"), "content");
    assert_eq!(fs::read_to_string(path.join("inner/deep")).expect("read"), "deeper");
    fs::remove_file(path.join("file")).expect("remove");
    driver
        .populate(&volume, &view(image.path()), Path::new("/var/data"))
        .await
        .expect("populate");
    assert!(!path.join("file").exists(), "a volume with content is left alone");
}

async fn what_the_image_lacks_gives_nothing(driver: &dyn VolumeDriver) {
    let image = tempfile::tempdir().expect("directory");
    let volume = name("lonely");
    let path = driver.create(&volume).await.expect("create");
    driver
        .populate(&volume, &view(image.path()), Path::new("/no/such/place"))
        .await
        .expect("populate");
    assert_eq!(fs::read_dir(path).expect("list").count(), 0);
}

fn what_can_be_mounted(driver: &dyn VolumeDriver) {
    let directory = tempfile::tempdir().expect("directory");
    let bind = |device: &Path| VolumeMount::Bind {
        device: device.to_owned(),
        recursive: false,
        options: Vec::new(),
    };
    let filesystem = |kind: &str| VolumeMount::Filesystem {
        kind: kind.to_owned(),
        device: "nothing".to_owned(),
        options: Vec::new(),
        data: Vec::new(),
    };
    driver.probe(&bind(directory.path())).expect("a directory");
    driver.probe(&filesystem("tmpfs")).expect("memory");
    let missing = driver.probe(&bind(&directory.path().join("missing")));
    assert_eq!(missing.expect_err("missing").kind(), std::io::ErrorKind::NotFound);
    let unknown = driver.probe(&filesystem("nosuchfs")).expect_err("no such type");
    assert_eq!(unknown.raw_os_error(), Some(19), "{unknown}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeVolumes;

    #[tokio::test]
    async fn the_fake_conforms() {
        run(|| Arc::new(FakeVolumes::new())).await;
    }
}
