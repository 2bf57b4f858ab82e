// SPDX-License-Identifier: MIT
//! `hb images`, `hb image ls`

use std::io::Write;

use clap::Args;
use hyperbox_client::Filters;
use hyperbox_client::model::ImageSummary;

use super::tree;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::format::{List, ago, decimal_size, local_time, three_digits};
use crate::options::filter;
use crate::template::Value;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    /// Show all images (default hides intermediate images)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// List multi-platform images as a tree
    #[arg(long)]
    tree: bool,
    #[arg(hide = true)]
    repository: Option<String>,
}

pub(crate) const SPEC: Spec = spec!(
    ImagesArgs,
    run,
    ["ls", "list"],
    "List images",
    "[OPTIONS] [REPOSITORY[:TAG]]"
);
pub(crate) const SPEC_IMAGES: Spec = spec!(
    ImagesArgs,
    run,
    ["images"],
    "List images",
    "[OPTIONS] [REPOSITORY[:TAG]]"
);

const TITLES: &[(&str, &str)] = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];
const ROW: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const ROW_WITH_DIGEST: &str = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

fn run(context: &Context, mut arguments: ImagesArgs) -> Outcome {
    let mut filters = filter::parse(&arguments.filter);
    if let Some(repository) = &arguments.repository {
        filters.add("reference", repository);
    }
    if arguments.tree {
        return show_tree(context, &arguments, &filters);
    }
    let images = context.client()?.list_images(arguments.all, &filters)?;
    arguments.format = context.list_format(arguments.format.take(), "imagesFormat", arguments.quiet);
    let format = arguments.format.as_deref();
    let digests = arguments.digests || format.is_some_and(|format| format.contains(".Digest"));
    let mut rows = Vec::new();
    for image in &images {
        for name in names(image, digests) {
            rows.push(row(image, &name, !arguments.no_trunc));
            if arguments.quiet {
                break;
            }
        }
    }
    let list = List {
        row: if arguments.digests { ROW_WITH_DIGEST } else { ROW },
        quiet: "{{.ID}}",
        titles: TITLES,
    };
    list.print(context, format, arguments.quiet, &rows)?;
    Ok(0)
}

fn show_tree(context: &Context, arguments: &ImagesArgs, filters: &Filters) -> Outcome {
    for (given, flag) in [
        (arguments.no_trunc, "--no-trunc"),
        (arguments.quiet, "--quiet"),
        (arguments.digests, "--show-digest"),
        (arguments.format.is_some(), "--format"),
    ] {
        if given {
            return Err(CliError::new(format!("{flag} is not yet supported with --tree")));
        }
    }
    let images = context.client()?.list_images_with_manifests(arguments.all, filters)?;
    let width = if context.output_is_terminal() {
        terminal::size().map_or(tree::WIDTH, |size| size.columns.into())
    } else {
        tree::WIDTH
    };
    let mut output = context.output();
    output.write_all(tree::show(images, arguments.all, width).as_bytes())?;
    output.flush()?;
    Ok(0)
}

/// A name of an image, as one row shows it.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    repository: String,
    tag: String,
    digest: String,
}

/// Splits an image's names into rows: a row per tag, with the digest of the same repository, and one per digest without a tag.
fn names(image: &ImageSummary, digests: bool) -> Vec<Name> {
    let none = || "<none>".to_owned();
    let split_digest = |text: &String| {
        text.split_once('@')
            .map(|(name, digest)| (name.to_owned(), digest.to_owned()))
    };
    let digests_of: Vec<(String, String)> = image
        .repo_digests
        .iter()
        .filter(|text| !text.starts_with("<none>"))
        .filter_map(split_digest)
        .collect();
    let mut rows: Vec<Name> = image
        .repo_tags
        .iter()
        .filter(|text| !text.starts_with("<none>"))
        .filter_map(|text| text.rsplit_once(':'))
        .map(|(repository, tag)| Name {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: digests_of
                .iter()
                .find(|(name, _)| name == repository)
                .map_or_else(none, |(_, digest)| digest.clone()),
        })
        .collect();
    for (repository, digest) in &digests_of {
        let tagged = rows.iter().any(|row| row.repository == *repository);
        if !tagged {
            let digest = if digests { digest.clone() } else { none() };
            rows.push(Name {
                repository: repository.clone(),
                tag: none(),
                digest,
            });
        }
    }
    if rows.is_empty() {
        rows.push(Name {
            repository: none(),
            tag: none(),
            digest: none(),
        });
    }
    rows
}

/// Returns the row of an image for a list in which each image stands once.
pub(crate) fn single_row(image: &ImageSummary, truncate: bool) -> Value {
    let tag = image.repo_tags.first().and_then(|text| text.rsplit_once(':'));
    let (repository, tag) = tag.unwrap_or(("<none>", "<none>"));
    let name = Name {
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        digest: String::new(),
    };
    row(image, &name, truncate)
}

fn row(image: &ImageSummary, name: &Name, truncate: bool) -> Value {
    let bare = image.id.strip_prefix("sha256:").unwrap_or(&image.id);
    let id = if truncate {
        bare.chars().take(12).collect()
    } else {
        image.id.clone()
    };
    let known = |number: i64, text: String| if number < 0 { "N/A".to_owned() } else { text };
    Value::map([
        (
            "Containers",
            Value::from(known(image.containers, image.containers.to_string())),
        ),
        ("CreatedAt", local_time(image.created).into()),
        ("CreatedSince", ago(image.created).into()),
        ("Digest", name.digest.as_str().into()),
        ("ID", id.into()),
        ("Repository", name.repository.as_str().into()),
        (
            "SharedSize",
            known(image.shared_size, decimal_size(image.shared_size)).into(),
        ),
        ("Size", three_digits(image.size).into()),
        ("Tag", name.tag.as_str().into()),
        (
            "UniqueSize",
            known(image.shared_size, decimal_size(image.size - image.shared_size)).into(),
        ),
        ("VirtualSize", decimal_size(image.size).into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_image() {
        let image = |tags: &[&str], digests: &[&str]| ImageSummary {
            repo_tags: tags.iter().map(|text| (*text).to_owned()).collect(),
            repo_digests: digests.iter().map(|text| (*text).to_owned()).collect(),
            ..ImageSummary::default()
        };
        let show = |image: &ImageSummary| {
            names(image, true)
                .iter()
                .map(|row| format!("{} {} {}", row.repository, row.tag, row.digest))
                .collect::<Vec<_>>()
        };
        assert_eq!(show(&image(&[], &[])), ["<none> <none> <none>"]);
        assert_eq!(
            show(&image(&["h:5000/a:1", "b:2"], &["h:5000/a@sha256:0"])),
            ["h:5000/a 1 sha256:0", "b 2 <none>"]
        );
        assert_eq!(
            show(&image(&["b:2"], &["a@sha256:0"])),
            ["b 2 <none>", "a <none> sha256:0"]
        );
        assert_eq!(
            show(&image(&["<none>:<none>"], &["<none>@<none>"])),
            ["<none> <none> <none>"]
        );
    }
}
