// SPDX-License-Identifier: MIT
//! What `hyperbox.toml` adds to a resolved model.

use std::path::Path;

use serde_json::{Value, json};

use super::error::SettingsError;
use super::{Place, Settings, Watch};
use crate::compose::clean_path;

/// Adds ports and watch rules to a document of [`crate::compose::Project`]; `directory` is where relative paths start from.
///
/// A port takes the place of those for the same port of the container. Rules come before those of the Compose files, since the first that fits
/// counts.
///
/// # Errors
/// A service that the model does not have.
pub fn apply(settings: &Settings, directory: &Path, document: &mut Value) -> Result<(), SettingsError> {
    for entry in &settings.ports {
        let service = service(settings, document, Some(&entry.service), entry.at, "ports")?;
        let ports = list(service, "ports");
        ports.retain(|old| !entry.ports.iter().any(|new| same_port(old, new)));
        ports.extend(entry.ports.iter().cloned());
    }
    // Backwards, so that each is put before those after it.
    for watch in settings.watch.iter().rev() {
        let rule = rule(watch, directory);
        let service = service(settings, document, watch.service.as_deref(), watch.at, "watch")?;
        if !service["develop"].is_object() {
            service["develop"] = json!({});
        }
        list(&mut service["develop"], "watch").insert(0, rule);
    }
    Ok(())
}

fn same_port(left: &Value, right: &Value) -> bool {
    left["target"] == right["target"] && left["protocol"] == right["protocol"]
}

/// The list under a key, made when it is not there.
fn list<'value>(object: &'value mut Value, key: &str) -> &'value mut Vec<Value> {
    if !object[key].is_array() {
        object[key] = Value::Array(Vec::new());
    }
    object[key].as_array_mut().expect("it was made an array above")
}

fn service<'value>(
    settings: &Settings,
    document: &'value mut Value,
    name: Option<&str>,
    at: Place,
    key: &str,
) -> Result<&'value mut Value, SettingsError> {
    let wrong = |reason: String| SettingsError::new(&settings.path, at, key, reason);
    let services = document["services"]
        .as_object_mut()
        .ok_or_else(|| wrong("the project has no services".to_owned()))?;
    let name = match name {
        Some(name) => name.to_owned(),
        None if services.len() == 1 => services.keys().next().cloned().unwrap_or_default(),
        None => {
            let names: Vec<&str> = services.keys().map(String::as_str).collect();
            return Err(wrong(format!("say which service is meant: {}", names.join(", "))));
        }
    };
    let known: Vec<String> = services.keys().cloned().collect();
    services
        .get_mut(&name)
        .ok_or_else(|| wrong(format!("no service {name:?}; there are {}", known.join(", "))))
}

fn rule(watch: &Watch, directory: &Path) -> Value {
    let rule = &watch.rule;
    let mut value = json!({
        "path": clean_path(&rule.path, directory).to_string_lossy(),
        "action": rule.action,
    });
    if let Some(target) = &rule.target {
        value["target"] = json!(target);
    }
    for (key, patterns) in [("ignore", &rule.ignore), ("include", &rule.include)] {
        if !patterns.is_empty() {
            value[key] = json!(patterns);
        }
    }
    if rule.initial_sync {
        value["initial_sync"] = json!(true);
    }
    if let Some(command) = rule.exec.as_ref().and_then(|hook| hook.command.as_ref()) {
        value["exec"] = json!({ "command": command });
    }
    value
}
