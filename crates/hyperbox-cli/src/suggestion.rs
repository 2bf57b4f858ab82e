// SPDX-License-Identifier: MIT
//! Which command somebody may have meant. Pure.

/// Words that are shorter are alike only when they differ in one place.
const LONG: usize = 6;

/// Returns the known word that is nearest to a mistyped one, if one is near.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = match word.chars().count() {
        0 | 1 => 0,
        2..LONG => 1,
        _ => 2,
    };
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(edits, _)| (1..=most).contains(edits))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Counts the letters to insert, remove, replace or swap with their neighbour (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut least = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *letter == right[column - 1] && left[row - 1] == *other {
                least = least.min(before[column - 1] + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_near() {
        let known = [
            "images", "image", "ps", "run", "rm", "rmi", "logs", "network", "stop", "top",
        ];
        for (word, expected) in [
            ("imags", Some("image")),
            ("imges", Some("images")),
            ("netwrok", Some("network")),
            ("rnu", Some("run")),
            ("sp", Some("ps")),
            ("log", Some("logs")),
            ("bogus", None),
            ("nettwokr", Some("network")),
            ("compose", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
        }
    }

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
            ("a", "a", 0),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }
}
