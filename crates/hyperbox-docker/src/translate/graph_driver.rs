// SPDX-License-Identifier: MIT
//! `GraphDriver` of inspections: where the files of a container or image are, in the words of Docker's overlay driver.
//!
//! Nothing is mounted on the host, so there is a merged directory only while a process sees it: its root in `proc(5)`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hyperbox_core::container::ContainerRecord;
use hyperbox_types::RootMount;

use crate::wire::container::GraphDriver;

/// Describes the storage of a container.
pub(crate) fn of_container(driver: String, record: &ContainerRecord, mount: Option<&RootMount>) -> GraphDriver {
    let mut data = match mount {
        Some(RootMount::Overlay {
            lower,
            writable: Some(writable),
        }) => directories([
            ("LowerDir", joined(lower)),
            ("UpperDir", text(&writable.upper)),
            ("WorkDir", text(&writable.work)),
        ]),
        Some(RootMount::Overlay { lower, writable: None }) => directories([("LowerDir", joined(lower))]),
        Some(RootMount::Bind { source, .. }) => directories([("UpperDir", text(source))]),
        None => {
            return GraphDriver {
                data: None,
                name: driver,
            };
        }
    };
    data.insert("ID".to_owned(), record.id.to_string());
    if record.state.phase.is_alive() && record.state.pid != 0 {
        data.insert("MergedDir".to_owned(), format!("/proc/{}/root", record.state.pid));
    }
    GraphDriver {
        data: Some(data),
        name: driver,
    }
}

/// Describes the storage of an image: its topmost layer, and those below it. What Docker would mount and work in is beside the layer;
/// as with Docker, nothing is there while nothing is mounted.
pub(crate) fn of_image(driver: String, mount: Option<&RootMount>) -> GraphDriver {
    let data = mount.map(|mount| match mount {
        RootMount::Overlay { lower, .. } => match lower.split_first() {
            Some((top, below)) => {
                let mut data = directories([
                    ("MergedDir", text(&top.with_file_name("merged"))),
                    ("UpperDir", text(top)),
                    ("WorkDir", text(&top.with_file_name("work"))),
                ]);
                if !below.is_empty() {
                    data.insert("LowerDir".to_owned(), joined(below));
                }
                data
            }
            None => BTreeMap::new(),
        },
        RootMount::Bind { source, .. } => directories([("UpperDir", text(source))]),
    });
    GraphDriver { data, name: driver }
}

fn directories<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, path)| (name.to_owned(), path)).into()
}

fn joined(paths: &[PathBuf]) -> String {
    let texts: Vec<String> = paths.iter().map(|path| text(path)).collect();
    texts.join(":")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_its_topmost_layer_over_the_others() {
        for (lower, expected) in [
            (
                &["/l/3/diff", "/l/2/diff", "/l/1/diff"][..],
                vec![
                    ("LowerDir", "/l/2/diff:/l/1/diff"),
                    ("MergedDir", "/l/3/merged"),
                    ("UpperDir", "/l/3/diff"),
                    ("WorkDir", "/l/3/work"),
                ],
            ),
            (
                &["/l/1/diff"],
                vec![
                    ("MergedDir", "/l/1/merged"),
                    ("UpperDir", "/l/1/diff"),
                    ("WorkDir", "/l/1/work"),
                ],
            ),
            (&[], vec![]),
        ] {
            let mount = RootMount::Overlay {
                lower: lower.iter().map(PathBuf::from).collect(),
                writable: None,
            };
            let driver = of_image("overlay2".to_owned(), Some(&mount));
            let data = driver.data.expect("data");
            let found: Vec<_> = data.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect();
            assert_eq!(found, expected);
        }
        assert_eq!(of_image("overlay2".to_owned(), None).data, None);
    }
}
