// SPDX-License-Identifier: MIT
//! `--filter key=value`.

use hyperbox_client::Filters;

/// Checks the form of one filter; the daemon knows which keys there are. An empty text is no filter.
pub(crate) fn pair(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('=') {
        Ok(text.to_owned())
    } else {
        Err("bad format of filter (expected name=value)".to_owned())
    }
}

/// Collects filters that [`pair`] let pass.
pub(crate) fn parse(options: &[String]) -> Filters {
    let mut filters = Filters::default();
    for (key, value) in options.iter().filter_map(|option| option.split_once('=')) {
        filters.add(&key.trim().to_ascii_lowercase(), value.trim());
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for (text, valid) in [
            ("a=b", true),
            ("a=", true),
            ("label=a=b", true),
            ("", true),
            ("a", false),
        ] {
            assert_eq!(pair(text).is_ok(), valid, "{text}");
        }
        let options = [" Label = a=b ", "label=c", ""].map(str::to_owned);
        assert_eq!(
            parse(&options).to_query().as_deref(),
            Some(r#"{"label":{"a=b":true,"c":true}}"#)
        );
    }
}
