// SPDX-License-Identifier: MIT
//! Several faults in one message, as Docker joins them.

/// Joins faults: one stands alone, several become a list.
pub(crate) fn join(faults: &[String]) -> String {
    match faults {
        [only] => only.trim().to_owned(),
        several => {
            let items = several.iter().map(|fault| format!("* {}", fault.replace('\n', "\n\t")));
            items.collect::<Vec<_>>().join("\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stands_alone_and_several_are_a_list() {
        let text = |texts: &[&str]| join(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(text(&["a\nb"]), "a\nb");
        assert_eq!(text(&["a\nb", "c"]), "* a\n\tb\n* c");
        assert_eq!(text(&[]), "");
    }
}
