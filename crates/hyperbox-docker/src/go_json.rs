// SPDX-License-Identifier: MIT
//! JSON as Docker's daemon reads it, that is as Go's `encoding/json` does.
//!
//! What differs from `serde_json`: the keys of objects with known fields match whatever their case (an exact match is preferred);
//! a field that is there twice has the last value, but objects are merged; `null` is the same as an absent field, and the zero
//! value in lists and in maps with the client's own keys; unknown fields are ignored; a list is never an object.
//!
//! A document is first read into a [`Json`], which keeps duplicates and their order, and then into its type: only there it is known
//! which objects have fields and which are maps. Depth is bounded by the parser. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Number};

/// A document whose objects still have all their members.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// Members in their order.
    Object(Vec<(String, Json)>),
}

/// Reads a document as Go does.
///
/// # Errors
/// Those of the parser; `None` for a document that is followed by something else.
pub(crate) fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Option<Error>> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let tree = Json::deserialize(&mut reader).map_err(Some)?;
    reader.end().map_err(|_| None)?;
    T::deserialize(tree).map_err(Some)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Collect)
    }
}

/// Builds a [`Json`].
struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_none<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        Json::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        // JSON has neither infinities nor NaN.
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

/// Returns the members that are fields, under the fields' own names, each once.
fn fields_of(members: Vec<(String, Json)>, fields: &'static [&'static str]) -> BTreeMap<&'static str, Json> {
    let mut found: BTreeMap<&'static str, Json> = BTreeMap::new();
    for (key, value) in members {
        let exact = fields.iter().find(|field| **field == key);
        let Some(field) = exact.or_else(|| fields.iter().find(|field| field.eq_ignore_ascii_case(&key))) else {
            continue;
        };
        match (found.get_mut(field), value) {
            (Some(Json::Object(first)), Json::Object(second)) => first.extend(second),
            (_, value) => drop(found.insert(field, value)),
        }
    }
    found.retain(|_, value| *value != Json::Null);
    found
}

impl Json {
    fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Self::Null => Unexpected::Unit,
            Self::Bool(value) => Unexpected::Bool(*value),
            Self::Number(_) => Unexpected::Other("number"),
            Self::Text(text) => Unexpected::Str(text),
            Self::List(_) => Unexpected::Seq,
            Self::Object(_) => Unexpected::Map,
        }
    }
}

/// Reads `null` as a zero value, everything else as it is.
macro_rules! null_is_zero {
    ($($method:ident => $visit:ident($zero:expr)),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self {
                Self::Null => visitor.$visit($zero),
                other => other.deserialize_any(visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Json {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Number(number) => number.deserialize_any(visitor),
            Self::Text(text) => visitor.visit_string(text),
            Self::List(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Self::Object(members) => {
                let last: BTreeMap<String, Self> = members.into_iter().collect();
                visitor.visit_map(MapDeserializer::new(last.into_iter()))
            }
        }
    }

    null_is_zero! {
        deserialize_bool => visit_bool(false),
        deserialize_i8 => visit_i64(0),
        deserialize_i16 => visit_i64(0),
        deserialize_i32 => visit_i64(0),
        deserialize_i64 => visit_i64(0),
        deserialize_u8 => visit_u64(0),
        deserialize_u16 => visit_u64(0),
        deserialize_u32 => visit_u64(0),
        deserialize_u64 => visit_u64(0),
        deserialize_f32 => visit_f64(0.0),
        deserialize_f64 => visit_f64(0.0),
        deserialize_str => visit_str(""),
        deserialize_string => visit_str(""),
        deserialize_seq => visit_seq(SeqDeserializer::new(std::iter::empty::<Json>())),
        deserialize_map => visit_map(MapDeserializer::new(std::iter::empty::<(String, Json)>())),
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_none(),
            other => visitor.visit_some(other),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let members = match self {
            Self::Null => Vec::new(),
            Self::Object(members) => members,
            other => return Err(Error::invalid_type(other.unexpected(), &visitor)),
        };
        visitor.visit_map(MapDeserializer::new(fields_of(members, fields).into_iter()))
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Json {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::config::CreateBody;

    fn read(text: &str) -> CreateBody {
        from_slice(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    #[test]
    fn the_case_of_keys_does_not_matter() {
        let body = read(
            r#"{"image":"x","CMD":["a"],"hostconfig":{"memory":5,"RESTARTPOLICY":{"name":"always"},
                "portbindings":{"80/tcp":[{"hostport":"1"}]},"utsmode":"host"},"labels":{"aB":"c","Ab":"d"},
                "networkingconfig":{"ENDPOINTSCONFIG":{"Net":{"ipamconfig":{"ipv4address":"1.2.3.4"}}}}}"#,
        );
        assert_eq!((body.image.as_str(), body.host_config.resources.memory), ("x", 5));
        assert_eq!(body.cmd.expect("a command").into_vec(), ["a"]);
        assert_eq!(body.host_config.restart_policy.name, "always");
        assert_eq!(body.host_config.uts_mode, "host");
        assert_eq!(
            serde_json::to_value(&body.host_config.port_bindings).expect("JSON"),
            json!({ "80/tcp": [{ "HostIp": "", "HostPort": "1" }] })
        );
        assert_eq!(json!(body.labels), json!({ "aB": "c", "Ab": "d" }));
        let endpoint = body.networking_config.endpoints_config["Net"]
            .as_ref()
            .expect("an endpoint");
        let addresses = endpoint.ipam_config.as_ref().expect("addresses");
        assert_eq!(addresses.ipv4_address, "1.2.3.4");
    }

    #[test]
    fn the_last_value_counts_and_objects_merge() {
        let body = read(
            r#"{"Image":"a","image":"b","Env":["a=b"],"env":["c=d"],"Labels":{"a":"1","b":"1"},"labels":{"b":"2"},
                "HostConfig":{"Memory":5,"Memory":6},"hostconfig":{"NanoCpus":7}}"#,
        );
        assert_eq!((body.image.as_str(), body.env), ("b", vec!["c=d".to_owned()]));
        assert_eq!(json!(body.labels), json!({ "a": "1", "b": "2" }));
        let resources = body.host_config.resources;
        assert_eq!((resources.memory, resources.nano_cpus), (6, 7));
        let reset = read(r#"{"HostConfig":{"Memory":5},"HostConfig":null}"#);
        assert_eq!(reset.host_config.resources.memory, 0);
    }

    #[test]
    fn null_is_absent_or_zero() {
        let body = read(
            r#"{"Image":null,"Env":[null],"Labels":{"a":null},"Volumes":{"/x":null},"Cmd":null,"StopTimeout":null,
                "HostConfig":{"Memory":null,"Binds":null,"Mounts":[null],"PortBindings":{"1":null},"Init":null}}"#,
        );
        assert_eq!((body.image.as_str(), body.env), ("", vec![String::new()]));
        assert_eq!(json!(body.labels), json!({ "a": "" }));
        assert_eq!(body.volumes.keys().collect::<Vec<_>>(), ["/x"]);
        assert_eq!(body.host_config.mounts.len(), 1);
        assert!(body.cmd.is_none() && body.host_config.binds.is_none());
        assert_eq!(read("null").image, "");
    }

    #[test]
    fn what_is_no_such_value_is_refused() {
        for text in [
            "[]",
            "\"x\"",
            "1",
            r#"{"Image":1}"#,
            r#"{"Env":"a"}"#,
            r#"{"Cmd":5}"#,
            r#"{"HostConfig":[]}"#,
            r#"{"HostConfig":{"Memory":"1"}}"#,
            r#"{"HostConfig":{"Memory":1.5}}"#,
            r#"{"HostConfig":{"Memory":1e30}}"#,
        ] {
            assert!(
                matches!(from_slice::<CreateBody>(text.as_bytes()), Err(Some(_))),
                "{text}"
            );
        }
        for text in ["{} {}", "{} x"] {
            assert!(matches!(from_slice::<CreateBody>(text.as_bytes()), Err(None)), "{text}");
        }
    }
}
