// SPDX-License-Identifier: MIT
//! Published ports as the capability `portMappings` has them. Pure.

use hyperbox_core::seam::PortRequest;
use serde_json::{Value, json};

/// Name of the endpoint option whose value, a JSON array of [`PortRequest`], is what a list with the capability `portMappings` gets.
/// Whoever sets it leaves publishing to the plugins.
pub const PORT_MAPPINGS: &str = "com.docker.network.portmap";

/// Translates the option's value. Plugins cannot choose a port: each must be given.
pub(crate) fn mappings(text: &str) -> Result<Value, String> {
    let wishes: Vec<PortRequest> =
        serde_json::from_str(text).map_err(|error| format!("invalid value of option {PORT_MAPPINGS}: {error}"))?;
    let mappings = wishes.iter().map(|wish| {
        let port = wish.container;
        let (host_port, _) = wish
            .host_ports
            .filter(|(first, _)| *first != 0)
            .ok_or_else(|| format!("port {port} needs a port of the host: CNI plugins cannot choose one"))?;
        let mut mapping = json!({
            "hostPort": host_port,
            "containerPort": port.number,
            "protocol": port.protocol.as_str(),
        });
        if let Some(address) = wish.host_address {
            mapping["hostIP"] = address.to_string().into();
        }
        Ok(mapping)
    });
    mappings.collect::<Result<Vec<_>, String>>().map(Value::Array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translation() {
        let text = r#"[{"container": "80/tcp", "host_address": "127.0.0.1", "host_ports": [8080, 8080]},
            {"container": "53/udp", "host_address": null, "host_ports": [53, 60]}]"#;
        let expected = json!([
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"},
            {"hostPort": 53, "containerPort": 53, "protocol": "udp"},
        ]);
        assert_eq!(mappings(text), Ok(expected));
        let without = r#"[{"container": "80/tcp", "host_address": null, "host_ports": null}]"#;
        assert!(mappings(without).unwrap_err().contains("port 80/tcp needs"));
        assert!(mappings("x").unwrap_err().contains("invalid value"));
    }
}
