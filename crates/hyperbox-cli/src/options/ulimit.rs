// SPDX-License-Identifier: MIT
//! `--ulimit name=soft[:hard]`.

use hyperbox_client::model::Ulimit;

const NAMES: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

pub(crate) fn parse(text: &str) -> Result<Ulimit, String> {
    let malformed = || format!("invalid ulimit argument: {text}");
    let (name, limits) = text.split_once('=').ok_or_else(malformed)?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number = |text: &str| match text {
        "unlimited" => Ok(-1),
        text => text
            .parse::<i64>()
            .map_err(|_| format!("invalid ulimit value: {text:?}")),
    };
    let (soft, hard) = match limits.split_once(':') {
        None => (number(limits)?, number(limits)?),
        Some((_, hard)) if hard.contains(':') => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
        Some((soft, hard)) => (number(soft)?, number(hard)?),
    };
    let exceeds = hard >= 0 && (soft > hard || soft < 0);
    if exceeds {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(Ulimit {
        name: name.to_owned(),
        hard,
        soft,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn ulimits() {
        for (text, expected) in [
            ("nofile=100", Ok((100, 100))),
            ("nofile=100:200", Ok((100, 200))),
            ("core=-1", Ok((-1, -1))),
            ("memlock=unlimited:unlimited", Ok((-1, -1))),
            ("nofile", Err("invalid ulimit argument: nofile")),
            ("foo=1", Err("invalid ulimit type: foo")),
            ("nofile=a", Err("invalid ulimit value: \"a\"")),
            (
                "nofile=1:2:3",
                Err("too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`"),
            ),
            (
                "nofile=2:1",
                Err("ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
            ),
        ] {
            let parsed = parse(text);
            let parsed = parsed
                .as_ref()
                .map(|limit| (limit.soft, limit.hard))
                .map_err(String::as_str);
            assert_eq!(parsed, expected, "{text}");
        }
    }
}
