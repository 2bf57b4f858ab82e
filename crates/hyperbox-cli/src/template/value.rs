// SPDX-License-Identifier: MIT
//! What templates work on: JSON that remembers the order of its fields and the spelling of its numbers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// Keys with this prefix are for templates only and do not appear in output: a map answers a method, any other value is a
/// field with another name than in JSON.
pub(crate) const HIDDEN: char = '\0';

/// Returns the key of a field that templates can use and output does not show.
pub(crate) fn hidden(name: &str) -> String {
    format!("{HIDDEN}{name}")
}

/// What Go prints for a nil, which depends on its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A missing value.
    Nothing,
    /// A nil pointer.
    Pointer,
    /// A nil slice.
    List,
    /// A nil map.
    Map,
}

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null(Shape),
    Bool(bool),
    /// The digits, as they came.
    Number(String),
    String(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// Makes a map from its fields.
    pub(crate) fn map(fields: impl IntoIterator<Item = (impl Into<String>, Value)>) -> Self {
        Self::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// Returns a field of a map.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Map(fields) => fields.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Returns the text of a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a number.
    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// Tells what `if` thinks of the value.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Null(_) => false,
            Self::Bool(value) => *value,
            Self::Number(_) => self.as_number().is_some_and(|number| number != 0.0),
            Self::String(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            // A struct is true even without fields, but JSON does not tell structs from maps.
            Self::Map(fields) => !fields.is_empty(),
        }
    }

    /// Returns the value as JSON on one line.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the fields of a map in the order that Go visits them.
    pub(crate) fn sorted_fields(fields: &[(String, Value)]) -> Vec<&(String, Value)> {
        let mut sorted: Vec<_> = fields.iter().filter(|(name, _)| !name.starts_with(HIDDEN)).collect();
        sorted.sort_by(|left, right| left.0.cmp(&right.0));
        sorted
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(number.to_string())
    }
}

/// As Go's `fmt.Print` writes it.
impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null(Shape::Nothing) => formatter.write_str("<no value>"),
            Self::Null(Shape::Pointer) => formatter.write_str("<nil>"),
            Self::Null(Shape::List) => formatter.write_str("[]"),
            Self::Null(Shape::Map) => formatter.write_str("map[]"),
            Self::Bool(value) => write!(formatter, "{value}"),
            Self::Number(text) | Self::String(text) => formatter.write_str(text),
            Self::List(items) => {
                formatter.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(formatter, "{}{item}", if index == 0 { "" } else { " " })?;
                }
                formatter.write_str("]")
            }
            Self::Map(fields) => {
                formatter.write_str("map[")?;
                for (index, (name, value)) in Self::sorted_fields(fields).into_iter().enumerate() {
                    write!(formatter, "{}{name}:{value}", if index == 0 { "" } else { " " })?;
                }
                formatter.write_str("]")
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null(_) => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(digits) => match serde_json::value::RawValue::from_string(digits.clone()) {
                Ok(raw) => raw.serialize(serializer),
                Err(_) => serializer.serialize_str(digits),
            },
            Self::String(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(fields) => {
                let mut map = serializer.serialize_map(None)?;
                for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with(HIDDEN)) {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null(Shape::Pointer))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            let value = if matches!(value, Value::Null(_)) {
                Value::Null(shape_of(&name))
            } else {
                value
            };
            fields.push((name, value));
        }
        Ok(Value::Map(fields))
    }
}

/// Says what a field of the Engine API is in Go when it is `null`: most are slices, these are not.
fn shape_of(field: &str) -> Shape {
    match field {
        "Labels" | "Volumes" | "Ports" | "Networks" | "ExposedPorts" | "PortBindings" | "Sysctls" | "Tmpfs"
        | "Options" | "StorageOpt" | "DriverOpts" | "EndpointsConfig" | "Annotations" | "Status" => Shape::Map,
        "MemorySwappiness"
        | "OomKillDisable"
        | "PidsLimit"
        | "Init"
        | "Health"
        | "Healthcheck"
        | "StopTimeout"
        | "IPAMConfig"
        | "UsageData"
        | "GraphDriver"
        | "ContainerdContainer" => Shape::Pointer,
        _ => Shape::List,
    }
}
