// SPDX-License-Identifier: MIT
//! What a service mounts, and the ports it publishes.

use super::super::shape::{Constant, Field, Object, Shape};
use super::super::short;
use super::{COUNT, LABELS, boolean, object, text};

pub(super) static FILE_MOUNT: Shape = Shape::Short {
    long: &Shape::Object(&FILE_MOUNT_LONG),
    expand: short::file_mount,
};

pub(super) static SECRET_MOUNT: Shape = Shape::Short {
    long: &Shape::Object(&Object {
        name: SECRET_MOUNT_NAME,
        fields: FILE_MOUNT_LONG.fields,
        required: &[],
    }),
    expand: short::file_mount,
};

/// What [`complete`](crate::compose::complete) knows the secrets of a service by: they have a target of their own.
pub(crate) const SECRET_MOUNT_NAME: &str = "secret of a service";

const FILE_MOUNT_LONG: Object = Object {
    name: "reference",
    fields: &[
        text("source"),
        text("target"),
        Field::new("uid", Shape::Scalar),
        Field::new("gid", Shape::Scalar),
        Field::new("mode", Shape::FileMode),
    ],
    required: &[],
};

pub(super) const PORT: Shape = Shape::Short {
    long: &Shape::Object(&Object {
        name: "port",
        fields: &[
            text("name"),
            text("mode").default(Constant::Text("ingress")),
            text("host_ip"),
            Field::new("target", Shape::Integer(0, 65535)),
            Field::new("published", Shape::Scalar),
            text("protocol").default(Constant::Text("tcp")),
            text("app_protocol"),
        ],
        required: &["target"],
    }),
    expand: short::ports,
};

pub(super) const MOUNT: Shape = Shape::Short {
    long: &Shape::Object(&Object {
        name: "volume",
        fields: &[
            Field::new(
                "type",
                Shape::Choice(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]),
            ),
            text("source"),
            text("target"),
            boolean("read_only"),
            text("consistency"),
            Field::new("bind", object(&BIND)).shown(),
            Field::new("volume", object(&MOUNTED_VOLUME)).shown(),
            Field::new("tmpfs", object(&MOUNTED_TMPFS)).shown(),
            Field::new("image", object(&MOUNTED_IMAGE)).shown(),
        ],
        required: &["type", "target"],
    }),
    expand: short::mount,
};

static BIND: Object = Object {
    name: "bind",
    fields: &[
        text("propagation"),
        boolean("create_host_path"),
        Field::new(
            "recursive",
            Shape::Choice(&["enabled", "disabled", "writable", "readonly"]),
        ),
        Field::new("selinux", Shape::Choice(&["z", "Z"])),
    ],
    required: &[],
};

static MOUNTED_VOLUME: Object = Object {
    name: "volume",
    fields: &[Field::new("labels", LABELS), boolean("nocopy"), text("subpath")],
    required: &[],
};

static MOUNTED_TMPFS: Object = Object {
    name: "tmpfs",
    fields: &[Field::new("size", Shape::Bytes), Field::new("mode", COUNT)],
    required: &[],
};

static MOUNTED_IMAGE: Object = Object {
    name: "image",
    fields: &[text("subpath")],
    required: &[],
};
