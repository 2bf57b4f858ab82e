// SPDX-License-Identifier: MIT
//! The step `versions METHOD PATH [BODY]`: one request in several versions of the API, and the shapes of its answers.
//!
//! `{version}` in path and body is the version, `$(cat FILE)` what a file in the directory of the case has. What is shown are names and kinds of fields, as values are the business of other
//! steps: of the oldest version all of them, of each later group of versions what is missing (`-`) and what is new (`+`). The answer
//! of a refusal is shown as it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// What the command of such a step begins with.
pub(crate) const PREFIX: &str = "versions ";

/// The oldest, the newest, and those between which answers changed their shape.
const VERSIONS: &[&str] = &["1.24", "1.30", "1.40", "1.43", "1.44", "1.45", "1.47", "1.49", "1.51"];

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// Lines that describe an answer: the status, then each field.
type Shape = Vec<String>;

/// Asks in each version.
///
/// # Errors
/// When the engine does not answer, or the step is malformed.
pub(crate) fn ask(socket: &Path, directory: &Path, request: &str) -> io::Result<String> {
    let request = with_files(request, directory)?;
    let mut answers = Vec::new();
    for version in VERSIONS {
        let request = request.replace("{version}", version);
        let (method, rest) = request.split_once(' ').ok_or(io::ErrorKind::InvalidInput)?;
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let answer = send(socket, method, &format!("/v{version}{}", encoded(path)), body)?;
        answers.push((*version, shape(&answer)));
    }
    Ok(grouped(&answers))
}

fn with_files(request: &str, directory: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut rest = request;
    while let Some((before, after)) = rest.split_once("$(cat ") {
        let (name, after) = after.split_once(')').ok_or(io::ErrorKind::InvalidInput)?;
        text.push_str(before);
        text.push_str(std::fs::read_to_string(directory.join(name))?.trim_end());
        rest = after;
    }
    Ok(text + rest)
}

/// Escapes what JSON in a query has and URLs may not have (RFC 3986, section 2).
fn encoded(path: &str) -> String {
    let mut text = path.to_owned();
    for (plain, escaped) in [("\"", "%22"), ("{", "%7B"), ("}", "%7D"), ("[", "%5B"), ("]", "%5D")] {
        text = text.replace(plain, escaped);
    }
    text
}

fn send(socket: &Path, method: &str, path: &str, body: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let media_type = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/json\r\n"
    };
    // HTTP/1.0: no chunks, and the answer ends with the connection.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: engine\r\n{media_type}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Describes an answer.
fn shape(answer: &str) -> Shape {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let mut lines = head.lines();
    let code = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or("no status");
    let named = |line: &str| {
        line.split_once(": ")
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|(_, value)| value.to_owned())
    };
    let media_type = lines.find_map(named).unwrap_or_else(|| "no content".to_owned());
    let mut shape = vec![format!("{code} {media_type}")];
    if code.starts_with(['4', '5']) {
        shape.push(body.trim().to_owned());
        return shape;
    }
    let documents: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(body).into_iter().collect();
    let mut fields = BTreeMap::new();
    match documents.as_deref() {
        Ok([document]) => collect(document, "", &mut fields),
        Ok(documents) => {
            for document in documents {
                collect(document, "*", &mut fields);
            }
        }
        Err(_) => shape.push("no JSON".to_owned()),
    }
    shape.extend(
        fields
            .into_iter()
            .map(|(path, kinds)| format!("{path}: {}", kinds.join("|"))),
    );
    shape
}

/// Collects the kinds of everything below a path.
fn collect(value: &Value, path: &str, fields: &mut BTreeMap<String, Vec<&'static str>>) {
    let kind = match value {
        Value::Array(values) if !values.is_empty() => {
            for value in values {
                collect(value, &format!("{path}[]"), fields);
            }
            return;
        }
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let name = if is_identifier(name) { "<id>" } else { name };
                let dot = if path.is_empty() { "" } else { "." };
                collect(value, &format!("{path}{dot}{name}"), fields);
            }
            return;
        }
        Value::Array(_) => "[]",
        Value::Object(_) => "{}",
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.as_i64() == Some(-1) => "-1",
        Value::Number(_) => "number",
        Value::String(text) if text.is_empty() => "\"\"",
        Value::String(_) => "string",
    };
    let kinds = fields.entry(path.to_owned()).or_default();
    if !kinds.contains(&kind) {
        kinds.push(kind);
        kinds.sort_unstable();
    }
}

fn is_identifier(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Shows versions with equal answers together, and of all but the first what changed, unless that is more than the whole.
fn grouped(answers: &[(&str, Shape)]) -> String {
    let mut text = String::new();
    let mut before: Option<&Shape> = None;
    for group in answers.chunk_by(|(_, one), (_, other)| one == other) {
        let (Some((first, shape)), Some((last, _))) = (group.first(), group.last()) else {
            continue;
        };
        let range = if first == last {
            (*first).to_owned()
        } else {
            format!("{first} to {last}")
        };
        // Writing to a string never fails.
        let _written = writeln!(text, "{range}");
        let changed = before.map(|before| changes(before, shape));
        let lines = changed
            .filter(|changes| changes.len() <= shape.len())
            .unwrap_or_else(|| shape.iter().map(|line| format!("  {line}")).collect());
        for line in lines {
            let _written = writeln!(text, "{line}");
        }
        before = Some(shape);
    }
    text
}

fn changes(before: &Shape, after: &Shape) -> Vec<String> {
    let only = |one: &Shape, other: &Shape, sign: &str| -> Vec<String> {
        let lines = one.iter().filter(|line| !other.contains(line));
        lines.map(|line| format!("{sign} {line}")).collect()
    };
    [only(before, after, "-"), only(after, before, "+")].concat()
}

#[cfg(test)]
mod tests {
    use super::{grouped, shape};

    #[test]
    fn answers_become_names_and_kinds() {
        let body =
            r#"[{"Id":"a","Size":-1,"Tags":[],"Labels":null},{"Id":"","Size":7,"Tags":["x"],"Labels":{"k":true}}]"#;
        let answer = format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}");
        assert_eq!(
            shape(&answer),
            [
                "200 application/json",
                "[].Id: \"\"|string",
                "[].Labels: null",
                "[].Labels.k: bool",
                "[].Size: -1|number",
                "[].Tags: []",
                "[].Tags[]: string",
            ]
        );
        let stream = "HTTP/1.0 200 OK\r\n\r\n{\"a\":1}\r\n{\"b\":{}}\r\n";
        assert_eq!(shape(stream), ["200 no content", "*.a: number", "*.b: {}"]);
        let refusal = "HTTP/1.0 404 Not Found\r\ncontent-type: application/json\r\n\r\n{\"message\":\"no\"}\n";
        assert_eq!(shape(refusal), ["404 application/json", "{\"message\":\"no\"}"]);
    }

    #[test]
    fn versions_with_equal_answers_are_one_group() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let answers = [
            ("1", lines("s a b")),
            ("2", lines("s a b")),
            ("3", lines("s b c")),
            ("4", lines("s b c")),
            ("5", lines("t")),
        ];
        assert_eq!(grouped(&answers), "1 to 2\n  s\n  a\n  b\n3 to 4\n- a\n+ c\n5\n  t\n");
    }
}
