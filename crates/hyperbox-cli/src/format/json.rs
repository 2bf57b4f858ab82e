// SPDX-License-Identifier: MIT
//! Indents JSON text without changing the order of fields or the spelling of numbers.

/// Indents with `step` spaces, as Go's `json.Indent` does, for a value that stands `depth` levels deep.
pub(crate) fn indent(json: &str, step: usize, depth: usize) -> String {
    let mut output = String::with_capacity(json.len() * 2);
    let mut depth = depth;
    let (mut in_string, mut escaped) = (false, false);
    let mut characters = json.chars().peekable();
    let line = |output: &mut String, depth: usize| {
        output.push('\n');
        output.extend(std::iter::repeat_n(' ', depth * step));
    };
    while let Some(character) = characters.next() {
        if in_string {
            output.push(character);
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        match character {
            '{' | '[' => {
                output.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(close) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    output.push(close);
                } else {
                    depth += 1;
                    line(&mut output, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut output, depth);
                output.push(character);
            }
            ',' => {
                output.push(',');
                line(&mut output, depth);
            }
            ':' => output.push_str(": "),
            '"' => {
                in_string = true;
                output.push('"');
            }
            other if other.is_ascii_whitespace() => {}
            other => output.push(other),
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::indent;

    #[test]
    fn structure_is_indented_and_text_is_not() {
        let json = r#"{"b":[1, {"x":null}],"a":"{\"}[,:","e":{},"f":[ ]}"#;
        let expected = "{\n    \"b\": [\n        1,\n        {\n            \"x\": null\n        }\n    ],\n    \"a\": \"{\\\"}[,:\",\n    \"e\": {},\n    \"f\": []\n}";
        assert_eq!(indent(json, 4, 0), expected);
    }
}
