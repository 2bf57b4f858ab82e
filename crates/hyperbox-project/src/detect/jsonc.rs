// SPDX-License-Identifier: MIT
//! JSON with comments and commas at ends, as devcontainer.json is written, made plain JSON.
//!
//! Source: <https://containers.dev/implementors/json_reference/>, which refers to "JSON with Comments" of editors.

/// Takes comments away, and commas before what closes. Line breaks stay, so that places in messages are right.
pub(crate) fn plain(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut characters = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    // A comma, and the blanks after it, until it is known whether it counts.
    let mut held = String::new();
    while let Some(character) = characters.next() {
        match character {
            '/' if characters.peek() == Some(&'/') => while characters.next_if(|next| *next != '\n').is_some() {},
            '/' if characters.peek() == Some(&'*') => {
                let mut last = ' ';
                characters.next();
                for inside in characters.by_ref() {
                    if inside == '\n' {
                        blank(&mut output, &mut held, inside);
                    }
                    if last == '*' && inside == '/' {
                        break;
                    }
                    last = inside;
                }
            }
            ',' => {
                output.push_str(&std::mem::replace(&mut held, ",".to_owned()));
            }
            blanks if blanks.is_whitespace() => blank(&mut output, &mut held, blanks),
            '}' | ']' => {
                output.push_str(held.trim_start_matches(','));
                held.clear();
                output.push(character);
            }
            other => {
                output.push_str(&std::mem::take(&mut held));
                output.push(other);
                if other == '"' {
                    string(&mut output, &mut characters);
                }
            }
        }
    }
    output.push_str(&held);
    output
}

fn blank(output: &mut String, held: &mut String, character: char) {
    if held.is_empty() {
        output.push(character);
    } else {
        held.push(character);
    }
}

/// Copies a string to its end.
fn string(output: &mut String, characters: &mut impl Iterator<Item = char>) {
    let mut escaped = false;
    for character in characters {
        output.push(character);
        if character == '"' && !escaped {
            return;
        }
        escaped = character == '\\' && !escaped;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_and_commas() {
        for (text, expected) in [
            ("{\"a\": 1, // x\n}", "{\"a\": 1 \n}"),
            (
                "{\"a\": \"// no, }\", \"b\": [1,2,],}",
                "{\"a\": \"// no, }\", \"b\": [1,2]}",
            ),
            ("/* a\nb */{}", "\n{}"),
            ("{\"a\\\"//\": 1}", "{\"a\\\"//\": 1}"),
            ("[1, /* , */ 2]", "[1,  2]"),
            ("/", "/"),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn plain_json_stays_what_it_is(text in "[a-z,/*\\[\\]{}\" ]{0,30}") {
            let value = serde_json::json!({ "a": [text, 1, { "b": null }] });
            let written = value.to_string();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&plain(&written)).unwrap(), value);
        }

        #[test]
        fn nothing_panics(text in "[,/*\\[\\]{}\"\\\\\n a]{0,30}") {
            plain(&text);
        }
    }
}
