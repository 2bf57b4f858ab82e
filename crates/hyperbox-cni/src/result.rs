// SPDX-License-Identifier: MIT
//! Success results of plugins: read, checked, and written for the next plugin. Pure.
//!
//! Versions 0.3.0 to 1.1.0 have the same shape, but for a field of each address that 1.0.0 dropped. What is not needed here is kept: the
//! next plugin may need it.

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::version::Version;

/// Most links, addresses or routes of a result.
const MOST: usize = 256;

/// A result, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Success {
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) routes: Vec<Route>,
    /// As it was printed.
    value: Map<String, Value>,
}

/// A link that a plugin made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Interface {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) mac: String,
    /// Path of the namespace it is in; empty for the host's.
    #[serde(default)]
    pub(crate) sandbox: String,
}

/// An address that a plugin gave.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Address {
    /// With the length of its subnet's prefix.
    pub(crate) address: IpNet,
    #[serde(default)]
    pub(crate) gateway: Option<std::net::IpAddr>,
    /// Which of the links has it.
    #[serde(default)]
    pub(crate) interface: Option<i64>,
}

/// A route that a plugin made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Route {
    #[serde(rename = "dst")]
    pub(crate) destination: IpNet,
    #[serde(default, rename = "gw")]
    pub(crate) gateway: Option<std::net::IpAddr>,
}

/// Why an output is not a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidResult {
    #[error("it printed nothing")]
    Empty,
    #[error("it printed what is not a JSON object: {0}")]
    Json(String),
    #[error("its result is of version {0:?}, which is not understood")]
    Version(String),
    #[error("its result has an invalid {field:?}: {problem}")]
    Field { field: &'static str, problem: String },
}

impl Success {
    /// Reads the output of a plugin, or a result that was kept.
    pub(crate) fn parse(output: &[u8]) -> Result<Self, InvalidResult> {
        if output.trim_ascii().is_empty() {
            return Err(InvalidResult::Empty);
        }
        let value: Map<String, Value> =
            serde_json::from_slice(output).map_err(|error| InvalidResult::Json(error.to_string()))?;
        Self::of(value)
    }

    /// Checks a result. One without a version is taken to be of the version that was asked for, as are its fields.
    pub(crate) fn of(value: Map<String, Value>) -> Result<Self, InvalidResult> {
        match value.get("cniVersion") {
            None => {}
            Some(Value::String(text)) if Version::parse(text).is_some() => {}
            Some(Value::String(text)) => return Err(InvalidResult::Version(text.chars().take(60).collect())),
            Some(other) => return Err(InvalidResult::Version(other.to_string().chars().take(60).collect())),
        }
        Ok(Self {
            interfaces: entries(&value, "interfaces")?,
            addresses: entries(&value, "ips")?,
            routes: entries(&value, "routes")?,
            value,
        })
    }

    /// Returns the result as a plugin of a version gets it, with the namespace under the path that leads to it now.
    ///
    /// The path is part of what CHECK compares, and it is another one in each daemon (see `namespace`).
    pub(crate) fn for_plugin(&self, version: Version, namespace: Option<(&str, &str)>) -> Value {
        let mut value = self.value.clone();
        value.insert("cniVersion".to_owned(), version.as_str().into());
        for address in objects(&mut value, "ips") {
            if !version.has_address_versions() {
                address.remove("version");
            } else if let Some(text) = address.get("address").and_then(Value::as_str) {
                let family = if text.contains(':') { "6" } else { "4" };
                address.insert("version".to_owned(), family.into());
            }
        }
        if let Some((before, now)) = namespace {
            for link in objects(&mut value, "interfaces") {
                if link.get("sandbox").and_then(Value::as_str) == Some(before) {
                    link.insert("sandbox".to_owned(), now.into());
                }
            }
        }
        Value::Object(value)
    }

    /// Returns the result as it was printed.
    pub(crate) fn into_value(self) -> Map<String, Value> {
        self.value
    }
}

fn entries<T: serde::de::DeserializeOwned>(
    value: &Map<String, Value>,
    field: &'static str,
) -> Result<Vec<T>, InvalidResult> {
    let invalid = |problem: String| InvalidResult::Field { field, problem };
    match value.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(all)) if all.len() > MOST => Err(invalid(format!("it has more than {MOST} entries"))),
        Some(all) => serde_json::from_value(all.clone()).map_err(|error| invalid(error.to_string())),
    }
}

fn objects<'a>(value: &'a mut Map<String, Value>, field: &str) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let all = value.get_mut(field).and_then(Value::as_array_mut);
    all.into_iter().flatten().filter_map(Value::as_object_mut)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = r#"{"cniVersion": "0.4.0", "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/a", "x": 1}],
        "ips": [{"version": "4", "address": "10.0.0.2/24", "gateway": "10.0.0.1", "interface": 0}, {"address": "fd00::2/64"}],
        "routes": [{"dst": "0.0.0.0/0"}], "dns": {"nameservers": ["10.0.0.53"]}}"#;

    #[test]
    fn a_result_and_what_the_next_plugin_gets() {
        let result = Success::parse(PRINTED.as_bytes()).unwrap();
        assert_eq!(
            (result.interfaces.len(), result.addresses.len(), result.routes.len()),
            (1, 2, 1)
        );
        let new = result.for_plugin(Version::V1_0_0, Some(("/a", "/b")));
        assert_eq!(new["cniVersion"], "1.0.0");
        assert_eq!(
            new["interfaces"][0],
            serde_json::json!({"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/b", "x": 1})
        );
        assert!(new["ips"][0].get("version").is_none());
        assert_eq!(new["dns"]["nameservers"][0], "10.0.0.53");
        let old = result.for_plugin(Version::V0_3_1, Some(("/other", "/b")));
        assert_eq!(
            (&old["ips"][0]["version"], &old["ips"][1]["version"]),
            (&"4".into(), &"6".into())
        );
        assert_eq!(old["interfaces"][0]["sandbox"], "/a");
        assert_eq!(Success::of(result.clone().into_value()), Ok(result));
    }

    #[test]
    fn what_is_no_result() {
        for (output, expected) in [
            (" \n", "printed nothing"),
            ("hello", "not a JSON object"),
            ("[]", "not a JSON object"),
            (r#"{"cniVersion": "0.2.0", "ip4": {}}"#, "version \"0.2.0\""),
            (r#"{"cniVersion": 1}"#, "version \"1\""),
            (r#"{"ips": [{"address": "10.0.0.2"}]}"#, "invalid \"ips\""),
            (r#"{"ips": {}}"#, "invalid \"ips\""),
            (r#"{"interfaces": [{"mac": "x"}]}"#, "invalid \"interfaces\""),
            (r#"{"routes": [{"dst": "nowhere"}]}"#, "invalid \"routes\""),
        ] {
            let refused = Success::parse(output.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused:?} for {output}");
        }
        assert!(
            Success::parse(b"{}").is_ok(),
            "a plugin that only sets something has nothing to tell"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_output_is_read_without_panic(output in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            drop(Success::parse(&output));
        }
    }
}
