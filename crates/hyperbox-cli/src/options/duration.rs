// SPDX-License-Identifier: MIT
//! Durations in Go's syntax: `1h30m`, `1.5s`, `-20ms`.

/// Parses a duration into nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let malformed = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut total = 0_f64;
    let mut exact = 0_i64;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let scale: i64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            unit => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        match number.parse::<i64>() {
            Ok(whole) => {
                exact = whole
                    .checked_mul(scale)
                    .and_then(|part| exact.checked_add(part))
                    .ok_or_else(malformed)?;
            }
            Err(_) => total += number.parse::<f64>().map_err(|_| malformed())? * scale as f64,
        }
        rest = after;
    }
    if !(0.0..9.0e18).contains(&total) {
        return Err(malformed());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let sum = exact.checked_add(total.round() as i64).ok_or_else(malformed)?;
    Ok(if negative { -sum } else { sum })
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("1s", Ok(1_000_000_000)),
            ("1h30m", Ok(5_400_000_000_000)),
            ("1.5s", Ok(1_500_000_000)),
            ("-20ms", Ok(-20_000_000)),
            ("0", Ok(0)),
            ("5", Err("time: missing unit in duration \"5\"")),
            ("5x", Err("time: unknown unit \"x\" in duration \"5x\"")),
            ("", Err("time: invalid duration \"\"")),
            ("..s", Err("time: invalid duration \"..s\"")),
            ("9999999999999h", Err("time: invalid duration \"9999999999999h\"")),
        ] {
            assert_eq!(
                parse_duration(text).as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|t| *t),
                "{text}"
            );
        }
    }
}
