// SPDX-License-Identifier: MIT
//! Tables of words.

use proptest::prelude::*;

use super::*;

fn lookup(name: &str) -> Option<String> {
    Some(
        match name {
            "A" => "one",
            "SPACED" => " two  words ",
            "EMPTY" => "",
            "PATHS" => "/usr/local/bin/tool.tar.gz",
            _ => return None,
        }
        .to_owned(),
    )
}

fn expanded(text: &str) -> Result<String, String> {
    expand(text, '\\', &lookup).map_err(|error| error.message)
}

#[test]
fn what_comes_of_substitutions_has_an_end() {
    // Nine are allowed once, and seventeen never.
    let given = |name: &str| match name {
        "NINE" => Some("x".repeat(9 << 20)),
        "SEVENTEEN" => Some("x".repeat(17 << 20)),
        _ => None,
    };
    for text in ["$NINE$NINE", "$SEVENTEEN", "\"$SEVENTEEN\"", "${NONE:-$SEVENTEEN}"] {
        let error = expand(text, '\\', &given).unwrap_err();
        assert_eq!(error.message, "substitutions are longer than 16 MiB", "{text}");
    }
    // Each letter becomes all of them.
    let short = |name: &str| (name == "S").then(|| "x".repeat(5000));
    let error = expand("${S//x/$S}", '\\', &short).unwrap_err();
    assert_eq!(error.message, "substitutions are longer than 16 MiB");
}

#[test]
fn values() {
    for (text, expected) in [
        ("plain", "plain"),
        ("$A", "one"),
        ("${A}x", "onex"),
        ("$Ax", ""),
        ("\\$A", "$A"),
        ("'$A'", "$A"),
        ("\"$A\"", "one"),
        ("\"\\$A \\\" \\n\"", "$A \" \\n"),
        ("'a'\"b\"c", "abc"),
        ("$", "$"),
        ("$/", "$/"),
        ("a\\ b", "a b"),
        ("a\\", "a"),
        ("${NONE}", ""),
        ("${NONE:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NONE-x}", "x"),
        ("${A:-x}", "one"),
        ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NONE:-${A}-$A}", "one-one"),
        ("${NONE:-'a b'}", "a b"),
        ("${A?message}", "one"),
        ("${PATHS#*/}", "usr/local/bin/tool.tar.gz"),
        ("${PATHS##*/}", "tool.tar.gz"),
        ("${PATHS%.*}", "/usr/local/bin/tool.tar"),
        ("${PATHS%%.*}", "/usr/local/bin/tool"),
        ("${PATHS#x}", "/usr/local/bin/tool.tar.gz"),
        ("${PATHS/\\//-}", "-usr/local/bin/tool.tar.gz"),
        ("${PATHS//\\//-}", "-usr-local-bin-tool.tar.gz"),
        ("${PATHS/t?o/T}", "/usr/local/bin/Tl.tar.gz"),
        ("${A//n/}", "oe"),
        ("$1$@", ""),
        ("é$A☃", "éone☃"),
    ] {
        assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn mistakes() {
    for (text, message) in [
        (
            "'a",
            "unexpected end of statement while looking for matching single-quote",
        ),
        (
            "\"a",
            "unexpected end of statement while looking for matching double-quote",
        ),
        ("${", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${A", "unsupported modifier (\u{fffd}) in substitution"),
        ("${A:}", "syntax error: missing '}'"),
        ("${A/x}", "syntax error: missing '/' in ${}"),
        ("${A:x}", "unsupported modifier (:x) in substitution"),
        ("${A!}", "unsupported modifier (!) in substitution"),
        ("${NONE?}", "NONE: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be unset"),
        ("${NONE:?say why}", "NONE: say why"),
        ("${A:-x", "syntax error: missing '}'"),
    ] {
        assert_eq!(expanded(text), Err(message.to_owned()), "{text}");
    }
    let error = expand("'a", '\\', &lookup).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to process \"'a\": unexpected end of statement while looking for matching single-quote"
    );
    let deep = "${A:+".repeat(1000);
    assert!(expanded(&deep).is_err());
}

#[test]
fn white_space_of_values_separates_words_unless_quoted() {
    let words = |text| expand_words(text, '\\', &lookup).unwrap();
    assert_eq!(words("a $SPACED b"), ["a", "two", "words", "b"]);
    assert_eq!(words("a\"$SPACED\"b"), ["a two  words b"]);
    assert_eq!(words("'' \"\""), ["", ""]);
    assert_eq!(words("x$SPACED"), ["x", "two", "words"]);
    assert_eq!(words("  "), Vec::<String>::new());
}

#[test]
fn quotes_mean_nothing_in_here_documents() {
    // As with BuildKit, an escape takes every meaning, and is gone.
    let text = expand_heredoc("'$A' \"${A}\" \\$A \\n it's \\\\\\\n\n", '\\', &lookup).unwrap();
    assert_eq!(text, "'one' \"one\" $A n it's \\\n\n");
}

#[test]
fn splitting_keeps_quotes() {
    assert_eq!(split("a=\"b c\" 'd e'f  g\\ h", '\\'), ["a=\"b c\"", "'d e'f", "g\\ h"]);
    assert_eq!(split("'a\\' b", '\\'), ["'a\\'", "b"]);
    assert_eq!(split("a` b", '`'), ["a` b"]);
    assert_eq!(unquote("'a b'\"c\\\"\"\\d", '\\'), "a bc\"d");
}

proptest! {
    #[test]
    fn nothing_panics(text in "[a${}:+?#%/*\\\\'\" ☃-]{0,40}") {
        let _any = expand(&text, '\\', &lookup);
        let _any = expand_words(&text, '\\', &lookup);
        let _any = expand_heredoc(&text, '\\', &lookup);
    }

    #[test]
    fn single_quotes_keep_everything(text in "[^']{0,40}") {
        prop_assert_eq!(expanded(&format!("'{text}'")), Ok(text));
    }
}
