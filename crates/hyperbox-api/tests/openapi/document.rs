// SPDX-License-Identifier: MIT
//! The document: routes, and the types of the wire.

use serde_json::{Map, Value, json};

use crate::source::schemas;

/// What an answer is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// One document of this type.
    One(&'static str),
    /// A list of this type.
    List(&'static str),
    /// Lines of this type.
    Lines(&'static str),
}

/// A route.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    summary: &'static str,
    flags: &'static [(&'static str, &'static str)],
    body: Option<&'static str>,
    answer: Answer,
}

const fn operation(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    body: Option<&'static str>,
    answer: Answer,
) -> Operation {
    Operation {
        method,
        path,
        summary,
        flags: &[],
        body,
        answer,
    }
}

const fn with_flags(operation: Operation, flags: &'static [(&'static str, &'static str)]) -> Operation {
    Operation { flags, ..operation }
}

const EVENTS: Answer = Answer::Lines("ProjectEvent");
const SERVICES: Option<&str> = Some("ProjectServices");

/// All routes, in the order in which the document lists them.
pub(crate) const OPERATIONS: [Operation; 14] = [
    operation("get", "", "Lists projects", None, Answer::List("ProjectSummary")),
    operation(
        "get",
        "/events",
        "Tells what happens to projects, as it happens; messages of a WebSocket when the client asks for one",
        None,
        Answer::Lines("ProjectChanged"),
    ),
    operation(
        "get",
        "/{name}",
        "Tells all of a project",
        None,
        Answer::One("ProjectStatus"),
    ),
    with_flags(
        operation(
            "put",
            "/{name}",
            "Opens a project, or opens it again with another content",
            Some("ProjectSpecification"),
            Answer::One("ProjectSummary"),
        ),
        &[("moved", "Takes the name over from a folder that is gone")],
    ),
    with_flags(
        operation(
            "delete",
            "/{name}",
            "Removes a project with all that it has",
            None,
            EVENTS,
        ),
        &[("volumes", "Removes its volumes, too")],
    ),
    operation(
        "post",
        "/{name}/plan",
        "Tells what `up` would do",
        Some("ProjectUp"),
        Answer::One("ProjectPlan"),
    ),
    operation(
        "post",
        "/{name}/up",
        "Makes and starts what is wanted",
        Some("ProjectUp"),
        EVENTS,
    ),
    operation(
        "post",
        "/{name}/down",
        "Removes containers and networks",
        Some("ProjectDown"),
        EVENTS,
    ),
    operation(
        "post",
        "/{name}/start",
        "Starts containers that exist",
        SERVICES,
        EVENTS,
    ),
    operation("post", "/{name}/stop", "Stops containers", SERVICES, EVENTS),
    operation(
        "post",
        "/{name}/restart",
        "Stops containers and starts them again",
        SERVICES,
        EVENTS,
    ),
    operation("post", "/{name}/kill", "Sends a signal to containers", SERVICES, EVENTS),
    operation("post", "/{name}/pause", "Freezes containers", SERVICES, EVENTS),
    operation(
        "post",
        "/{name}/unpause",
        "Lets frozen containers go on",
        SERVICES,
        EVENTS,
    ),
];

/// The whole document.
pub(crate) fn document(sources: &[&str]) -> Value {
    let mut types: Map<String, Value> = schemas(sources).into_iter().collect();
    types.insert(
        "Error".to_owned(),
        json!({
            "type": "object",
            "description": "What went wrong.",
            "properties": {
                "message": { "type": "string", "description": "One sentence." },
                "hint": { "type": "string", "description": "What to do next." },
            },
            "required": ["message"],
        }),
    );
    let mut paths = Map::new();
    for operation in &OPERATIONS {
        let path = format!("{}{}", hyperbox_types::project::PROJECTS_PATH, operation.path);
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[operation.method] = described(operation);
    }
    let own = json!({ "description": "This document.", "content": { "application/json": { "schema": { "type": "object" } } } });
    paths.insert(
        hyperbox_types::project::OPENAPI_PATH.to_owned(),
        json!({ "get": { "summary": "Tells what these routes take and answer", "responses": { "200": own } } }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "HyperBox: projects",
            "version": "1",
            "description": "The native API of projects. It is served where Docker's API is: at the daemon's socket.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "paths": paths,
        "components": { "schemas": types },
    })
}

fn described(operation: &Operation) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let (media_type, schema) = match operation.answer {
        Answer::One(name) => ("application/json", reference(name)),
        Answer::List(name) => ("application/json", json!({ "type": "array", "items": reference(name) })),
        Answer::Lines(name) => ("application/x-ndjson", reference(name)),
    };
    let mut parameters = Vec::new();
    if operation.path.contains("{name}") {
        parameters.push(json!({
            "name": "name", "in": "path", "required": true, "description": "The name of the project.",
            "schema": { "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$" },
        }));
    }
    for (name, text) in operation.flags {
        parameters.push(json!({
            "name": name, "in": "query", "description": text, "schema": { "type": "boolean" },
        }));
    }
    let failed = json!({
        "description": "It was not done.",
        "content": { "application/json": { "schema": reference("Error") } },
    });
    let mut value = json!({
        "summary": operation.summary,
        "responses": {
            "200": { "description": "It is done, or begins.", "content": { media_type: { "schema": schema } } },
            "default": failed,
        },
    });
    if !parameters.is_empty() {
        value["parameters"] = json!(parameters);
    }
    if let Some(body) = operation.body {
        value["requestBody"] = json!({ "content": { "application/json": { "schema": reference(body) } } });
    }
    value
}
