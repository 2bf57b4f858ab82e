// SPDX-License-Identifier: MIT
//! JSON as Docker's daemon reads it, that is as Go's `encoding/json` does.
//!
//! What differs from `serde_json`: the keys of objects with known fields match whatever their case (an exact match is preferred);
//! a field that is there twice has the last value, but objects are merged; `null` is the same as an absent field, and the zero
//! value in lists and in maps with the client's own keys; unknown fields are ignored; a list is never an object; bytes that are no UTF-8 are replaced.
//!
//! A document is first read into a [`Json`], which keeps duplicates and their order, and then into its type: only there it is known
//! which objects have fields and which are maps. In between it is held against the Go type that it has with Docker ([`shape`]), whose
//! refusals name the field. Depth is bounded by the parser ([`parse`]). Pure.

mod parse;
pub(crate) mod shape;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Error;

use shape::{Document, Root};

/// A document whose objects still have all their members.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// Members in their order.
    Object(Vec<(String, Json)>),
}

/// Why a document cannot be read; shown in Go's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// There is nothing, or only white space.
    Nothing,
    /// It ends too early.
    CutOff,
    /// It is no JSON.
    Syntax(String),
    /// A value is of another kind than its field.
    Mismatch(String),
    /// This follows it.
    Trailing(char),
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("EOF"),
            Self::CutOff => formatter.write_str("unexpected EOF"),
            Self::Syntax(text) | Self::Mismatch(text) => formatter.write_str(text),
            Self::Trailing(character) => {
                write!(
                    formatter,
                    "invalid character {} after top-level value",
                    parse::quoted(*character)
                )
            }
        }
    }
}

/// Reads a document whose type is known to Docker.
///
/// # Errors
/// The first of: no JSON, a value of another kind, something behind the document.
pub(crate) fn document<T: DeserializeOwned + Document>(bytes: &[u8]) -> Result<T, Malformed> {
    let (tree, rest) = tree(bytes)?;
    T::ROOT.check(&tree).map_err(Malformed::Mismatch)?;
    read(tree, rest)
}

/// Reads a document as Go does.
///
/// # Errors
/// As [`document`]; values of another kind are told in our own words.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    let (tree, rest) = tree(bytes)?;
    read(tree, rest)
}

/// Reads the document that a text begins with; what follows it does not matter.
///
/// # Errors
/// No JSON, or a value of another kind.
pub(crate) fn leading_document<T: DeserializeOwned + Document>(bytes: &[u8]) -> Result<T, Malformed> {
    let (tree, _) = tree(bytes)?;
    T::ROOT.check(&tree).map_err(Malformed::Mismatch)?;
    read(tree, None)
}

/// Reads a document that nothing may follow, as Go's `json.Unmarshal` does.
///
/// # Errors
/// As [`document`], but what follows is told before values of another kind.
pub(crate) fn only_document<T: DeserializeOwned + Document>(bytes: &[u8]) -> Result<T, Malformed> {
    match tree(bytes)? {
        (_, Some(character)) => Err(Malformed::Trailing(character)),
        (tree, None) => {
            T::ROOT.check(&tree).map_err(Malformed::Mismatch)?;
            read(tree, None)
        }
    }
}

/// Refuses what is no document of a type.
///
/// # Errors
/// As [`document`].
pub(crate) fn judge(bytes: &[u8], root: &'static Root) -> Result<(), Malformed> {
    let (tree, rest) = tree(bytes)?;
    root.check(&tree).map_err(Malformed::Mismatch)?;
    ended(rest)
}

/// Reads the first value and tells what begins behind it.
fn tree(bytes: &[u8]) -> Result<(Json, Option<char>), Malformed> {
    // Bytes that are no UTF-8 become U+FFFD, as with Go.
    let text = String::from_utf8_lossy(bytes);
    let (tree, rest) = parse::first_value(&text)?;
    Ok((tree, rest.chars().next()))
}

fn read<T: DeserializeOwned>(tree: Json, rest: Option<char>) -> Result<T, Malformed> {
    let value = T::deserialize(tree).map_err(|error| Malformed::Mismatch(error.to_string()))?;
    ended(rest).map(|()| value)
}

/// Refuses what follows a document, except for what Go's decoder takes for the end of a list or an object around it.
fn ended(rest: Option<char>) -> Result<(), Malformed> {
    match rest {
        None | Some('}' | ']') => Ok(()),
        Some(character) => Err(Malformed::Trailing(character)),
    }
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
        Ok(Json::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
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

/// Reads a number as an integer when it is one.
fn visit_number<'de, V: Visitor<'de>>(text: &str, visitor: V) -> Result<V::Value, Error> {
    if let Ok(number) = text.parse::<u64>() {
        return visitor.visit_u64(number);
    }
    if let Ok(number) = text.parse::<i64>() {
        return visitor.visit_i64(number);
    }
    let number = text
        .parse()
        .map_err(|_| Error::custom(format_args!("{text} is no number")))?;
    visitor.visit_f64(number)
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
            Self::Number(text) => visit_number(&text, visitor),
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
mod tests;
