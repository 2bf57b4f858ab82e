// SPDX-License-Identifier: MIT
//! The order in which people expect names: `a2` before `a10`.

use std::cmp::Ordering;

/// Compares two texts; runs of digits count as numbers. With equal numbers the one with fewer zeros in front is first.
pub(crate) fn natural(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        let (left_digits, right_digits) = (digits(left), digits(right));
        if left_digits == 0 || right_digits == 0 {
            match (left.split_first(), right.split_first()) {
                (None, None) => return Ordering::Equal,
                (None, Some(_)) => return Ordering::Less,
                (Some(_), None) => return Ordering::Greater,
                (Some((first, rest)), Some((other, others))) => {
                    if first != other {
                        return first.cmp(other);
                    }
                    (left, right) = (rest, others);
                }
            }
            continue;
        }
        let (number, other) = (significant(&left[..left_digits]), significant(&right[..right_digits]));
        let order = number
            .len()
            .cmp(&other.len())
            .then_with(|| number.cmp(other))
            .then(left_digits.cmp(&right_digits));
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (&left[left_digits..], &right[right_digits..]);
    }
}

/// Returns how many digits stand in front.
fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn significant(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order() {
        let sorted = [
            "", "0", "00", "1", "2", "02", "10", "a", "a1", "a1b", "a2", "a2b", "a02", "a10", "a10b2", "b",
        ];
        for (index, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(natural(left, right), index.cmp(&other), "{left:?} {right:?}");
            }
        }
    }
}
