// SPDX-License-Identifier: MIT
//! What a Compose file may say: every key, what it takes, and how it behaves.
//!
//! Source: the Compose specification, <https://github.com/compose-spec/compose-spec/blob/main/spec.md> and its schema; behaviour that the text
//! leaves open is that of `docker compose config`.

mod deploy;
mod mount;
mod service;

use super::shape::{Absent, Constant, Field, INCLUDE_NAME, Merge, Object, Same, Shape};
use super::short;
pub(crate) use mount::SECRET_MOUNT_NAME;
pub(crate) use service::SERVICE;
use service::SERVICE_SHAPE;
const TEXTS: Shape = list(&Shape::Text, Same::Never);
const KEYED_TEXTS: Shape = list(&Shape::Text, Same::Key);
const KEYED_SCALARS: Shape = list(&Shape::Scalar, Same::Key);

const TEXT_OR_TEXTS: Shape = Shape::List {
    item: &Shape::Text,
    single: true,
    same: Same::Key,
};
const LABELS: Shape = Shape::Pairs(Absent::Empty);
const ENVIRONMENT: Shape = Shape::Pairs(Absent::Kept);
const INTEGER: Shape = Shape::Integer(i64::MIN, i64::MAX);
const COUNT: Shape = Shape::Integer(0, i64::MAX);

const fn list(item: &'static Shape, same: Same) -> Shape {
    Shape::List {
        item,
        single: false,
        same,
    }
}

const fn object(object: &'static Object) -> Shape {
    Shape::Object(object)
}

const fn text(key: &'static str) -> Field {
    Field::new(key, Shape::Text)
}

const fn boolean(key: &'static str) -> Field {
    Field::new(key, Shape::Boolean)
}

/// A whole file.
pub(crate) static FILE: Object = Object {
    name: "Compose file",
    fields: &[
        Field::new("version", Shape::Scalar),
        text("name"),
        Field::new("include", list(&INCLUDE, Same::Never)),
        Field::new("services", Shape::Named(&SERVICE_SHAPE)).shown(),
        Field::new("networks", Shape::Named(&Shape::Maybe(&object(&NETWORK)))),
        Field::new("volumes", Shape::Named(&Shape::Maybe(&object(&VOLUME)))),
        Field::new("secrets", Shape::Named(&object(&SECRET))),
        Field::new("configs", Shape::Named(&object(&CONFIG))),
        Field::new("models", Shape::Named(&object(&MODEL))),
    ],
    required: &[],
};

static INCLUDE: Shape = Shape::Short {
    long: &Shape::Object(&Object {
        name: INCLUDE_NAME,
        fields: &[
            Field::new("path", TEXT_OR_TEXTS),
            Field::new("env_file", TEXT_OR_TEXTS),
            text("project_directory"),
        ],
        required: &["path"],
    }),
    expand: short::include,
};

static NETWORK: Object = Object {
    name: "network",
    fields: &[
        text("name"),
        text("driver"),
        Field::new("driver_opts", Shape::Options),
        Field::new("ipam", object(&IPAM)).default(Constant::Nothing),
        Field::new("external", EXTERNAL),
        boolean("internal"),
        boolean("attachable"),
        boolean("enable_ipv4").shown(),
        boolean("enable_ipv6").shown(),
        Field::new("labels", LABELS),
    ],
    required: &[],
};

static IPAM: Object = Object {
    name: "ipam",
    fields: &[
        text("driver"),
        Field::new("config", list(&object(&POOL), Same::Never)).merged(Merge::Pools),
        Field::new("options", Shape::Options).hidden(),
    ],
    required: &[],
};

static POOL: Object = Object {
    name: "pool",
    fields: &[
        text("subnet"),
        text("ip_range"),
        text("gateway"),
        Field::new("aux_addresses", LABELS),
    ],
    required: &[],
};

static VOLUME: Object = Object {
    name: "volume",
    fields: &[
        text("name"),
        text("driver"),
        Field::new("driver_opts", Shape::Options),
        Field::new("external", EXTERNAL),
        Field::new("labels", LABELS),
    ],
    required: &[],
};

static SECRET: Object = Object {
    name: "secret",
    fields: &[
        text("name"),
        text("environment"),
        text("file"),
        Field::new("external", EXTERNAL),
        Field::new("labels", LABELS),
        text("driver"),
        Field::new("driver_opts", Shape::Options),
        text("template_driver"),
    ],
    required: &[],
};

static CONFIG: Object = Object {
    name: "config",
    fields: &[
        text("name"),
        text("content"),
        text("environment"),
        text("file"),
        Field::new("external", EXTERNAL),
        Field::new("labels", LABELS),
        text("template_driver"),
    ],
    required: &[],
};

static MODEL: Object = Object {
    name: "model",
    fields: &[
        text("name"),
        text("model"),
        Field::new("context_size", COUNT),
        Field::new("runtime_flags", TEXTS),
    ],
    required: &["model"],
};

/// `external: {name: x}` is the old form of `external: true` with `name: x`; [`super::conform`] moves the name.
const EXTERNAL: Shape = Shape::Short {
    long: &Shape::Boolean,
    expand: short::external,
};
