// SPDX-License-Identifier: MIT
//! Sizes and processor counts.

use hyperbox_types::ByteSize;

/// Parses a size such as `512m`.
pub(crate) fn parse_bytes(text: &str) -> Result<i64, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let suffix = text[number.len()..].trim();
    if number.parse::<f64>().is_err() {
        return Err(format!("invalid size: '{text}'"));
    }
    let size = ByteSize::parse(text).map_err(|_| {
        if number.starts_with('-') {
            format!("invalid size: '{text}'")
        } else {
            format!("invalid suffix: '{suffix}'")
        }
    })?;
    i64::try_from(size.0).map_err(|_| format!("invalid size: '{text}'"))
}

/// Parses a size, or `-1` for no limit.
pub(crate) fn parse_bytes_or_unlimited(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { parse_bytes(text) }
}

/// Parses a number of processors, such as `1.5`, into units of 10⁻⁹.
pub(crate) fn parse_cpus(text: &str) -> Result<i64, String> {
    let malformed = || format!("failed to parse {text} as a rational number");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(malformed());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".to_owned());
    }
    let nano: i64 = format!("{fraction:0<9}").parse().map_err(|_| malformed())?;
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| malformed())?
    };
    whole
        .checked_mul(1_000_000_000)
        .and_then(|whole| whole.checked_add(nano))
        .ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("64m"), Ok(64 << 20));
        assert_eq!(parse_bytes("1x"), Err("invalid suffix: 'x'".to_owned()));
        assert_eq!(parse_bytes("m"), Err("invalid size: 'm'".to_owned()));
        assert_eq!(parse_bytes("-5"), Err("invalid size: '-5'".to_owned()));
        assert_eq!(parse_bytes_or_unlimited("-1"), Ok(-1));
    }

    #[test]
    fn processors() {
        for (text, expected) in [
            ("1", Ok(1_000_000_000)),
            ("0.5", Ok(500_000_000)),
            (".25", Ok(250_000_000)),
            ("1.5000000000", Ok(1_500_000_000)),
            ("0.0000000001", Err("value is too precise")),
            ("a", Err("failed to parse a as a rational number")),
            ("", Err("failed to parse  as a rational number")),
            ("-1", Err("failed to parse -1 as a rational number")),
        ] {
            assert_eq!(
                parse_cpus(text).as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|text| *text),
                "{text}"
            );
        }
    }
}
