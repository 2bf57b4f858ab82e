// SPDX-License-Identifier: MIT
//! The Go types that request bodies have with Docker, and its words for a value of another kind.
//!
//! Clients show these words to people, who look for them: they name the field. A value is held against its [`Shape`] before it is
//! read, in the order of the document. What is not in the shape is of no interest. Pure.

use super::Json;

/// A type of a value.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A truth value.
    Bool,
    /// A text, with the name of its type.
    Text(&'static str),
    /// A number without a fraction.
    Integer(Integer),
    /// A list, with the name of its type.
    List(&'static str, &'static Shape),
    /// Two numbers; what follows them is ignored.
    Pair(&'static str, &'static Shape),
    /// An object with the client's own keys, with the name of its type.
    Map(&'static str, &'static Shape),
    /// A list of texts, or one text (`container/strslice`).
    Words,
    /// An object with known fields.
    Struct(&'static Struct),
}

/// A type of numbers.
#[derive(Debug)]
pub(crate) struct Integer {
    /// How Go calls it.
    pub name: &'static str,
    /// The smallest one.
    pub least: i128,
    /// The greatest one.
    pub greatest: i128,
}

/// A type of objects with known fields.
#[derive(Debug)]
pub(crate) struct Struct {
    /// How Go calls it.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [(&'static str, &'static Shape)],
    /// Fields that are written among its own.
    pub embedded: Option<&'static Struct>,
}

/// The type of a whole document.
#[derive(Debug)]
pub(crate) struct Root {
    /// What refusals call the document, which may be nothing.
    pub label: &'static str,
    /// Its type.
    pub document: &'static Shape,
}

/// Something that a request's body can be.
pub(crate) trait Document {
    /// Its type.
    const ROOT: &'static Root;
}

impl<T: Document> Document for Option<T> {
    const ROOT: &'static Root = T::ROOT;
}

impl Root {
    /// Holds a document against its type.
    ///
    /// # Errors
    /// Docker's words for the first value of another kind.
    pub(crate) fn check(&'static self, document: &Json) -> Result<(), String> {
        let mut walk = Walk {
            label: self.label,
            path: Vec::new(),
        };
        walk.value(document, self.document)
    }
}

impl Struct {
    fn field(&self, key: &str) -> Option<&'static Shape> {
        let exact = self.fields.iter().find(|(name, _)| *name == key);
        let found = exact.or_else(|| self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)));
        let embedded = || self.embedded.and_then(|embedded| embedded.field(key));
        found.map(|(_, shape)| *shape).or_else(embedded)
    }
}

struct Walk {
    label: &'static str,
    /// Keys and indexes as the client has written them.
    path: Vec<String>,
}

impl Walk {
    fn value(&mut self, value: &Json, shape: &Shape) -> Result<(), String> {
        match (shape, value) {
            (_, Json::Null) | (Shape::Bool, Json::Bool(_)) | (Shape::Text(_) | Shape::Words, Json::Text(_)) => Ok(()),
            (Shape::Bool, other) => Err(self.mismatch(kind(other), "bool")),
            (Shape::Text(name), other) => Err(self.mismatch(kind(other), name)),
            (Shape::Integer(integer), other) => self.integer(other, integer),
            (Shape::List(_, item), Json::List(items)) => self.items(items, item),
            (Shape::Pair(_, item), Json::List(items)) => self.items(&items[..items.len().min(2)], item),
            (Shape::Map(_, item), Json::Object(members)) => {
                let mut members = members.iter();
                members.try_for_each(|(key, value)| self.within(key, value, item))
            }
            (Shape::List(name, _) | Shape::Pair(name, _) | Shape::Map(name, _), other) => {
                Err(self.mismatch(kind(other), name))
            }
            (Shape::Words, other) => words(other),
            (Shape::Struct(object), other) => self.fields(other, object),
        }
    }

    fn fields(&mut self, value: &Json, object: &Struct) -> Result<(), String> {
        let members = match value {
            Json::Null => return Ok(()),
            Json::Object(members) => members,
            other => return Err(self.mismatch(kind(other), object.name)),
        };
        members.iter().try_for_each(|(key, value)| match object.field(key) {
            Some(shape) => self.within(key, value, shape),
            None => Ok(()),
        })
    }

    fn items(&mut self, items: &[Json], shape: &Shape) -> Result<(), String> {
        let mut items = items.iter().enumerate();
        items.try_for_each(|(index, item)| self.within(&index.to_string(), item, shape))
    }

    fn within(&mut self, key: &str, value: &Json, shape: &Shape) -> Result<(), String> {
        // As in a JSON pointer (RFC 6901, section 3).
        self.path.push(key.replace('~', "~0").replace('/', "~1"));
        self.value(value, shape)?;
        self.path.pop();
        Ok(())
    }

    fn integer(&self, value: &Json, integer: &Integer) -> Result<(), String> {
        let Json::Number(text) = value else {
            return Err(self.mismatch(kind(value), integer.name));
        };
        let fits = |number: i128| (integer.least..=integer.greatest).contains(&number);
        if text.parse().is_ok_and(fits) {
            return Ok(());
        }
        Err(self.mismatch(&format!("number {text}"), integer.name))
    }

    fn mismatch(&self, found: &str, name: &str) -> String {
        let Some(last) = self.path.last() else {
            return format!("json: cannot unmarshal {found} into Go value of type {name}");
        };
        let is_index = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        let field = if is_index { "" } else { "Go struct field " };
        let path = self.path.join(".");
        format!(
            "json: cannot unmarshal {found} into {field}{}.{path} of type {name}",
            self.label
        )
    }
}

/// Reads a list of texts, or else tells that it is no text.
fn words(value: &Json) -> Result<(), String> {
    let is_text = |item: &Json| matches!(item, Json::Text(_) | Json::Null);
    match value {
        Json::List(items) if items.iter().all(is_text) => Ok(()),
        other => Err(format!(
            "json: cannot unmarshal {} into Go value of type string",
            kind(other)
        )),
    }
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::Text(_) => "string",
        Json::List(_) => "array",
        Json::Object(_) => "object",
    }
}
