// SPDX-License-Identifier: MIT
//! `hb port`

use clap::Args;
use hyperbox_client::model::NetworkSettings;

use super::ports::join;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::format::natural;

#[derive(Debug, Args)]
pub(crate) struct PortArgs {
    #[arg(required = true, hide = true)]
    container: String,
    #[arg(hide = true)]
    private_port: Option<String>,
}

pub(crate) const SPEC: Spec = spec!(
    PortArgs,
    run,
    ["port"],
    "List port mappings or a specific mapping for the container",
    "CONTAINER [PRIVATE_PORT[/PROTO]]"
);

fn run(context: &Context, arguments: PortArgs) -> Outcome {
    let state = context.client()?.container_state(&arguments.container)?;
    let settings = &state.network_settings;
    let lines = match arguments.private_port.as_deref() {
        None | Some("") => all(settings),
        Some(port) => one(settings, port, &arguments.container).map_err(|reason| CliError::new(reason).bare())?,
    };
    for line in lines {
        context.print(&line)?;
    }
    Ok(0)
}

/// Returns a line for every binding.
fn all(settings: &NetworkSettings) -> Vec<String> {
    let mut lines = Vec::new();
    for (port, bindings) in &settings.ports {
        for binding in bindings.iter().flatten() {
            lines.push(format!("{port} -> {}", join(&binding.host_ip, &binding.host_port)));
        }
    }
    lines.sort_by(|left, right| natural(left, right));
    lines
}

/// Returns the bindings of `port[/protocol]`.
fn one(settings: &NetworkSettings, wanted: &str, container: &str) -> Result<Vec<String>, String> {
    let (port, protocol) = match wanted.split_once('/') {
        None | Some((_, "")) => (wanted.trim_end_matches('/'), "tcp"),
        Some(both) => both,
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || port.parse::<u16>().is_err() {
        let reason = if digits { "value out of range" } else { "invalid syntax" };
        return Err(format!(
            "Error: invalid port ({port}): strconv.ParseUint: parsing {port:?}: {reason}"
        ));
    }
    let bindings = settings
        .ports
        .get(&format!("{port}/{protocol}"))
        .and_then(Option::as_ref);
    let mut lines: Vec<String> = bindings
        .into_iter()
        .flatten()
        .map(|binding| join(&binding.host_ip, &binding.host_port))
        .collect();
    if lines.is_empty() {
        return Err(format!("Error: No public port '{wanted}' published for {container}"));
    }
    lines.sort_by(|left, right| natural(left, right));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> NetworkSettings {
        serde_json::from_str(
            r#"{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],"443/tcp":null,
                "9/udp":[{"HostIp":"127.0.0.1","HostPort":"10"},{"HostIp":"127.0.0.1","HostPort":"9"}],
                "100/tcp":[{"HostIp":"","HostPort":"5"}],"90/tcp":[]}}"#,
        )
        .unwrap()
    }

    #[test]
    fn all_ports_in_natural_order() {
        assert_eq!(
            all(&settings()),
            [
                "9/udp -> 127.0.0.1:9",
                "9/udp -> 127.0.0.1:10",
                "80/tcp -> 0.0.0.0:8080",
                "80/tcp -> [::]:8080",
                "100/tcp -> :5"
            ]
        );
    }

    #[test]
    fn one_port() {
        for (port, expected) in [
            ("80", Ok("0.0.0.0:8080 [::]:8080")),
            ("80/", Ok("0.0.0.0:8080 [::]:8080")),
            ("9/udp", Ok("127.0.0.1:9 127.0.0.1:10")),
            ("80/udp", Err("Error: No public port '80/udp' published for a")),
            ("443", Err("Error: No public port '443' published for a")),
            ("90", Err("Error: No public port '90' published for a")),
            (
                "x",
                Err("Error: invalid port (x): strconv.ParseUint: parsing \"x\": invalid syntax"),
            ),
            (
                "99999",
                Err("Error: invalid port (99999): strconv.ParseUint: parsing \"99999\": value out of range"),
            ),
        ] {
            let lines = one(&settings(), port, "a").map(|lines| lines.join(" "));
            assert_eq!(lines.as_deref().map_err(String::as_str), expected, "{port}");
        }
    }
}
