// SPDX-License-Identifier: MIT
//! YAML text to trees: anchors, merge keys and Compose's tags resolved, duplicate keys refused.
//!
//! Scalars mean what they mean to `docker compose` (go-yaml, which follows YAML 1.2's core schema and keeps the octal numbers of 1.1).
//! The text is hostile: what aliases unfold to, and how deep it nests, is bounded.
//!
//! Source: <https://yaml.org/spec/1.2.2/#103-core-schema>, <https://yaml.org/type/merge.html>.

use std::collections::HashMap;
use std::collections::btree_map::Entry;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::error::{Fault, KeyPath, Reason};
use super::tree::{At, Directive, Map, Node, Value};

/// How many nodes a file may have once its aliases are followed.
const MAX_NODES: usize = 200_000;
/// How deep maps and lists may nest.
const MAX_DEPTH: usize = 100;

/// Reads all documents of a file. A file with none gives an empty list.
pub(crate) fn parse(text: &str, source: u16) -> Result<Vec<Node>, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        source,
        anchors: HashMap::new(),
        nodes: 0,
    };
    let mut documents = Vec::new();
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::DocumentStart(_) => {
                let first = reader.next()?;
                documents.push(reader.node(first, 0)?);
            }
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            other => return Err(reader.syntax(span, format!("unexpected {other:?}"))),
        }
    }
}

struct Reader<'text> {
    parser: Parser<'text, saphyr_parser::StrInput<'text>>,
    source: u16,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

type Step<'text> = (Event<'text>, Span);

impl<'text> Reader<'text> {
    fn at(&self, span: Span) -> At {
        At {
            source: self.source,
            line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
            column: u32::try_from(span.start.col() + 1).unwrap_or(u32::MAX),
        }
    }

    fn syntax(&self, span: Span, reason: String) -> Fault {
        Fault::new(self.at(span), &KeyPath::default(), Reason::Syntax(reason))
    }

    fn next(&mut self) -> Result<Step<'text>, Fault> {
        match self.parser.next_event() {
            Some(Ok(step)) => Ok(step),
            Some(Err(error)) => Err(self.syntax(Span::new(*error.marker(), *error.marker()), error.info().to_owned())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// Counts nodes before they are made.
    fn charge(&mut self, nodes: usize, at: At) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(Fault::new(at, &KeyPath::default(), Reason::TooMuch("large")));
        }
        Ok(())
    }

    fn node(&mut self, (event, span): Step<'text>, depth: usize) -> Result<Node, Fault> {
        let at = self.at(span);
        if depth > MAX_DEPTH {
            return Err(Fault::new(at, &KeyPath::default(), Reason::TooMuch("deep")));
        }
        let before = self.nodes;
        self.charge(1, at)?;
        let (node, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                let mut node = Node::new(scalar(&text, style, tag.as_deref()), at);
                node.directive = directive(tag.as_deref());
                (node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                let mut node = Node::new(Value::List(self.list(depth)?), at);
                node.directive = directive(tag.as_deref());
                (node, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                let mut node = Node::new(Value::Map(self.map(depth)?), at);
                node.directive = directive(tag.as_deref());
                (node, anchor)
            }
            other => return Err(self.syntax(span, format!("unexpected {other:?}"))),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    /// An alias keeps the place of what it stands for: that is where a mistake can be mended.
    fn alias(&mut self, anchor: usize, span: Span) -> Result<Node, Fault> {
        let Some((node, nodes)) = self.anchors.get(&anchor).cloned() else {
            return Err(self.syntax(span, "an alias of what is not complete yet".to_owned()));
        };
        self.charge(nodes, node.at)?;
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut list = Vec::new();
        loop {
            let step = self.next()?;
            if step.0 == Event::SequenceEnd {
                return Ok(list);
            }
            list.push(self.node(step, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Map, Fault> {
        let mut map = Map::new();
        let mut lines: HashMap<String, u32> = HashMap::new();
        let mut merged = Vec::new();
        loop {
            let step = self.next()?;
            if step.0 == Event::MappingEnd {
                break;
            }
            let merges = matches!(&step.0, Event::Scalar(text, ScalarStyle::Plain, _, _) if text == "<<");
            let span = step.1;
            let key = self.node(step, depth + 1)?;
            let value_step = self.next()?;
            let value = self.node(value_step, depth + 1)?;
            if merges {
                merged.push((value, span));
                continue;
            }
            let name = match key.value {
                Value::Null => "null".to_owned(),
                _ => key
                    .to_text()
                    .ok_or_else(|| self.syntax(span, format!("a key must be a string, not {}", key.value.kind())))?,
            };
            if let Some(line) = lines.insert(name.clone(), key.at.line) {
                return Err(self.syntax(span, format!("key {name:?} is already defined in line {line}")));
            }
            map.insert(name, value);
        }
        for (value, span) in merged {
            self.merge_key(&mut map, value, span)?;
        }
        Ok(map)
    }

    /// `<<: *base` or `<<: [*first, *second]`: keys that are not there yet; the first of several wins.
    fn merge_key(&self, map: &mut Map, value: Node, span: Span) -> Result<(), Fault> {
        let bases = match value.value {
            Value::List(list) => list,
            _ => vec![value],
        };
        for base in bases {
            let Value::Map(base) = base.value else {
                return Err(self.syntax(span, "<< takes a mapping, or a list of mappings".to_owned()));
            };
            for (key, value) in base {
                if let Entry::Vacant(entry) = map.entry(key) {
                    entry.insert(value);
                }
            }
        }
        Ok(())
    }
}

fn directive(tag: Option<&Tag>) -> Option<Directive> {
    let tag = tag.filter(|tag| tag.handle == "!")?;
    match tag.suffix.as_str() {
        "reset" => Some(Directive::Reset),
        "override" => Some(Directive::Override),
        _ => None,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let core = tag
        .filter(|tag| tag.is_yaml_core_schema())
        .map(|tag| tag.suffix.as_str());
    match core {
        Some("str") => return Value::Text(text.to_owned()),
        Some("null") => return Value::Null,
        _ => {}
    }
    if style != ScalarStyle::Plain && core.is_none() {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Boolean(true),
        "false" | "False" | "FALSE" => Value::Boolean(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        _ => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

/// A number: decimal, `0x`, `0o`, `0b`, an octal of YAML 1.1 (`0755`), or floating point.
fn number(text: &str) -> Option<Value> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.as_bytes().first() {
        Some(b'-') => (true, &plain[1..]),
        Some(b'+') => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    if let Some(value) = integer(digits) {
        return Some(Value::Integer(if negative { value.checked_neg()? } else { value }));
    }
    // Beyond what is counted with here a number is its digits, as long as Go has a type for it.
    if !negative && digits.parse::<u64>().is_ok() && !digits.starts_with('0') {
        return Some(Value::Text(digits.to_owned()));
    }
    let looks_like_float = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
    if !looks_like_float {
        return None;
    }
    plain.parse().ok().map(Value::Float)
}

fn integer(digits: &str) -> Option<i64> {
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        parse(text, 0).unwrap().remove(0)
    }

    #[test]
    fn scalars_mean_what_they_mean_to_compose() {
        for (text, expected) in [
            ("~", Value::Null),
            ("", Value::Null),
            ("'~'", Value::Text("~".into())),
            ("true", Value::Boolean(true)),
            ("yes", Value::Text("yes".into())),
            ("12", Value::Integer(12)),
            ("0755", Value::Integer(493)),
            ("0o17", Value::Integer(15)),
            ("0xff", Value::Integer(255)),
            ("1_000", Value::Integer(1000)),
            ("-3", Value::Integer(-3)),
            ("0", Value::Integer(0)),
            ("1.5", Value::Float(1.5)),
            ("1e3", Value::Float(1000.0)),
            ("08", Value::Float(8.0)),
            ("1.2.3", Value::Text("1.2.3".into())),
            ("!!str 12", Value::Text("12".into())),
            ("\"12\"", Value::Text("12".into())),
            ("22:22", Value::Text("22:22".into())),
        ] {
            assert_eq!(
                one(&format!("key: {text}\n")).get("key").unwrap().value,
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn anchors_and_merge_keys() {
        let node = one("a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], x: 9}\nd: {<<: *b}\n");
        let value = |key: &str, member: &str| node.get(key).unwrap().get(member).unwrap().value.clone();
        assert_eq!(value("c", "x"), Value::Integer(9));
        assert_eq!(value("c", "y"), Value::Integer(2));
        assert_eq!(value("c", "z"), Value::Integer(4));
        assert_eq!(value("d", "y"), Value::Integer(3));
        assert_eq!(
            node.get("d").unwrap().get("z").unwrap().at.line,
            2,
            "where it was written"
        );
    }

    #[test]
    fn places_and_tags() {
        let node = one("services:\n  web:\n    image: !reset null\n    ports: !override [1]\n");
        let web = node.get("services").unwrap().get("web").unwrap();
        assert_eq!(web.get("image").unwrap().directive, Some(Directive::Reset));
        assert_eq!(web.get("ports").unwrap().directive, Some(Directive::Override));
        assert_eq!(
            (web.get("ports").unwrap().at.line, web.get("ports").unwrap().at.column),
            (4, 12)
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, part) in [
            ("a: 1\na: 2\n", 2, "already defined in line 1"),
            ("a: [1\n", 2, ""),
            ("a: *nothing\n", 1, ""),
            ("a: {<<: 1}\n", 1, "<< takes"),
            ("? [1]\n: 2\n", 1, "a key must be a string"),
        ] {
            let fault = parse(text, 0).unwrap_err();
            assert_eq!(fault.at.line, line, "{text}: {fault:?}");
            assert!(fault.reason.to_string().contains(part), "{text}: {fault:?}");
        }
    }

    #[test]
    fn aliases_unfold_within_bounds() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let item = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![item; 9].join(", ")));
        }
        assert_eq!(parse(&text, 0).unwrap_err().reason, Reason::TooMuch("large"));
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(matches!(
            parse(&deep, 0).unwrap_err().reason,
            Reason::TooMuch("deep") | Reason::Syntax(_)
        ));
    }

    #[test]
    fn several_documents_and_none() {
        assert_eq!(parse("a: 1\n---\nb: 2\n", 0).unwrap().len(), 2);
        assert_eq!(parse("", 0).unwrap().len(), 0);
        assert_eq!(parse("# only a comment\n", 0).unwrap().len(), 0);
    }
}
