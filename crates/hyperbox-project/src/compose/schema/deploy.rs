// SPDX-License-Identifier: MIT
//! `deploy`, and the devices that it shares with `gpus`.

use super::super::shape::{Constant, Field, Object, Same, Shape};
use super::super::short;
use super::{COUNT, INTEGER, LABELS, TEXTS, list, object, text};

pub(super) static DEPLOY: Object = Object {
    name: "deploy",
    fields: &[
        text("mode"),
        text("endpoint_mode"),
        Field::new("replicas", INTEGER).shown(),
        Field::new("labels", LABELS),
        Field::new("rollback_config", object(&UPDATE)),
        Field::new("update_config", object(&UPDATE)),
        Field::new("resources", object(&RESOURCES)).default(Constant::Nothing),
        Field::new("restart_policy", object(&RESTART_POLICY)),
        Field::new("placement", object(&PLACEMENT)).default(Constant::Nothing),
    ],
    required: &[],
};

static UPDATE: Object = Object {
    name: "update_config",
    fields: &[
        Field::new("parallelism", COUNT).shown(),
        Field::new("delay", Shape::Duration),
        text("failure_action"),
        Field::new("monitor", Shape::Duration),
        Field::new("max_failure_ratio", Shape::Float),
        Field::new("order", Shape::Choice(&["start-first", "stop-first"])),
    ],
    required: &[],
};

static RESOURCES: Object = Object {
    name: "resources",
    fields: &[
        Field::new("limits", object(&LIMITS)),
        Field::new("reservations", object(&RESERVATIONS)),
    ],
    required: &[],
};

static LIMITS: Object = Object {
    name: "limits",
    fields: &[
        Field::new("cpus", Shape::Float),
        Field::new("memory", Shape::Bytes),
        Field::new("pids", INTEGER),
    ],
    required: &[],
};

static RESERVATIONS: Object = Object {
    name: "reservations",
    fields: &[
        Field::new("cpus", Shape::Float),
        Field::new("memory", Shape::Bytes),
        Field::new("generic_resources", list(&object(&GENERIC_RESOURCE), Same::Never)),
        Field::new("devices", list(&object(&DEVICE_REQUEST), Same::Never)),
    ],
    required: &[],
};

static GENERIC_RESOURCE: Object = Object {
    name: "generic resource",
    fields: &[Field::new(
        "discrete_resource_spec",
        object(&Object {
            name: "discrete_resource_spec",
            fields: &[text("kind"), Field::new("value", INTEGER).shown()],
            required: &[],
        }),
    )],
    required: &[],
};

static RESTART_POLICY: Object = Object {
    name: "restart_policy",
    fields: &[
        text("condition"),
        Field::new("delay", Shape::Duration).shown(),
        Field::new("max_attempts", COUNT).shown(),
        Field::new("window", Shape::Duration).shown(),
    ],
    required: &[],
};

static PLACEMENT: Object = Object {
    name: "placement",
    fields: &[
        Field::new("constraints", TEXTS),
        Field::new("preferences", list(&object(&PREFERENCE), Same::Never)),
        Field::new("max_replicas_per_node", COUNT),
    ],
    required: &[],
};

static PREFERENCE: Object = Object {
    name: "preference",
    fields: &[text("spread")],
    required: &[],
};

static DEVICE_REQUEST: Object = Object {
    name: "device request",
    fields: &[
        Field::new("capabilities", TEXTS),
        Field::new("count", Shape::DeviceCount),
        Field::new("device_ids", TEXTS),
        text("driver"),
        Field::new("options", LABELS),
    ],
    required: &[],
};

pub(super) const GPUS: Shape = Shape::Short {
    long: &Shape::List {
        item: &Shape::Object(&DEVICE_REQUEST),
        single: false,
        same: Same::Never,
    },
    expand: short::gpus,
};
