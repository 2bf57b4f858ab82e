// SPDX-License-Identifier: MIT
//! The options of the driver `local`, purely: what they mean, and which are refused, in Docker's words.
//!
//! `type`, `device` and `o` say what is mounted, as `mount(8)` is told; `size` asks for a quota, which this engine has not.

use std::collections::BTreeMap;
use std::path::Path;

use hyperbox_types::ByteSize;

use crate::seam::VolumeMount;

/// Options of `mount(8)` that become flags of `mount(2)`, with their values.
const FLAGS: [(&str, u64); 22] = [
    ("defaults", 0),
    ("rw", 0),
    ("suid", 0),
    ("dev", 0),
    ("exec", 0),
    ("async", 0),
    ("atime", 0),
    ("diratime", 0),
    ("norelatime", 0),
    ("nomand", 0),
    ("ro", 0x1),
    ("nosuid", 0x2),
    ("nodev", 0x4),
    ("noexec", 0x8),
    ("sync", 0x10),
    ("dirsync", 0x80),
    ("noatime", 0x400),
    ("nodiratime", 0x800),
    ("bind", 0x1000),
    ("rbind", 0x5000),
    ("relatime", 0x20_0000),
    ("strictatime", 0x100_0000),
];

/// Refuses options that make no volume.
///
/// # Errors
/// Docker's sentence.
pub(super) fn validate(options: &BTreeMap<String, String>) -> Result<(), String> {
    let unknown = |option: &&String| !matches!(option.as_str(), "type" | "o" | "device" | "size");
    if let Some(option) = options.keys().find(unknown) {
        return Err(format!("invalid option: {option:?}"));
    }
    if let Some(size) = options.get("size") {
        let bytes = ByteSize::parse(size).map_err(|_| format!("invalid size: '{size}'"))?;
        if bytes.0 > 0 {
            return Err("quota size requested but no quota support".to_owned());
        }
    }
    let has = |option: &str| options.contains_key(option);
    if (has("type") || has("o")) && !has("device") {
        return Err("missing required option: \"device\"".to_owned());
    }
    if (has("device") || has("o")) && !has("type") {
        return Err("missing required option: \"type\"".to_owned());
    }
    Ok(())
}

/// Returns what a volume with these options consists of; `None` for a directory of its own.
pub(super) fn mount(options: &BTreeMap<String, String>) -> Option<VolumeMount> {
    let option = |name: &str| options.get(name).map_or("", String::as_str);
    let (kind, device) = (option("type"), option("device"));
    if kind.is_empty() && device.is_empty() {
        return None;
    }
    let words = option("o").split(',').filter(|word| !word.is_empty());
    let (flags, data): (Vec<&str>, Vec<&str>) = words.partition(|word| FLAGS.iter().any(|(flag, _)| flag == word));
    let recursive = flags.contains(&"rbind");
    let bind = recursive || flags.contains(&"bind");
    let kept = flags
        .iter()
        .filter(|flag| !matches!(**flag, "bind" | "rbind" | "defaults"));
    let options = kept.map(|flag| (*flag).to_owned()).collect();
    Some(match bind {
        // What is relative is so to the root, where the daemon stands.
        true => VolumeMount::Bind {
            device: Path::new("/").join(device),
            recursive,
            options,
        },
        false => VolumeMount::Filesystem {
            kind: kind.to_owned(),
            device: device.to_owned(),
            options,
            data: data.into_iter().map(str::to_owned).collect(),
        },
    })
}

/// Returns what Docker says of a mount that fails.
pub(super) fn failure(options: &BTreeMap<String, String>, mountpoint: &Path, error: &std::io::Error) -> String {
    let option = |name: &str| options.get(name).map_or("", String::as_str);
    let mut text = format!(
        "error while mounting volume '{0}': failed to mount local volume: mount {1}:{0}",
        mountpoint.display(),
        option("device")
    );
    let words: Vec<&str> = option("o").split(',').filter(|word| !word.is_empty()).collect();
    let flag = |word: &&str| FLAGS.iter().find(|(flag, _)| flag == word).map(|(_, value)| *value);
    let flags = words.iter().filter_map(flag).fold(0, |all, flag| all | flag);
    let data: Vec<&str> = words.iter().copied().filter(|word| flag(word).is_none()).collect();
    if flags != 0 {
        text.push_str(&format!(", flags: {flags:#x}"));
    }
    if !data.is_empty() {
        text.push_str(&format!(", data: {}", data.join(",")));
    }
    format!("{text}: {}", errno_words(error))
}

/// Returns the kernel's words for an error, in lower case as Go writes them.
fn errno_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    #[test]
    fn wishes_that_make_no_volume() {
        for (pairs, expected) in [
            (&[][..], None),
            (&[("type", "tmpfs"), ("device", "tmpfs")], None),
            (&[("type", ""), ("device", "/x"), ("o", "bind")], None),
            (&[("size", "0")], None),
            (
                &[("nosuch", "1"), ("type", "tmpfs")],
                Some("invalid option: \"nosuch\""),
            ),
            (
                &[("Type", "tmpfs"), ("Device", "tmpfs")],
                Some("invalid option: \"Device\""),
            ),
            (&[("type", "tmpfs")], Some("missing required option: \"device\"")),
            (&[("device", "x")], Some("missing required option: \"type\"")),
            (&[("o", "bind")], Some("missing required option: \"device\"")),
            (
                &[("device", "/x"), ("o", "bind")],
                Some("missing required option: \"type\""),
            ),
            (&[("size", "1m")], Some("quota size requested but no quota support")),
            (&[("size", "x")], Some("invalid size: 'x'")),
        ] {
            assert_eq!(validate(&options(pairs)).err().as_deref(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn what_is_mounted() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(mount(&options(&[])), None);
        assert_eq!(
            mount(&options(&[
                ("type", "none"),
                ("device", "../etc"),
                ("o", "rbind,ro,bogus")
            ])),
            Some(VolumeMount::Bind {
                device: "/../etc".into(),
                recursive: true,
                options: words(&["ro"]),
            })
        );
        assert_eq!(
            mount(&options(&[
                ("type", "tmpfs"),
                ("device", "x"),
                ("o", "size=1m,noexec,mode=700")
            ])),
            Some(VolumeMount::Filesystem {
                kind: "tmpfs".to_owned(),
                device: "x".to_owned(),
                options: words(&["noexec"]),
                data: words(&["size=1m", "mode=700"]),
            })
        );
    }

    #[test]
    fn failures_are_told_as_docker_does() {
        let error = std::io::Error::from_raw_os_error(2);
        let point = Path::new("/v/_data");
        for (pairs, end) in [
            (
                &[("type", "none"), ("device", "/x"), ("o", "bind")][..],
                "mount /x:/v/_data, flags: 0x1000",
            ),
            (
                &[("type", "tmpfs"), ("device", "t"), ("o", "bogus=1")],
                "mount t:/v/_data, data: bogus=1",
            ),
            (&[("type", "ext4"), ("device", "/dev/x")], "mount /dev/x:/v/_data"),
        ] {
            let text = failure(&options(pairs), point, &error);
            let begin = "error while mounting volume '/v/_data': failed to mount local volume: ";
            assert_eq!(text, format!("{begin}{end}: no such file or directory"));
        }
    }
}
