// SPDX-License-Identifier: MIT
//! Reads text as JSON (RFC 8259), refusing what is none in the words of Go's `encoding/json`. Pure.
//!
//! Only the first value is read; what stands behind it is the caller's business. Numbers keep their text, since refusals show it.
//! Depth is bounded, so that no document exhausts the stack.

use super::{Json, Malformed};

/// How deep lists and objects may be within each other.
const DEPTH: usize = 128;

/// Reads the first value and returns it with what follows it, without leading white space.
///
/// # Errors
/// [`Malformed`]: nothing there, cut off, or no JSON.
pub(super) fn first_value(text: &str) -> Result<(Json, &str), Malformed> {
    let mut reader = Reader { rest: text, depth: 0 };
    if reader.peek().is_err() {
        return Err(Malformed::Nothing);
    }
    let value = reader.value()?;
    Ok((value, reader.rest.trim_start_matches(is_space)))
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Skips white space and returns the next character without taking it.
    fn peek(&mut self) -> Result<char, Malformed> {
        self.rest = self.rest.trim_start_matches(is_space);
        self.rest.chars().next().ok_or(Malformed::CutOff)
    }

    /// Takes an ASCII character that [`peek`](Self::peek) has shown.
    fn take(&mut self) {
        self.rest = &self.rest[1..];
    }

    fn value(&mut self) -> Result<Json, Malformed> {
        match self.peek()? {
            '{' => self.nested(Self::object),
            '[' => self.nested(Self::list),
            '"' => Ok(Json::Text(self.string()?)),
            't' => self.literal("true", Json::Bool(true)),
            'f' => self.literal("false", Json::Bool(false)),
            'n' => self.literal("null", Json::Null),
            '-' | '0'..='9' => self.number(),
            other => Err(unexpected(other, "looking for beginning of value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json, Malformed>) -> Result<Json, Malformed> {
        self.take();
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Malformed::Syntax("exceeded max depth".to_owned()));
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Json, Malformed> {
        let mut members = Vec::new();
        if self.peek()? == '}' {
            self.take();
            return Ok(Json::Object(members));
        }
        loop {
            match self.peek()? {
                '"' => {}
                other => return Err(unexpected(other, "looking for beginning of object key string")),
            }
            let key = self.string()?;
            match self.peek()? {
                ':' => self.take(),
                other => return Err(unexpected(other, "after object key")),
            }
            members.push((key, self.value()?));
            match self.peek()? {
                ',' => self.take(),
                '}' => break,
                other => return Err(unexpected(other, "after object key:value pair")),
            }
        }
        self.take();
        Ok(Json::Object(members))
    }

    fn list(&mut self) -> Result<Json, Malformed> {
        let mut items = Vec::new();
        if self.peek()? == ']' {
            self.take();
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value()?);
            match self.peek()? {
                ',' => self.take(),
                ']' => break,
                other => return Err(unexpected(other, "after array element")),
            }
        }
        self.take();
        Ok(Json::List(items))
    }

    fn literal(&mut self, word: &str, value: Json) -> Result<Json, Malformed> {
        let mut found = self.rest.chars();
        for expected in word.chars() {
            match found.next() {
                None => return Err(Malformed::CutOff),
                Some(character) if character == expected => {}
                Some(other) => {
                    let place = format!("in literal {word} (expecting {})", quoted(expected));
                    return Err(unexpected(other, &place));
                }
            }
        }
        self.rest = found.as_str();
        Ok(value)
    }

    fn number(&mut self) -> Result<Json, Malformed> {
        let start = self.rest;
        self.rest = start.strip_prefix('-').unwrap_or(start);
        // A zero stands alone: what follows it belongs to the next token.
        match self.rest.strip_prefix('0') {
            Some(rest) => self.rest = rest,
            None => self.digits()?,
        }
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            self.digits()?;
        }
        if let Some(rest) = self.rest.strip_prefix(['e', 'E']) {
            self.rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
            self.digits()?;
        }
        Ok(Json::Number(start[..start.len() - self.rest.len()].to_owned()))
    }

    /// Takes one digit or more.
    fn digits(&mut self) -> Result<(), Malformed> {
        let rest = self
            .rest
            .trim_start_matches(|character: char| character.is_ascii_digit());
        if rest.len() == self.rest.len() {
            let other = rest.chars().next().ok_or(Malformed::CutOff)?;
            return Err(unexpected(other, "in numeric literal"));
        }
        self.rest = rest;
        Ok(())
    }

    fn string(&mut self) -> Result<String, Malformed> {
        self.take();
        let mut text = String::new();
        loop {
            let end = self
                .rest
                .find(|character: char| matches!(character, '"' | '\\' | '\0'..'\x20'));
            let (plain, rest) = self.rest.split_at(end.ok_or(Malformed::CutOff)?);
            text.push_str(plain);
            self.rest = rest;
            match rest.as_bytes()[0] {
                b'"' => break,
                b'\\' => text.push(self.escape()?),
                control => return Err(unexpected(control.into(), "in string")),
            }
        }
        self.take();
        Ok(text)
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let bytes = self.rest.as_bytes();
        let meant = match bytes.get(1).ok_or(Malformed::CutOff)? {
            same @ (b'"' | b'\\' | b'/') => char::from(*same),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return Err(wrong_escape(&bytes[..2])),
        };
        self.rest = &self.rest[2..];
        Ok(meant)
    }

    /// Takes `\uXXXX`, or two that are a pair of surrogates; one alone is U+FFFD.
    fn code_point(&mut self) -> Result<char, Malformed> {
        let first = self.unit()?;
        let is_low = |unit: u32| (0xdc00..0xe000).contains(&unit);
        if (0xd800..0xdc00).contains(&first) && self.rest.starts_with("\\u") {
            let before = self.rest;
            let second = self.unit()?;
            if is_low(second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.rest = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn unit(&mut self) -> Result<u32, Malformed> {
        let bytes = self.rest.as_bytes();
        let digits = &bytes[2..bytes.len().min(6)];
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(wrong_escape(&bytes[..bytes.len().min(6)]));
        }
        if digits.len() < 4 {
            return Err(Malformed::CutOff);
        }
        let value = digits.iter().fold(0, |value, digit| {
            value * 16 + char::from(*digit).to_digit(16).unwrap_or_default()
        });
        self.rest = &self.rest[6..];
        Ok(value)
    }
}

fn unexpected(character: char, place: &str) -> Malformed {
    Malformed::Syntax(format!("invalid character {} {place}", quoted(character)))
}

fn wrong_escape(bytes: &[u8]) -> Malformed {
    let plain = bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'`');
    let shown = if plain {
        format!(
            "`{}`",
            bytes
                .escape_ascii()
                .to_string()
                .replace("\\\\", "\\")
                .replace("\\\"", "\"")
                .replace("\\'", "'")
        )
    } else {
        format!("\"{}\"", bytes.escape_ascii().to_string().replace("\\'", "'"))
    };
    Malformed::Syntax(format!("invalid escape sequence {shown} in string"))
}

/// Shows a character as Go's `strconv.QuoteRune` does.
pub(super) fn quoted(character: char) -> String {
    match character {
        '\'' => r"'\''".to_owned(),
        '\\' => r"'\\'".to_owned(),
        '\x07' => r"'\a'".to_owned(),
        '\x08' => r"'\b'".to_owned(),
        '\x0b' => r"'\v'".to_owned(),
        '\x0c' => r"'\f'".to_owned(),
        '\n' => r"'\n'".to_owned(),
        '\r' => r"'\r'".to_owned(),
        '\t' => r"'\t'".to_owned(),
        '\0'..'\x20' | '\x7f' => format!("'\\x{:02x}'", u32::from(character)),
        other => format!("'{other}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Json {
        Json::Number(text.to_owned())
    }

    #[test]
    fn values() {
        let text = |text: &str| Json::Text(text.to_owned());
        for (document, expected, rest) in [
            ("1", number("1"), ""),
            (" 01 ", number("0"), "1 "),
            ("-0.50e+3,", number("-0.50e+3"), ","),
            ("null}", Json::Null, "}"),
            ("[] x", Json::List(Vec::new()), "x"),
            ("{ }", Json::Object(Vec::new()), ""),
            (r#""a\n\u00e9\"\/é""#, text("a\né\"/é"), ""),
            (
                r#""\ud83d\ude00 \ud83d \ude00 \ud83d\u0041""#,
                text("😀 \u{fffd} \u{fffd} \u{fffd}A"),
                "",
            ),
            (
                r#"[true , {"a":1,"a":[false]}]"#,
                Json::List(vec![
                    Json::Bool(true),
                    Json::Object(vec![
                        ("a".to_owned(), number("1")),
                        ("a".to_owned(), Json::List(vec![Json::Bool(false)])),
                    ]),
                ]),
                "",
            ),
        ] {
            assert_eq!(first_value(document), Ok((expected, rest)), "{document}");
        }
    }

    #[test]
    fn cut_off() {
        assert_eq!(first_value(" \n"), Err(Malformed::Nothing));
        for document in [
            "{",
            "[",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "[1",
            "[1,",
            "\"a",
            "\"\\",
            "\"\\u1",
            "tru",
            "-",
            "1.",
            "1e",
            "1e+",
        ] {
            assert_eq!(first_value(document), Err(Malformed::CutOff), "{document}");
        }
    }

    /// The texts are those of Docker Engine 28.5.
    #[test]
    fn no_json() {
        for (document, expected) in [
            ("x", "invalid character 'x' looking for beginning of value"),
            ("'", r"invalid character '\'' looking for beginning of value"),
            ("\x01", r"invalid character '\x01' looking for beginning of value"),
            (
                "{,}",
                "invalid character ',' looking for beginning of object key string",
            ),
            ("{]", "invalid character ']' looking for beginning of object key string"),
            (
                "{\"a\":1,}",
                "invalid character '}' looking for beginning of object key string",
            ),
            ("{\"a\"::1}", "invalid character ':' looking for beginning of value"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
            ("{\"a\":01}", "invalid character '1' after object key:value pair"),
            ("{\"a\":1.5.5}", "invalid character '.' after object key:value pair"),
            ("{\"a\":\"x\"é}", "invalid character 'é' after object key:value pair"),
            ("[,1]", "invalid character ',' looking for beginning of value"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("[1}", "invalid character '}' after array element"),
            ("txx", "invalid character 'x' in literal true (expecting 'r')"),
            ("nan", "invalid character 'a' in literal null (expecting 'u')"),
            ("--1", "invalid character '-' in numeric literal"),
            ("[1.]", "invalid character ']' in numeric literal"),
            ("+1", "invalid character '+' looking for beginning of value"),
            ("\"a\tb\"", r"invalid character '\t' in string"),
            (r#""\x""#, r"invalid escape sequence `\x` in string"),
            (r#"{"a":"\u12"}"#, r#"invalid escape sequence `\u12"}` in string"#),
            (r#""\`""#, "invalid escape sequence \"\\\\`\" in string"),
            (r#""\é""#, r#"invalid escape sequence "\\\xc3" in string"#),
        ] {
            assert_eq!(
                first_value(document),
                Err(Malformed::Syntax(expected.to_owned())),
                "{document}"
            );
        }
        let deep = "[".repeat(100_000);
        assert_eq!(
            first_value(&deep),
            Err(Malformed::Syntax("exceeded max depth".to_owned()))
        );
        let nested = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
        assert!(first_value(&nested).is_ok());
    }
}
