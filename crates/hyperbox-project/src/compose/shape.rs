// SPDX-License-Identifier: MIT
//! The words in which [`super::schema`] describes what may stand where.
//!
//! One description of a key serves every step: what it takes, how it is written short, how two files' values of it are merged, which items of a
//! list are the same, and whether an empty value is shown.

use super::error::{Fault, KeyPath};
use super::tree::{At, Map, Node, Value};

/// The long forms of a short one, or `None` when it is no short form.
pub(crate) type Expanded = Result<Option<Vec<Node>>, Fault>;

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A string.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A string that the function takes, and what it has to be.
    Matching(fn(&str) -> bool, &'static str),
    /// `true`, `false`, or a string that says so.
    Boolean,
    /// A whole number, or a string that is one; within bounds.
    Integer(i64, i64),
    /// A number, or a string that is one.
    Float,
    /// A number of bytes such as `10m`; a string of decimal digits afterwards.
    Bytes,
    /// A duration such as `1m30s`; as Go writes it afterwards.
    Duration,
    /// A string or a number; a string afterwards.
    Scalar,
    /// The permissions of a file, a string of octal digits afterwards.
    FileMode,
    /// `all` or a number of devices; a number afterwards, -1 for all.
    DeviceCount,
    /// A command: a string that is split as a shell does, or a list of strings. Null stays null.
    Command,
    /// The test of a health check: a string for the shell, or a list.
    HealthTest,
    /// Names of hosts with their addresses; a map of lists afterwards.
    Hosts,
    /// `KEY=value` items or a map of scalars; a map of strings afterwards.
    Pairs(Absent),
    /// A map of strings and numbers; a map of strings afterwards.
    Options,
    /// A list; a value that is no list is a list of one where `single`.
    List {
        item: &'static Shape,
        single: bool,
        same: Same,
    },
    /// A map whose keys are names given by the user.
    Named(&'static Shape),
    /// A list of names, or a map of what is said of each; a map afterwards.
    Names {
        value: &'static Shape,
        /// What is said of a name in a list.
        listed: &'static [(&'static str, Constant)],
    },
    /// A map with known keys.
    Object(&'static Object),
    /// A value that may be written shorter; `expand` gives the long forms, several only for items of lists.
    Short {
        long: &'static Shape,
        expand: fn(&Node, &KeyPath) -> Expanded,
    },
    /// The value, or null.
    Maybe(&'static Shape),
}

/// A map with known keys.
#[derive(Debug)]
pub(crate) struct Object {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    /// The keys, and what each takes.
    pub(crate) fields: &'static [Field],
    /// Keys that have to be there when all files are merged.
    pub(crate) required: &'static [&'static str],
}

/// A section whose unknown keys Compose does not mind.
pub(crate) const INCLUDE_NAME: &str = "include";

impl Object {
    /// The description of a key.
    pub(crate) fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }
}

/// A key of an [`Object`].
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) shape: Shape,
    pub(crate) merge: Merge,
    /// What stands there when no file says anything.
    pub(crate) default: Option<Constant>,
    /// Whether a value that says nothing (empty, zero, false) is shown.
    pub(crate) shown_when_empty: bool,
    /// Whether it is taken and then left out, as Compose does.
    pub(crate) hidden: bool,
    /// The key in documents, where it is another one.
    shown_as: Option<&'static str>,
}

impl Field {
    pub(crate) const fn new(key: &'static str, shape: Shape) -> Self {
        Self {
            key,
            shape,
            merge: Merge::ByShape,
            default: None,
            shown_when_empty: false,
            hidden: false,
            shown_as: None,
        }
    }

    /// The key in documents: that of limits of devices begins with a capital there.
    pub(crate) fn shown_as(&self) -> &'static str {
        match self.shown_as {
            Some(key) => key,
            None => self.key,
        }
    }

    pub(crate) const fn renamed(mut self, key: &'static str) -> Self {
        self.shown_as = Some(key);
        self
    }

    /// Compose takes it and shows it nowhere, nor tells an engine of it.
    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// A later file's value replaces an earlier one's whole.
    pub(crate) const fn replaced(mut self) -> Self {
        self.merge = Merge::Replace;
        self
    }

    pub(crate) const fn merged(mut self, merge: Merge) -> Self {
        self.merge = merge;
        self
    }

    pub(crate) const fn default(mut self, constant: Constant) -> Self {
        self.default = Some(constant);
        self.shown_when_empty = true;
        self
    }

    /// `false`, `0` and the like mean something of their own here.
    pub(crate) const fn shown(mut self) -> Self {
        self.shown_when_empty = true;
        self
    }
}

/// A value of the schema itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Constant {
    Null,
    Boolean(bool),
    Text(&'static str),
    /// An object without members.
    Nothing,
}

/// How a later file's value meets an earlier one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Maps by key, lists one behind the other, all else replaced.
    ByShape,
    /// Replaced.
    Replace,
    /// By shape while both name the same driver or only one names any, else replaced.
    Logging,
    /// Pools of addresses: those of the same subnet by key.
    Pools,
}

/// When two items of a list are the same, of which the later one stays in the earlier one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Same {
    /// Never.
    Never,
    /// When the text before `=` is the same.
    Key,
    /// When `target` is the same.
    Target,
    /// When `path` is the same.
    Path,
    /// When the target is the same, which is made of `source` below this directory where none is given.
    Mount(&'static str),
    /// When address, ports and protocol are the same.
    Port,
}

/// What a key without a value becomes in a map of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It stays without one: to be taken from the environment, or not set.
    Kept,
    /// An empty string.
    Empty,
}

impl Constant {
    /// The value as a node.
    pub(crate) fn node(self, at: At) -> Node {
        let value = match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(value),
            Self::Text(text) => Value::Text(text.to_owned()),
            Self::Nothing => Value::Map(Map::new()),
        };
        Node::new(value, at)
    }
}
