// SPDX-License-Identifier: MIT
//! Names of projects.

/// A name made of a folder's or a file's: lower case, only what a name may hold.
pub(crate) fn normalized(name: &str) -> String {
    let kept: String = name
        .to_lowercase()
        .chars()
        .filter(|character| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || matches!(character, '_' | '-')
        })
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

/// Tells whether a text is a project's name as it is.
pub fn is_valid(name: &str) -> bool {
    checked(name).is_ok()
}

/// A name that was asked for: it has to be one as it is.
///
/// # Errors
/// A sentence, Docker's.
pub(crate) fn checked(name: &str) -> Result<String, String> {
    if !name.is_empty() && normalized(name) == name {
        return Ok(name.to_owned());
    }
    Err(format!(
        "invalid project name {name:?}: must consist only of lowercase alphanumeric characters, hyphens, and underscores \
         as well as start with a letter or number"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [("My Shop", "myshop"), ("_x-1", "x-1"), ("é", ""), ("a_b", "a_b")] {
            assert_eq!(normalized(name), expected);
            assert_eq!(checked(name).is_ok(), name == expected);
        }
    }
}
