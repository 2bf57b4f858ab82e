// SPDX-License-Identifier: MIT
//! Versions of the specification, and what each can do. Pure.

use std::fmt;

/// A version whose lists and results are understood; ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V0_3_0,
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

impl Version {
    const ALL: [Self; 5] = [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];

    /// Reads a version; `None` for what is not understood.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// Returns the text of the specification.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Returns whether plugins know CHECK, and get the result of ADD with DEL.
    pub(crate) fn has_check(self) -> bool {
        self >= Self::V0_4_0
    }

    /// Returns whether plugins know GC and STATUS.
    pub(crate) fn has_gc(self) -> bool {
        self >= Self::V1_1_0
    }

    /// Returns whether each address of a result says which family it is of; 1.0.0 dropped that.
    pub(crate) fn has_address_versions(self) -> bool {
        self < Self::V1_0_0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_abilities() {
        for version in Version::ALL {
            assert_eq!(Version::parse(version.as_str()), Some(version));
        }
        for unknown in ["", "0.1.0", "0.2.0", "1.0", "v1.0.0", "2.0.0"] {
            assert_eq!(Version::parse(unknown), None, "{unknown}");
        }
        assert!(!Version::V0_3_1.has_check() && Version::V0_4_0.has_check());
        assert!(!Version::V1_0_0.has_gc() && Version::V1_1_0.has_gc());
        assert!(Version::V0_4_0.has_address_versions() && !Version::V1_0_0.has_address_versions());
    }
}
