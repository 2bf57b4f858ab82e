// SPDX-License-Identifier: MIT
//! `docs/openapi-projects.json` is what the types of the wire and the routes say. `HYPERBOX_WRITE_OPENAPI=1` writes it anew.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod conform;
mod document;
mod source;

use std::collections::BTreeMap;
use std::path::Path;

use hyperbox_types::project::{
    ContainerStatus, IoLimits, NetworkStatus, OperationPhase, PlannedOperation, PortRange, ProjectChange,
    ProjectChanged, ProjectDown, ProjectEvent, ProjectLimits, ProjectPlan, ProjectServices, ProjectSpecification,
    ProjectState, ProjectStatus, ProjectSummary, ProjectUp, ProjectUsage, PublishedPortStatus, PullPolicy, Quantity,
    RecreatePolicy, RemovedImages, RunSummary, ServiceStatus,
};
use hyperbox_types::{ErrorKind, Hint};
use serde::Serialize;
use serde_json::{Value, json};

const SOURCES: [&str; 5] = [
    include_str!("../../../hyperbox-types/src/error.rs"),
    include_str!("../../../hyperbox-types/src/project/event.rs"),
    include_str!("../../../hyperbox-types/src/project/request.rs"),
    include_str!("../../../hyperbox-types/src/project/specification.rs"),
    include_str!("../../../hyperbox-types/src/project/status.rs"),
];

fn text(value: &str) -> String {
    value.to_owned()
}

#[test]
fn the_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi-projects.json");
    let mut generated = serde_json::to_string_pretty(&document::document(&SOURCES)).unwrap();
    generated.push('\n');
    if std::env::var_os("HYPERBOX_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == generated,
        "{} is out of date: run this test with HYPERBOX_WRITE_OPENAPI=1",
        path.display()
    );
}

/// A value with every field set is one of its schema, so the schema knows every field and its type.
#[test]
fn values_conform() {
    let document = document::document(&SOURCES);
    let conforms = |name: &str, value: Value| {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        let found = conform::complaints(&document, &schema, &value);
        assert!(found.is_empty(), "{name}: {found:?}\n{value:#}");
    };
    for (name, value) in requests() {
        conforms(name, value);
    }
    for (name, value) in answers() {
        conforms(name, value);
    }
    for event in events() {
        conforms("ProjectEvent", json(&event));
    }
    let schema = json!({ "$ref": "#/components/schemas/ProjectUp" });
    let wrong = json!({ "services": "web", "unknown": 1 });
    assert_eq!(conform::complaints(&document, &schema, &wrong).len(), 2);
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

fn limits() -> ProjectLimits {
    ProjectLimits {
        cpus: Some(1.5),
        memory: Some(1),
        pids: Some(2),
        io: Some(IoLimits {
            read_bytes: Some(1),
            write_bytes: Some(2),
            read_operations: Some(3),
            write_operations: Some(4),
            weight: Some(100),
        }),
    }
}

fn specification() -> ProjectSpecification {
    ProjectSpecification {
        name: text("shop"),
        directory: text("/shop"),
        files: vec![text("/shop/compose.yaml")],
        machine: Some(text("laptop")),
        model: json!({ "name": "shop" }),
        limits: limits(),
        contents: BTreeMap::from([(text("secrets.s"), text("x"))]),
    }
}

fn requests() -> Vec<(&'static str, Value)> {
    vec![
        ("ProjectSpecification", json(&specification())),
        (
            "ProjectUp",
            json(&ProjectUp {
                project: Some(Box::new(specification())),
                services: vec![text("web")],
                scale: BTreeMap::from([(text("web"), 2)]),
                recreate: RecreatePolicy::Always,
                pull: Some(PullPolicy::Missing),
                timeout: Some(-1),
                wait_timeout: Some(1),
                ..ProjectUp::default()
            }),
        ),
        (
            "ProjectDown",
            json(&ProjectDown {
                services: vec![text("web")],
                images: Some(RemovedImages::Local),
                timeout: Some(1),
                ..ProjectDown::default()
            }),
        ),
        (
            "ProjectServices",
            json(&ProjectServices {
                services: vec![text("web")],
                timeout: Some(1),
                signal: Some(text("HUP")),
                wait_timeout: Some(1),
                ..ProjectServices::default()
            }),
        ),
    ]
}

fn summary() -> ProjectSummary {
    ProjectSummary {
        name: text("shop"),
        directory: text("/shop"),
        files: vec![text("/shop/compose.yaml")],
        machine: Some(text("laptop")),
        opened: true,
        state: ProjectState::Running,
        running: 1,
        containers: 1,
        ports: Some(PortRange {
            first: 10000,
            last: 10999,
        }),
        created: Some(text("2026-01-01T00:00:00Z")),
        changed: Some(text("2026-01-01T00:00:00Z")),
    }
}

fn status() -> ProjectStatus {
    let container = ContainerStatus {
        id: text("abc"),
        name: text("shop-web-1"),
        number: 1,
        state: text("running"),
        health: Some(text("healthy")),
        exit_code: Some(0),
        out_of_memory: false,
        started_at: Some(text("2026-01-01T00:00:00Z")),
        ports: vec![PublishedPortStatus {
            host_ip: text("0.0.0.0"),
            host_port: 10000,
            container_port: 80,
            protocol: text("tcp"),
            url: Some(text("http://localhost:10000")),
        }],
        addresses: vec![text("10.89.1.2")],
    };
    let quantity = Quantity {
        used: 1.0,
        limit: Some(2.0),
    };
    ProjectStatus {
        summary: summary(),
        services: vec![ServiceStatus {
            name: text("web"),
            image: text("i"),
            wanted: 1,
            orphan: false,
            containers: vec![container],
        }],
        networks: vec![NetworkStatus {
            key: text("default"),
            name: text("shop_default"),
            subnets: vec![text("10.89.1.0/24")],
            external: false,
        }],
        volumes: vec![text("shop_data")],
        cgroup: Some(text("/hyperbox/shop")),
        limits: limits(),
        usage: Some(ProjectUsage {
            cpus: quantity,
            memory: quantity,
            pids: quantity,
            ..ProjectUsage::default()
        }),
        busy: false,
    }
}

fn planned() -> PlannedOperation {
    PlannedOperation {
        number: 2,
        text: text("create shop-web-1"),
        cause: text("missing"),
        after: vec![1],
        service: Some(text("web")),
        object: Some(text("shop-web-1")),
    }
}

fn answers() -> Vec<(&'static str, Value)> {
    vec![
        ("ProjectSummary", json(&summary())),
        ("ProjectStatus", json(&status())),
        (
            "ProjectPlan",
            json(&ProjectPlan {
                text: text("1 create network shop_default (missing)"),
                operations: vec![planned()],
                notes: vec![text("note")],
                missing_images: vec![text("i")],
                builds: vec![text("web")],
            }),
        ),
        (
            "ProjectChanged",
            json(&ProjectChanged {
                name: text("shop"),
                what: ProjectChange::ContainerOutOfMemory,
                service: Some(text("web")),
                container: Some(text("shop-web-1")),
                at: text("2026-01-01T00:00:00Z"),
            }),
        ),
    ]
}

fn events() -> Vec<ProjectEvent> {
    vec![
        ProjectEvent::Pull {
            image: text("i"),
            layer: Some(text("abc")),
            status: text("Downloading"),
            current: Some(1),
            total: Some(2),
        },
        ProjectEvent::Planned {
            operations: vec![planned()],
        },
        ProjectEvent::Operation {
            number: 1,
            text: text("start shop-web-1"),
            cause: text("missing"),
            phase: OperationPhase::Progress,
            detail: Some(text("waits")),
            error: Some(text("failed")),
        },
        ProjectEvent::Note { text: text("note") },
        ProjectEvent::Done {
            summary: RunSummary::default(),
        },
        ProjectEvent::Failed {
            kind: ErrorKind::FailedPrecondition,
            message: text("failed"),
            hint: Some(Hint::new("do something")),
        },
    ]
}
