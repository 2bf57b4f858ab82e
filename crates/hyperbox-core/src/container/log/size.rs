// SPDX-License-Identifier: MIT
//! Sizes of log files as Docker reads them (`FromHumanSize` of go-units): decimal, `10k` is 10 000 bytes. Pure.

/// Parses a size.
///
/// # Errors
/// Docker's sentence.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let last = text
        .rfind(|letter: char| letter.is_ascii_digit() || matches!(letter, '.' | ' '))
        .ok_or_else(invalid)?;
    let (number, suffix) = (text[..=last].trim_end_matches(' '), &text[last + 1..]);
    let number: f64 = number
        .parse()
        .map_err(|_| format!("strconv.ParseFloat: parsing {number:?}: invalid syntax"))?;
    if !number.is_finite() || number < 0.0 {
        return Err(invalid());
    }
    let bytes = number * factor(suffix).ok_or_else(|| format!("invalid suffix: '{suffix}'"))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest integer, and what is too large the largest"
    )]
    let whole = bytes as u64;
    Ok(whole)
}

fn factor(suffix: &str) -> Option<f64> {
    let lower = suffix.to_ascii_lowercase();
    let (unit, rest) = match lower.chars().next() {
        None => return Some(1.0),
        Some('b') => return (lower == "b").then_some(1.0),
        Some(unit) => (unit, &lower[unit.len_utf8()..]),
    };
    let exponent = "kmgtp".find(unit)?;
    matches!(rest, "" | "b" | "ib").then(|| 1000_f64.powi(i32::try_from(exponent).unwrap_or(0) + 1))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("5", Ok(5)),
            ("10k", Ok(10_000)),
            ("10kb", Ok(10_000)),
            ("10 KiB", Ok(10_000)),
            ("1.5m", Ok(1_500_000)),
            ("7b", Ok(7)),
            ("2g", Ok(2_000_000_000)),
            ("x", Err("invalid size: 'x'")),
            ("", Err("invalid size: ''")),
            ("-1", Err("invalid size: '-1'")),
            ("1q", Err("invalid suffix: 'q'")),
            ("1kx", Err("invalid suffix: 'kx'")),
        ] {
            assert_eq!(parse(text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
