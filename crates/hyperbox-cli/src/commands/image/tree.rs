// SPDX-License-Identifier: MIT
//! `hb images --tree`: every image once, with all its names and its platforms below.

use std::fmt::Write as _;

use hyperbox_client::model::{ImageSummary, ManifestSummary};
use unicode_width::UnicodeWidthStr;

use crate::format::{ellipsis, three_digits};

/// The width where there is no terminal.
pub(super) const WIDTH: usize = 80;

const SPACING: usize = 3;
const ID: usize = 12;
const USAGE: usize = 10;
const CONTENT: usize = 12;
const EXTRA: usize = 5;
/// The first column is never narrower.
const LEAST_NAME: usize = 12;
const BRANCH: &str = "├─ ";
const LAST_BRANCH: &str = "└─ ";

/// Shows the images, newest first; an image without any name only with `all`.
pub(super) fn show(mut images: Vec<ImageSummary>, all: bool, width: usize) -> String {
    images.retain(|image| all || !image.repo_tags.is_empty() || !image.repo_digests.is_empty());
    images.sort_by_key(|image| std::cmp::Reverse(image.created));
    let name_width = name_width(&images, width);
    let spaced = images.iter().any(|image| platforms(image).next().is_some());
    let mut text = legend(name_width);
    text.push_str(&cells(
        name_width,
        ["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"],
    ));
    for image in &images {
        add(&mut text, image, name_width);
        if spaced {
            text.push('\n');
        }
    }
    text
}

fn legend(name_width: usize) -> String {
    let width = name_width + ID + USAGE + CONTENT + EXTRA + 4 * SPACING;
    format!("{:>width$}\n\n", "Info ->  U In Use ")
}

fn add(text: &mut String, image: &ImageSummary, name_width: usize) {
    let mut names: Vec<&str> = image.repo_tags.iter().map(String::as_str).collect();
    names.sort_by(|left, right| right.cmp(left));
    let (last, others) = names.split_last().unwrap_or((&"<untagged>", &[]));
    for name in others {
        let _ = writeln!(text, "{name}"); // writing to a string cannot fail
    }
    let content = image.manifests.iter().map(|manifest| manifest.size.content).sum();
    text.push_str(&row(
        name_width,
        last,
        &image.id,
        (image.size, content),
        image.containers > 0,
    ));
    let mut platforms = platforms(image).peekable();
    while let Some(manifest) = platforms.next() {
        let branch = if platforms.peek().is_some() {
            BRANCH
        } else {
            LAST_BRANCH
        };
        text.push_str(&row(
            name_width,
            &format!("{branch}{}", platform(manifest)),
            &manifest.id,
            (manifest.size.total, manifest.size.content),
            !manifest.image_data.containers.is_empty(),
        ));
    }
}

fn row(name_width: usize, name: &str, id: &str, (usage, content): (i64, i64), in_use: bool) -> String {
    let bare = id.strip_prefix("sha256:").unwrap_or(id);
    let short: String = bare.chars().take(ID).collect();
    cells(
        name_width,
        [
            &ellipsis(name, name_width),
            &short,
            &three_digits(usage),
            &three_digits(content),
            if in_use { "U" } else { "" },
        ],
    )
}

/// Makes a line; sizes are aligned to the right.
fn cells(name_width: usize, [name, id, usage, content, extra]: [&str; 5]) -> String {
    let gap = " ".repeat(SPACING);
    let fill = " ".repeat(name_width.saturating_sub(name.width()));
    format!("{name}{fill}{gap}{id:<ID$}{gap}{usage:>USAGE$}{gap}{content:>CONTENT$}{gap}{extra:<EXTRA$}\n")
}

fn platforms(image: &ImageSummary) -> impl Iterator<Item = &ManifestSummary> {
    image.manifests.iter().filter(|manifest| manifest.kind == "image")
}

fn platform(manifest: &ManifestSummary) -> String {
    let platform = &manifest.image_data.platform;
    let parts = [&platform.os, &platform.architecture, &platform.variant];
    let given: Vec<&str> = parts
        .iter()
        .map(|part| part.as_str())
        .filter(|part| !part.is_empty())
        .collect();
    given.join("/")
}

/// The first column gets what the others leave, and not more than it needs.
fn name_width(images: &[ImageSummary], width: usize) -> usize {
    let others = ID + USAGE + CONTENT + EXTRA + 4 * SPACING;
    let names = images
        .iter()
        .flat_map(|image| image.repo_tags.iter().map(|name| name.width()));
    let untagged = images
        .iter()
        .filter(|image| image.repo_tags.is_empty())
        .map(|_| "<untagged>".len());
    let branches = images
        .iter()
        .flat_map(platforms)
        .map(|manifest| BRANCH.width() + platform(manifest).width());
    let widest = names.chain(untagged).chain(branches).max().unwrap_or_default();
    width
        .saturating_sub(others)
        .max(LEAST_NAME)
        .min(widest.max("IMAGE".len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Vec<ImageSummary> {
        serde_json::from_str(
            r#"[{"Id":"sha256:0123456789abcdef","RepoTags":["multi:latest","multi:1","example.com/a/very/long/name/of/an/image:tag"],
                 "Size":2000000,"Containers":2,"Created":1,"Manifests":[
                  {"ID":"sha256:1111111111111111","Kind":"image","Size":{"Content":1000,"Total":2000000},
                   "ImageData":{"Platform":{"os":"linux","architecture":"amd64"},"Containers":["c"]}},
                  {"ID":"sha256:2222222222222222","Kind":"image","Size":{"Content":2000,"Total":4000000},
                   "ImageData":{"Platform":{"os":"linux","architecture":"arm64","variant":"v8"},"Containers":null}},
                  {"ID":"sha256:3333333333333333","Kind":"attestation","Size":{"Content":4000,"Total":0},"ImageData":null}]},
                {"Id":"sha256:aaaaaaaaaaaaaaaa","RepoTags":["single:1"],"Size":3000000,"Containers":0,"Created":5},
                {"Id":"sha256:bbbbbbbbbbbbbbbb","RepoTags":null,"RepoDigests":["x@sha256:0"],"Size":4000000,"Created":2},
                {"Id":"sha256:cccccccccccccccc","RepoTags":[],"RepoDigests":[],"Size":4000000,"Created":9}]"#,
        )
        .unwrap()
    }

    #[test]
    fn a_tree() {
        let lines = [
            "                                                              Info ->  U In Use ",
            "",
            "IMAGE                           ID             DISK USAGE   CONTENT SIZE   EXTRA",
            "single:1                        aaaaaaaaaaaa          3MB             0B        ",
            "",
            "<untagged>                      bbbbbbbbbbbb          4MB             0B        ",
            "",
            "multi:latest",
            "multi:1",
            "example.com/a/very/long/name…   0123456789ab          2MB            7kB   U    ",
            "├─ linux/amd64                  111111111111          2MB            1kB   U    ",
            "└─ linux/arm64/v8               222222222222          4MB            2kB        ",
            "",
            "",
        ];
        assert_eq!(show(images(), false, WIDTH), lines.join("\n"));
    }

    #[test]
    fn all_images_and_no_platform() {
        let mut images = images();
        images.remove(0);
        let lines = [
            "                                           Info ->  U In Use ",
            "",
            "IMAGE        ID             DISK USAGE   CONTENT SIZE   EXTRA",
            "<untagged>   cccccccccccc          4MB             0B        ",
            "single:1     aaaaaaaaaaaa          3MB             0B        ",
            "<untagged>   bbbbbbbbbbbb          4MB             0B        ",
            "",
        ];
        assert_eq!(show(images, true, 200), lines.join("\n"));
    }
}
