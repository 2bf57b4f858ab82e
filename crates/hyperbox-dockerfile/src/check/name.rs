// SPDX-License-Identifier: MIT
//! Names: those that smell of secrets, and those that no image can have.

/// Words that tell of a secret when a name begins or ends with them, or has them between underscores.
const SECRETS: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];

/// Tells whether a variable of this name most likely holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split('_');
    words.clone().any(|word| SECRETS.contains(&word)) && !words.any(|word| word == "public")
}

/// Tells whether an image can be called so: `[registry[:port]/]path[:tag][@algorithm:digest]`
/// (<https://pkg.go.dev/github.com/distribution/reference>).
pub(super) fn is_image(name: &str) -> bool {
    let (name, digest) = name
        .split_once('@')
        .map_or((name, None), |(name, digest)| (name, Some(digest)));
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return false;
    }
    let slash = name.rfind('/').map_or(0, |index| index + 1);
    let (path, tag) = match name[slash..].find(':') {
        Some(colon) => (&name[..slash + colon], Some(&name[slash + colon + 1..])),
        None => (name, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return false;
    }
    let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost" || part.to_lowercase() != part;
    let repository = match path.split_once('/') {
        Some((host, rest)) if is_host(host) => {
            if !is_registry(host) {
                return false;
            }
            rest
        }
        _ => path,
    };
    !repository.is_empty() && repository.split('/').all(is_component)
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    algorithm.starts_with(|first: char| first.is_ascii_alphabetic())
        && hex.len() >= 32
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_tag(text: &str) -> bool {
    let first = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first
        && text.len() <= 128
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let named = host.starts_with('[')
        || (!host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)));
    named && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Small letters and digits, between them a dot, one or two underscores, or hyphens.
fn is_component(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = text.bytes().next().is_some_and(plain) && text.bytes().next_back().is_some_and(plain);
    let parts = text.split(|each: char| each.is_ascii_lowercase() || each.is_ascii_digit());
    ends && parts
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        for name in [
            "a",
            "a:1",
            "a/b",
            "localhost/a",
            "localhost:5000/a/b:x",
            "r.io/a__b/c-d--e:T_1",
            "[::1]:5000/a",
            "a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            assert!(is_image(name), "{name}");
        }
        for name in [
            "",
            ":",
            "a:",
            "A",
            "a/",
            "/a",
            "a//b",
            "a___b",
            "-a",
            "a-",
            "a b",
            "a@x",
            "a@sha256:1",
            "a:-",
            "r.io:x/a",
            "$X",
        ] {
            assert!(!is_image(name), "{name}");
        }
    }
}
