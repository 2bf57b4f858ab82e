// SPDX-License-Identifier: MIT
//! Telling listeners what happens to volumes.

use hyperbox_types::VolumeName;

use super::{Volumes, volumes_of};
use crate::container::{ContainerRecord, ResolvedMount};
use crate::event::EventKind;

impl Volumes {
    /// Tells listeners that the volumes of a container are in use.
    pub(crate) fn tell_mounted(&self, container: &ContainerRecord) {
        for mount in &container.mounts {
            let ResolvedMount::Volume {
                name,
                target,
                read_only,
                ..
            } = mount
            else {
                continue;
            };
            let attributes = [
                ("container", container.id.to_string()),
                ("destination", target.to_string_lossy().into_owned()),
                ("driver", "local".to_owned()),
                // Volumes are mounted without propagation.
                ("propagation", String::new()),
                ("read/write", (!read_only).to_string()),
            ];
            self.publish_use("mount", name, attributes);
        }
    }

    /// Tells listeners that the volumes of a container are not in use any more.
    pub(crate) fn tell_unmounted(&self, container: &ContainerRecord) {
        for name in volumes_of(container) {
            let attributes = [("container", container.id.to_string()), ("driver", "local".to_owned())];
            self.publish_use("unmount", name, attributes);
        }
    }

    fn publish_use<const N: usize>(&self, action: &str, name: &VolumeName, attributes: [(&str, String); N]) {
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value)).into();
        self.inner
            .events
            .publish(EventKind::Volume, action, name.as_str(), attributes);
    }

    pub(super) fn publish_event(&self, action: &str, name: &VolumeName) {
        let attributes = [("driver".to_owned(), "local".to_owned())].into();
        self.inner
            .events
            .publish(EventKind::Volume, action, name.as_str(), attributes);
    }
}
