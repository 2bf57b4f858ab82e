// SPDX-License-Identifier: MIT
//! Query strings and percent-encoding, with Docker's idea of booleans and of moments. Pure.

use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;
use std::time::Duration;

use hyperbox_core::time::Timestamp;

use crate::error::{ApiError, ApiResult};

/// A parsed query string.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses `a=b&c=%20d+e`; what is not well-formed is taken literally, as Go's lenient servers do.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, Space::Plus), decode(value, Space::Plus))
        });
        Self(pairs.collect())
    }

    /// Returns the first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the first value of a parameter, or an empty text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Returns all parameters in their order.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// Returns all values of a parameter.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// Returns a boolean: everything but `""`, `0`, `no`, `false` and `none` is true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flag_or(name, false)
    }

    /// Returns a boolean, or `default` when the parameter is absent.
    pub(crate) fn flag_or(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, |value| {
            !matches!(
                value.trim().to_ascii_lowercase().as_str(),
                "" | "0" | "no" | "false" | "none"
            )
        })
    }

    /// Returns an integer; an absent or empty parameter is `None`.
    pub(crate) fn integer(&self, name: &str) -> ApiResult<Option<i64>> {
        self.integer_by("ParseInt", name)
    }

    /// As [`Query::integer`]; a refusal names the function of Go that Docker reads the parameter with.
    pub(crate) fn integer_by(&self, function: &str, name: &str) -> ApiResult<Option<i64>> {
        match self.text(name) {
            "" => Ok(None),
            text => parse_integer(function, text).map(Some).map_err(ApiError::bad_request),
        }
    }

    /// Returns a moment; absent, empty and `0` are `None`.
    pub(crate) fn moment(&self, name: &str) -> ApiResult<Option<Timestamp>> {
        match self.text(name) {
            "" | "0" => Ok(None),
            text => parse_moment(text, Timestamp::now()).map(Some),
        }
    }
}

/// Reads an integer; what is none is refused in the words of Go's `strconv`, whose function is named.
pub(crate) fn parse_integer<T: FromStr<Err = ParseIntError>>(function: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error: ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.{function}: parsing {text:?}: {why}")
    })
}

/// Refuses a query that Go's `url.ParseQuery` refuses: an escape that is none, and semicolons, which once parted pairs too.
///
/// # Errors
/// 400 for the first pair that is malformed.
pub(crate) fn check(text: &str) -> ApiResult<()> {
    for pair in text.split('&') {
        if pair.contains(';') {
            return Err(ApiError::bad_request("invalid semicolon separator in query"));
        }
        for (at, _) in pair.match_indices('%') {
            let rest = &pair.as_bytes()[at..];
            if !(rest.len() > 2 && rest[1..3].iter().all(u8::is_ascii_hexdigit)) {
                let escape = String::from_utf8_lossy(&rest[..rest.len().min(3)]);
                return Err(ApiError::bad_request(format!("invalid URL escape {escape:?}")));
            }
        }
    }
    Ok(())
}

/// What a plus sign means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// A space (in queries).
    Plus,
    /// Itself (in paths).
    Literal,
}

/// Undoes percent-encoding.
pub(crate) fn decode(text: &str, space: Space) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = bytes
            .get(index + 1..index + 3)
            .filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        match (bytes[index], hex.and_then(|hex| std::str::from_utf8(hex).ok())) {
            (b'%', Some(hex)) => {
                decoded.push(u8::from_str_radix(hex, 16).unwrap_or(b'?'));
                index += 2;
            }
            (b'+', _) if space == Space::Plus => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Encodes what may not stand in a path as it is.
pub(crate) fn encode_path(path: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,;=".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}"); // writing to a string cannot fail
        }
    }
    encoded
}

/// Parses seconds since the epoch (with a fraction), RFC 3339, or a duration before `now` such as `10m` or `1h30m`.
pub(crate) fn parse_moment(text: &str, now: Timestamp) -> ApiResult<Timestamp> {
    if let Some(moment) = parse_seconds(text).or_else(|| Timestamp::parse(text)) {
        return Ok(moment);
    }
    // A date or a local time without zone, as the command line sends it to older daemons, is taken as UTC.
    let zoned = [format!("{text}Z"), format!("{text}:00Z"), format!("{text}T00:00:00Z")];
    if let Some(moment) = zoned.iter().find_map(|text| Timestamp::parse(text)) {
        return Ok(moment);
    }
    let before = parse_duration(text)
        .ok_or_else(|| ApiError::bad_request(format!("failed to parse value as time or duration: {text:?}")))?;
    let nanoseconds = i64::try_from(before.as_nanos()).unwrap_or(i64::MAX);
    Ok(Timestamp(now.0.saturating_sub(nanoseconds)))
}

fn parse_seconds(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: i64 = digits.parse().ok()?;
    // What is too far away is as far as can be.
    Some(Timestamp(
        seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds),
    ))
}

/// Parses Go's durations, such as `300ms` or `1h15m30.5s`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |at| end + at);
        total += number
            * match &rest[end..unit_end] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_dockers() {
        for (text, expected) in [
            ("a=1", true),
            ("a=true", true),
            ("a=True", true),
            ("a=yes", true),
            ("a=x", true),
            ("a=0", false),
            ("a=False", false),
            ("a=no", false),
            ("a=none", false),
            ("a=", false),
            ("a", false),
            ("b=1", false),
        ] {
            assert_eq!(Query::parse(text).flag("a"), expected, "{text}");
        }
        assert!(Query::parse("").flag_or("stream", true));
    }

    #[test]
    fn values_are_decoded() {
        let query = Query::parse("filters=%7B%22name%22%3A%7B%7D%7D&n=a+b%2Bc&n=2&bad=%zz%4");
        assert_eq!(query.text("filters"), r#"{"name":{}}"#);
        assert_eq!(query.all("n"), ["a b+c", "2"]);
        assert_eq!(query.text("bad"), "%zz%4");
        assert_eq!(decode("/a+b%2Fc", Space::Literal), "/a+b/c");
    }

    #[test]
    fn what_go_refuses() {
        for (text, refusal) in [
            ("", None),
            ("a=b&&c=%20+&=&", None),
            ("a;b=1", Some("invalid semicolon separator in query")),
            ("a=1&%zz=1", Some("invalid URL escape \"%zz\"")),
            ("a=%4", Some("invalid URL escape \"%4\"")),
            ("a=%%20", Some("invalid URL escape \"%%2\"")),
        ] {
            assert_eq!(check(text).err().as_ref().map(ApiError::message), refusal, "{text}");
        }
        for (text, refusal) in [
            ("x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
            (
                "99999999999999999999",
                "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
            ),
        ] {
            assert_eq!(parse_integer::<i64>("ParseInt", text), Err(refusal.to_owned()));
        }
    }

    #[test]
    fn moments() {
        let now = Timestamp(1_000_000_000_000);
        for (text, expected) in [
            ("12", Some(12_000_000_000)),
            ("12.5", Some(12_500_000_000)),
            ("12.000000001", Some(12_000_000_001)),
            ("10m", Some(400_000_000_000)),
            ("1m40s", Some(900_000_000_000)),
            ("1970-01-01T00:00:01Z", Some(1_000_000_000)),
            ("1970-01-02", Some(86_400_000_000_000)),
            ("1970-01-01T00:01:00", Some(60_000_000_000)),
            ("x", None),
            ("12.x", None),
            ("99999999999", Some(i64::MAX)),
            ("10", Some(10_000_000_000)),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_moment(text, now).ok().map(|moment| moment.0), expected, "{text}");
        }
    }
}
