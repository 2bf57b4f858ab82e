// SPDX-License-Identifier: MIT
//! Durations, sizes and commands, as they are written in Compose files.
//!
//! Source: the Compose specification, "Specifying durations" and "Specifying byte values"; in doubt Go's `time` and `go-units`.

/// A duration in nanoseconds: `1h5m30s20ms`, also with days and weeks (`1w2d`). A number alone is refused, `0` apart.
pub fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !(character.is_ascii_digit() || character == '.'))
            .filter(|digits| *digits > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|character: char| character.is_ascii_digit() || character == '.')
            .unwrap_or(rest.len());
        total += number * unit_nanoseconds(&rest[..unit])?;
        rest = &rest[unit..];
    }
    #[expect(clippy::cast_precision_loss, reason = "the bound need not be exact")]
    if total > i64::MAX as f64 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the bound was just asked for")]
    let nanoseconds = total.round() as i64;
    Some(if negative { -nanoseconds } else { nanoseconds })
}

fn unit_nanoseconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 6e10,
        "h" => 3.6e12,
        "d" => 8.64e13,
        "w" => 6.048e14,
        _ => return None,
    })
}

/// A duration as Go writes it: `1m30s`, `1.5s`, `20ms`, `0s`.
pub(crate) fn format_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    if total == 0 {
        return "0s".to_owned();
    }
    if total < 1_000 {
        return format!("{sign}{total}ns");
    }
    if total < 1_000_000 {
        return format!("{sign}{}µs", decimal(total, 1_000));
    }
    if total < 1_000_000_000 {
        return format!("{sign}{}ms", decimal(total, 1_000_000));
    }
    let minutes = total / 60_000_000_000;
    let seconds = decimal(total % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

fn decimal(value: u64, unit: u64) -> String {
    let (whole, fraction) = (value / unit, value % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{fraction:0width$}").trim_end_matches('0'))
}

/// A number of bytes: `1024`, `10k`, `10kb`, `1.5g`, `1GiB`, in powers of 1024; -1 and the like stay.
pub fn parse_bytes(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let digits = text.find(|character: char| !(character.is_ascii_digit() || character == '.'))?;
    let number: f64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start().to_ascii_lowercase();
    let power = match unit.as_str() {
        "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(power);
    #[expect(clippy::cast_precision_loss, reason = "the bound need not be exact")]
    if !(0.0..i64::MAX as f64).contains(&bytes) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the bound was just asked for")]
    Some(bytes as i64)
}

/// Splits a command as a shell splits words: quotes and backslashes, no expansions.
///
/// # Errors
/// A sentence, when a quote is not closed.
pub(crate) fn split_command(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', Some('\'')) => word.get_or_insert_default().push('\\'),
            ('\\', _) => match characters.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err("it ends with a backslash"),
            },
            (character, Some(open)) if character == open => quote = None,
            (character, Some(_)) => word.get_or_insert_default().push(character),
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (character, None) if character.is_whitespace() => words.extend(word.take()),
            (character, None) => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

/// Reads an age such as `12h` or `1w2d`: numbers with `w`, `d`, `h`, `m` or `s`. Seconds.
pub(crate) fn parse_age(text: &str) -> Option<u64> {
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit: u64 = match rest.as_bytes().get(digits)? {
            b'w' => 7 * 24 * 3600,
            b'd' => 24 * 3600,
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        let number: u64 = rest[..digits].parse().ok()?;
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("90s", Some("1m30s")),
            ("1m", Some("1m0s")),
            ("1h30m", Some("1h30m0s")),
            ("1d", Some("24h0m0s")),
            ("1w2d", Some("216h0m0s")),
            ("1.5s", Some("1.5s")),
            ("20ms", Some("20ms")),
            ("1500us", Some("1.5ms")),
            ("10us", Some("10µs")),
            ("5ns", Some("5ns")),
            ("0", Some("0s")),
            ("0s", Some("0s")),
            ("-1s", Some("-1s")),
            ("10", None),
            ("", None),
            ("s", None),
            ("1x", None),
        ] {
            assert_eq!(parse_duration(text).map(format_duration).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("10", Some(10)),
            ("-1", Some(-1)),
            ("1k", Some(1024)),
            ("10m", Some(10 << 20)),
            ("1.5g", Some(1_610_612_736)),
            ("2 GB", Some(2 << 30)),
            ("1GiB", Some(1 << 30)),
            ("5b", Some(5)),
            ("lots", None),
            ("", None),
            ("1x", None),
            ("99999999999p", None),
        ] {
            assert_eq!(parse_bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn commands() {
        for (text, expected) in [
            ("echo \"hello world\" 'a b'", vec!["echo", "hello world", "a b"]),
            ("  a   b ", vec!["a", "b"]),
            ("a\\ b", vec!["a b"]),
            ("'a\\b' \"a\\\"b\"", vec!["a\\b", "a\"b"]),
            ("''", vec![""]),
            ("", vec![]),
            ("a'b'c", vec!["abc"]),
        ] {
            assert_eq!(split_command(text).unwrap(), expected, "{text}");
        }
        assert!(split_command("'a").is_err());
        assert!(split_command("a\\").is_err());
    }

    proptest! {
        #[test]
        fn durations_come_back(nanoseconds in 0..i64::from(i32::MAX) * 1000) {
            prop_assert_eq!(parse_duration(&format_duration(nanoseconds)), Some(nanoseconds));
        }

        #[test]
        fn never_panics(text in "\\PC{0,16}") {
            let _outcome = (parse_duration(&text), parse_bytes(&text), split_command(&text));
        }
    }
}
