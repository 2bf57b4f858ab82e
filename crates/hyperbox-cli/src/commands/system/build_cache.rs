// SPDX-License-Identifier: MIT
//! The rows of what builds keep, for `hb system df -v`.

use std::cmp::Ordering;

use hyperbox_client::model::BuildCache;
use jiff::Timestamp;

use crate::format::{List, ago, three_digits};
use crate::template::Value;

pub(crate) const LIST: List = List {
    row: "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
    quiet: "{{.ID}}",
    titles: &[
        ("ID", "CACHE ID"),
        ("Parent", "PARENT"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("LastUsedSince", "LAST USED"),
        ("UsageCount", "USAGE"),
        ("Shared", "SHARED"),
    ],
};

/// Orders by last use, what was never used first.
pub(crate) fn by_last_use(left: &BuildCache, right: &BuildCache) -> Ordering {
    let used = |cache: &BuildCache| cache.last_used_at.parse::<Timestamp>().ok();
    used(left).cmp(&used(right)).then_with(|| left.id.cmp(&right.id))
}

pub(crate) fn row(cache: &BuildCache, truncate: bool) -> Value {
    let short = |id: &str| {
        id.chars()
            .take(if truncate { 12 } else { usize::MAX })
            .collect::<String>()
    };
    let mark = if cache.in_use { "*" } else { "" };
    Value::map([
        ("CacheType", Value::from(cache.kind.as_str())),
        ("CreatedAt", moment(&cache.created_at).into()),
        ("CreatedSince", since(&cache.created_at).into()),
        ("Description", cache.description.as_str().into()),
        ("ID", format!("{}{mark}", short(&cache.id)).into()),
        ("InUse", cache.in_use.to_string().into()),
        ("LastUsedAt", moment(&cache.last_used_at).into()),
        ("LastUsedSince", since(&cache.last_used_at).into()),
        ("Parent", short(&cache.parent).into()),
        ("Shared", cache.shared.to_string().into()),
        ("Size", three_digits(cache.size).into()),
        ("UsageCount", cache.usage_count.to_string().into()),
    ])
}

/// Shows a time as Go prints it.
fn moment(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(point) => point.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string(),
        Err(_) => String::new(),
    }
}

fn since(text: &str) -> String {
    text.parse::<Timestamp>()
        .map_or_else(|_| String::new(), |point| ago(point.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let mut caches: Vec<BuildCache> = serde_json::from_str(
            r#"[{"ID":"abcdefghijklmnop","Type":"regular","Size":4096,"CreatedAt":"2026-01-02T03:04:05.5Z","LastUsedAt":"2026-02-02T03:04:05Z","UsageCount":3},
                {"ID":"b3","LastUsedAt":"2026-01-02T03:04:05Z"},
                {"ID":"b2","Parents":["x","y"],"Type":"internal","InUse":true,"Shared":true,"Size":10,"CreatedAt":"2026-01-03T03:04:05Z","LastUsedAt":null}]"#,
        )
        .unwrap();
        caches.sort_by(by_last_use);
        let ids: Vec<&str> = caches.iter().map(|cache| cache.id.as_str()).collect();
        assert_eq!(ids, ["b2", "b3", "abcdefghijklmnop"]);
        let text = |index: usize, field: &str| row(&caches[index], true).field(field).map(ToString::to_string);
        for (index, field, expected) in [
            (0, "ID", "b2*"),
            (0, "Parent", ""),
            (0, "LastUsedSince", ""),
            (0, "Shared", "true"),
            (2, "ID", "abcdefghijkl"),
            (2, "Size", "4.1kB"),
            (2, "CreatedAt", "2026-01-02 03:04:05.5 +0000 UTC"),
            (2, "UsageCount", "3"),
        ] {
            assert_eq!(text(index, field).as_deref(), Some(expected), "{field}");
        }
    }
}
