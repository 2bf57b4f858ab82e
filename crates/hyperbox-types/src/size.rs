// SPDX-License-Identifier: MIT
//! Byte counts, parsed and shown as Docker's command line does (`docker/go-units`: powers of 1024 for limits, powers of
//! 1000 for what people read).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Parses a limit such as `512m`, `1.5GiB`, `64kb` or `1024`; units are powers of 1024, in either case.
    ///
    /// # Errors
    /// [`InvalidSize`] for anything else, negative numbers and what does not fit 64 bits.
    pub fn parse(text: &str) -> Result<Self, InvalidSize> {
        let invalid = || InvalidSize {
            text: text.chars().take(40).collect(),
        };
        let trimmed = text.trim();
        let end = trimmed
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let unit = unit.trim().to_ascii_lowercase();
        let shift = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            "p" => 50,
            _ => return Err(invalid()),
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(1 << shift).map(Self).ok_or_else(invalid);
        }
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let bytes = number * (1_u64 << shift) as f64;
        if !bytes.is_finite() || !(0.0..9.0e18).contains(&bytes) {
            return Err(invalid());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked above"
        )]
        Ok(Self(bytes as u64))
    }

    /// Shows the size in powers of 1000 with up to four significant digits: `4.26MB`.
    pub fn decimal(self) -> String {
        scaled(self.0, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
    }

    /// Shows the size in powers of 1024 with up to four significant digits: `1.5GiB`.
    pub fn binary(self) -> String {
        scaled(self.0, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
    }
}

fn scaled(bytes: u64, base: f64, units: &[&str]) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    // Go's %.4g: four significant digits, no trailing zeros.
    let digits = if value >= 1000.0 {
        0
    } else if value >= 100.0 {
        1
    } else if value >= 10.0 {
        2
    } else {
        3
    };
    let mut text = format!("{value:.digits$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    format!("{text}{}", units[unit])
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.binary())
    }
}

/// The text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid size: {text:?}")]
pub struct InvalidSize {
    /// The beginning of the refused text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_docker_parses() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("4k", Some(4096)),
            ("4KB", Some(4096)),
            ("4KiB", Some(4096)),
            ("1.5g", Some(1_610_612_736)),
            ("512m", Some(536_870_912)),
            ("32 MB", Some(33_554_432)),
            ("-1", None),
            ("", None),
            ("m", None),
            ("1x", None),
            ("1.2.3m", None),
            ("99999999999999999999", None),
            ("9999999p", None),
        ] {
            assert_eq!(ByteSize::parse(text).ok().map(|size| size.0), bytes, "{text}");
        }
    }

    #[test]
    fn shows_four_significant_digits() {
        for (bytes, decimal, binary) in [
            (0, "0B", "0B"),
            (999, "999B", "999B"),
            (4_261_502, "4.262MB", "4.064MiB"),
            (1_073_741_824, "1.074GB", "1GiB"),
            (131_000_000, "131MB", "124.9MiB"),
        ] {
            assert_eq!(ByteSize(bytes).decimal(), decimal);
            assert_eq!(ByteSize(bytes).binary(), binary);
        }
    }
}
