// SPDX-License-Identifier: MIT
//! What an instruction is called while it is carried out: its text with the variables that are known. Pure.
//!
//! As BuildKit does for its vertices (`processCmdEnv` of `dockerfile2llb` with `RawQuotes` and `SkipUnsetEnv`): quotes stay, what is in
//! single quotes stays, and so does a variable that nobody has set, with its braces.

use super::{Lookup, expand};

/// Replaces variables that are set; a text that is no word stays as it is.
pub fn expand_shown(text: &str, escape: char, lookup: Lookup<'_>) -> String {
    shown(text, escape, lookup).unwrap_or_else(|| text.to_owned())
}

fn shown(text: &str, escape: char, lookup: Lookup<'_>) -> Option<String> {
    let mut shown = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        let length = match character {
            '\'' if !quoted => {
                let length = after.find('\'')? + 2;
                shown.push_str(&rest[..length]);
                length
            }
            '"' => {
                quoted = !quoted;
                shown.push('"');
                1
            }
            character if character == escape => {
                let escaped = after.chars().next();
                // Between double quotes other escapes mean themselves.
                if quoted && !escaped.is_some_and(|escaped| matches!(escaped, '"' | '$') || escaped == escape) {
                    shown.push(character);
                }
                shown.extend(escaped);
                character.len_utf8() + escaped.map_or(0, char::len_utf8)
            }
            '$' => {
                let (name, length) = variable(rest, escape)?;
                match name.is_empty() || lookup(name).is_none() {
                    true => shown.push_str(&rest[..length]),
                    false => shown.push_str(&expand(&rest[..length], escape, lookup).ok()?),
                }
                length
            }
            character => {
                shown.push(character);
                character.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    (!quoted).then_some(shown)
}

/// Returns the name of the variable that a text begins with, and how long all of it is; `None` for braces that do not end.
fn variable(text: &str, escape: char) -> Option<(&str, usize)> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let length_of = |text: &str| text.find(|character| !is_part(character)).unwrap_or(text.len());
    let after = &text[1..];
    let Some(inside) = after.strip_prefix('{') else {
        let name = &after[..length_of(after)];
        // Of digits, one is a name.
        let name = match name.starts_with(|first: char| first.is_ascii_digit()) {
            true => &name[..1],
            false => name,
        };
        return Some((name, 1 + name.len()));
    };
    let name = &inside[..length_of(inside)];
    let (mut depth, mut escaped) = (1, false);
    for (position, character) in inside.char_indices() {
        match character {
            _ if escaped => escaped = false,
            character if character == escape => escaped = true,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((name, 2 + position + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Docker Engine 28.5 calls such steps.
    #[test]
    fn steps_are_called_what_they_do() {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "B" => Some("x y".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            (
                r#"RUN echo $A "$B" ${A} $UNSET \$A ${A:-d} ${UNSET:-e} '$A'"#,
                r#"RUN echo 1 "x y" 1 $UNSET $A 1 ${UNSET:-e} '$A'"#,
            ),
            (r#"RUN echo "a b"   c"#, r#"RUN echo "a b"   c"#),
            ("COPY dir/$A* /x$A/", "COPY dir/1* /x1/"),
            (r#"RUN ["echo","$A"]"#, r#"RUN ["echo","1"]"#),
            ("RUN echo ${A", "RUN echo ${A"),
            ("RUN echo $A 'open", "RUN echo $A 'open"),
            ("RUN echo $A \"open", "RUN echo $A \"open"),
            ("a$EMPTY-${EMPTY:+x}$$ $1 ${}", "a-$$ $1 ${}"),
            (r#""\n\"\$A""#, r#""\n"$A""#),
            ("${A:-${B}}é$A", "1é1"),
            ("$", "$"),
            ("\\", ""),
        ] {
            assert_eq!(expand_shown(text, '\\', &lookup), expected, "{text}");
        }
    }
}
