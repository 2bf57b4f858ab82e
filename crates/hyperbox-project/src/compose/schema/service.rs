// SPDX-License-Identifier: MIT
//! What a service may say, but for its mounts, ports and `deploy`.

use super::super::quantity::parse_age;
use super::super::shape::{Absent, Constant, Field, Merge, Object, Same, Shape};
use super::super::short;
use super::deploy::{DEPLOY, GPUS};
use super::mount::{FILE_MOUNT, MOUNT, PORT, SECRET_MOUNT};
use super::{
    COUNT, ENVIRONMENT, INTEGER, KEYED_SCALARS, KEYED_TEXTS, LABELS, TEXT_OR_TEXTS, TEXTS, boolean, list, object, text,
};

pub(super) static SERVICE_SHAPE: Shape = Shape::Object(&SERVICE);

/// A service.
pub(crate) static SERVICE: Object = Object {
    name: "service",
    fields: &[
        Field::new("annotations", LABELS),
        boolean("attach").shown(),
        Field::new("blkio_config", object(&BLKIO)),
        Field::new("build", BUILD),
        Field::new("cap_add", KEYED_TEXTS),
        Field::new("cap_drop", KEYED_TEXTS),
        Field::new("cgroup", Shape::Choice(&["host", "private"])),
        text("cgroup_parent"),
        Field::new("command", Shape::Command).replaced().default(Constant::Null),
        Field::new("configs", list(&FILE_MOUNT, Same::Mount(""))),
        Field::new("container_name", CONTAINER_NAME),
        Field::new("cpu_count", COUNT),
        Field::new("cpu_percent", Shape::Float),
        Field::new("cpu_period", INTEGER),
        Field::new("cpu_quota", INTEGER),
        Field::new("cpu_rt_period", INTEGER),
        Field::new("cpu_rt_runtime", INTEGER),
        Field::new("cpu_shares", INTEGER),
        Field::new("cpus", Shape::Float),
        text("cpuset"),
        Field::new("credential_spec", object(&CREDENTIALS)),
        Field::new("depends_on", DEPENDENCIES),
        Field::new("deploy", Shape::Maybe(&object(&DEPLOY))),
        Field::new("develop", Shape::Maybe(&object(&DEVELOP))),
        Field::new("device_cgroup_rules", TEXTS),
        Field::new("devices", list(&DEVICE, Same::Target)),
        Field::new("dns", TEXT_OR_TEXTS),
        Field::new("dns_opt", KEYED_TEXTS),
        Field::new("dns_search", TEXT_OR_TEXTS),
        text("domainname"),
        Field::new("entrypoint", Shape::Command)
            .replaced()
            .default(Constant::Null),
        Field::new("env_file", ENVIRONMENT_FILES),
        Field::new("environment", ENVIRONMENT),
        Field::new("expose", KEYED_SCALARS),
        Field::new("extends", EXTENDS).replaced(),
        Field::new("external_links", TEXTS),
        Field::new("extra_hosts", Shape::Hosts),
        Field::new("gpus", GPUS),
        Field::new("group_add", list(&Shape::Scalar, Same::Never)),
        Field::new("healthcheck", object(&HEALTH_CHECK)),
        text("hostname"),
        text("image"),
        boolean("init").shown(),
        text("ipc"),
        text("isolation"),
        Field::new("label_file", TEXT_OR_TEXTS),
        Field::new("labels", LABELS),
        Field::new("links", KEYED_TEXTS),
        Field::new("logging", object(&LOGGING)).merged(Merge::Logging),
        text("mac_address"),
        Field::new("mem_limit", Shape::Bytes),
        Field::new("mem_reservation", Shape::Bytes),
        Field::new("mem_swappiness", Shape::Bytes),
        Field::new("memswap_limit", Shape::Bytes),
        Field::new(
            "models",
            Shape::Names {
                value: &Shape::Maybe(&object(&SERVICE_MODEL)),
                listed: &[],
            },
        ),
        text("network_mode"),
        Field::new(
            "networks",
            Shape::Names {
                value: &Shape::Maybe(&object(&SERVICE_NETWORK)),
                listed: &[],
            },
        ),
        boolean("oom_kill_disable"),
        Field::new("oom_score_adj", Shape::Integer(-1000, 1000)),
        Field::new("pid", Shape::Maybe(&Shape::Text)),
        Field::new("pids_limit", INTEGER),
        text("platform"),
        Field::new("ports", list(&PORT, Same::Port)),
        Field::new("post_start", list(&object(&HOOK), Same::Never)),
        Field::new("pre_start", list(&object(&PRE_START), Same::Never)),
        Field::new("pre_stop", list(&object(&HOOK), Same::Never)),
        boolean("privileged"),
        Field::new("profiles", KEYED_TEXTS),
        Field::new("provider", object(&PROVIDER)),
        Field::new("pull_policy", PULL_POLICY),
        text("pull_refresh_after"),
        boolean("read_only"),
        text("restart"),
        text("runtime"),
        Field::new("scale", INTEGER).shown(),
        Field::new("secrets", list(&SECRET_MOUNT, Same::Mount("/run/secrets"))),
        Field::new("security_opt", TEXTS),
        Field::new("shm_size", Shape::Bytes),
        boolean("stdin_open"),
        Field::new("stop_grace_period", Shape::Duration).shown(),
        text("stop_signal"),
        Field::new("storage_opt", Shape::Pairs(Absent::Empty)),
        Field::new("sysctls", LABELS),
        Field::new("tmpfs", TEXT_OR_TEXTS),
        boolean("tty"),
        Field::new("ulimits", Shape::Named(&ULIMIT)),
        boolean("use_api_socket"),
        text("user"),
        text("userns_mode"),
        text("uts"),
        Field::new("volumes", list(&MOUNT, Same::Target)),
        Field::new("volumes_from", TEXTS),
        text("working_dir"),
    ],
    required: &[],
};

const CONTAINER_NAME: Shape = Shape::Matching(
    is_container_name,
    "a name of letters, digits, '.', '_' and '-', two of them at least",
);

fn is_container_name(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    // Compose looks for it anywhere in the text; the engine refuses the rest.
    text.as_bytes()
        .windows(2)
        .any(|pair| pair[0].is_ascii_alphanumeric() && part(pair[1]))
}

const PULL_POLICY: Shape = Shape::Matching(
    is_pull_policy,
    "always, never, missing, if_not_present, build, refresh, daily, weekly, or every_ and a time such as 12h",
);

fn is_pull_policy(text: &str) -> bool {
    let words = [
        "always",
        "never",
        "build",
        "if_not_present",
        "missing",
        "refresh",
        "daily",
        "weekly",
    ];
    words.contains(&text)
        || text
            .strip_prefix("every_")
            .is_some_and(|time| parse_age(time).is_some())
}

const BUILD: Shape = Shape::Short {
    long: &Shape::Object(&Object {
        name: "build",
        fields: &[
            Field::new("additional_contexts", LABELS),
            Field::new("args", ENVIRONMENT),
            Field::new("cache_from", TEXTS),
            Field::new("cache_to", TEXTS),
            text("context"),
            text("dockerfile"),
            text("dockerfile_inline"),
            Field::new("entitlements", TEXTS),
            Field::new("extra_hosts", Shape::Hosts),
            text("isolation"),
            Field::new("labels", LABELS),
            text("network"),
            boolean("no_cache"),
            Field::new("no_cache_filter", TEXT_OR_TEXTS),
            Field::new("platforms", TEXTS),
            boolean("privileged"),
            Field::new("provenance", Shape::Scalar),
            boolean("pull"),
            Field::new("sbom", Shape::Scalar),
            Field::new("secrets", list(&FILE_MOUNT, Same::Never)),
            Field::new("shm_size", Shape::Bytes),
            Field::new("ssh", ENVIRONMENT),
            Field::new("tags", KEYED_TEXTS),
            text("target"),
            Field::new("ulimits", Shape::Named(&ULIMIT)),
        ],
        required: &[],
    }),
    expand: short::build,
};

const DEPENDENCIES: Shape = Shape::Names {
    value: &Shape::Object(&Object {
        name: "dependency",
        fields: &[
            Field::new(
                "condition",
                Shape::Choice(&["service_started", "service_healthy", "service_completed_successfully"]),
            )
            .default(Constant::Text("service_started")),
            boolean("restart"),
            boolean("required").default(Constant::Boolean(true)),
        ],
        required: &["condition"],
    }),
    listed: &[
        ("condition", Constant::Text("service_started")),
        ("required", Constant::Boolean(true)),
    ],
};

const DEVICE: Shape = Shape::Short {
    long: &Shape::Object(&Object {
        name: "device",
        fields: &[text("source"), text("target"), text("permissions")],
        required: &["source"],
    }),
    expand: short::device,
};

const ENVIRONMENT_FILES: Shape = Shape::List {
    item: &Shape::Short {
        long: &Shape::Object(&Object {
            name: "env_file",
            fields: &[
                text("path"),
                text("format"),
                boolean("required").default(Constant::Boolean(true)),
            ],
            required: &["path"],
        }),
        expand: short::environment_file,
    },
    single: true,
    same: Same::Path,
};

const EXTENDS: Shape = Shape::Short {
    long: &Shape::Object(&Object {
        name: "extends",
        fields: &[text("service"), text("file")],
        required: &["service"],
    }),
    expand: short::extends,
};

static ULIMIT: Shape = Shape::Short {
    long: &Shape::Object(&Object {
        name: "ulimit",
        fields: &[
            Field::new("soft", INTEGER),
            Field::new("hard", INTEGER),
            Field::new("single", INTEGER),
        ],
        required: &[],
    }),
    expand: short::ulimit,
};

static BLKIO: Object = Object {
    name: "blkio_config",
    fields: &[
        Field::new("device_read_bps", list(&object(&BLKIO_LIMIT), Same::Never)),
        Field::new("device_read_iops", list(&object(&BLKIO_LIMIT), Same::Never)),
        Field::new("device_write_bps", list(&object(&BLKIO_LIMIT), Same::Never)),
        Field::new("device_write_iops", list(&object(&BLKIO_LIMIT), Same::Never)),
        Field::new("weight", COUNT),
        Field::new("weight_device", list(&object(&BLKIO_WEIGHT), Same::Never)),
    ],
    required: &[],
};

static BLKIO_LIMIT: Object = Object {
    name: "limit",
    fields: &[
        text("path").renamed("Path"),
        Field::new("rate", Shape::Bytes).renamed("Rate"),
    ],
    required: &[],
};

static BLKIO_WEIGHT: Object = Object {
    name: "weight",
    fields: &[
        text("path").renamed("Path"),
        Field::new("weight", COUNT).renamed("Weight"),
    ],
    required: &[],
};

static CREDENTIALS: Object = Object {
    name: "credential_spec",
    fields: &[text("config"), text("file"), text("registry")],
    required: &[],
};

static DEVELOP: Object = Object {
    name: "develop",
    fields: &[Field::new("watch", list(&object(&WATCH), Same::Never))],
    required: &[],
};

static WATCH: Object = Object {
    name: "watch rule",
    fields: &[
        text("path"),
        Field::new(
            "action",
            Shape::Choice(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]),
        ),
        text("target"),
        Field::new("exec", object(&WATCH_HOOK)).default(Constant::Nothing),
        Field::new("include", TEXT_OR_TEXTS),
        Field::new("ignore", TEXT_OR_TEXTS),
        boolean("initial_sync"),
    ],
    required: &["path", "action"],
};

static HEALTH_CHECK: Object = Object {
    name: "healthcheck",
    fields: &[
        Field::new("test", Shape::HealthTest).replaced(),
        Field::new("timeout", Shape::Duration).shown(),
        Field::new("interval", Shape::Duration).shown(),
        Field::new("retries", COUNT).shown(),
        Field::new("start_period", Shape::Duration).shown(),
        Field::new("start_interval", Shape::Duration).shown(),
        boolean("disable"),
    ],
    required: &[],
};

const HOOK_OBJECT: Object = Object {
    name: "hook",
    fields: &[
        Field::new("command", Shape::Command).replaced().default(Constant::Null),
        text("user"),
        boolean("privileged"),
        text("working_dir"),
        Field::new("environment", ENVIRONMENT),
    ],
    required: &["command"],
};

static HOOK: Object = HOOK_OBJECT;

/// What a watch rule runs; one that runs nothing says so by an empty object.
static WATCH_HOOK: Object = Object {
    name: "hook",
    fields: HOOK_OBJECT.fields,
    required: &[],
};

static PRE_START: Object = Object {
    name: "hook",
    fields: &[
        Field::new("command", Shape::Command).replaced().default(Constant::Null),
        text("image"),
        text("user"),
        boolean("privileged"),
        text("working_dir"),
        Field::new("environment", ENVIRONMENT),
        boolean("per_replica"),
    ],
    required: &[],
};

static LOGGING: Object = Object {
    name: "logging",
    fields: &[text("driver"), Field::new("options", LABELS)],
    required: &[],
};

static PROVIDER: Object = Object {
    name: "provider",
    fields: &[
        text("type"),
        Field::new(
            "options",
            Shape::Named(&Shape::List {
                item: &Shape::Scalar,
                single: true,
                same: Same::Never,
            }),
        ),
    ],
    required: &["type"],
};

static SERVICE_MODEL: Object = Object {
    name: "model",
    fields: &[text("endpoint_var"), text("model_var")],
    required: &[],
};

static SERVICE_NETWORK: Object = Object {
    name: "network of a service",
    fields: &[
        Field::new("aliases", KEYED_TEXTS),
        Field::new("driver_opts", Shape::Options),
        Field::new("gw_priority", INTEGER),
        text("interface_name"),
        text("ipv4_address"),
        text("ipv6_address"),
        Field::new("link_local_ips", KEYED_TEXTS),
        text("mac_address"),
        Field::new("priority", INTEGER),
    ],
    required: &[],
};
