// SPDX-License-Identifier: MIT
//! Images that come and go: pull, push, load, save.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::BodyExt;
use hyperbox_core::image::{ProgressStream, TransferProgress};
use hyperbox_types::{ImageReference, Platform};
use tokio_util::io::StreamReader;

use super::create::parse_platform;
use super::images::{platform_of, require_platform};
use crate::answer::{self, Answer, json_stream};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::progress::lines;
use crate::registry_auth::from_header;
use crate::router::{Route, route};
use crate::translate::image::parse_reference;

pub(super) const ROUTES: &[Route] = &[
    route!(Post "/images/create" => pull),
    route!(Post "/images/load" => load),
    route!(Post "/images/{name:*}/push" => push),
    route!(Get "/images/get" => save_many),
    route!(Get "/images/{name:*}/get" => save_one),
];

/// The header with the credentials for the registry.
pub(super) const AUTH: &str = "x-registry-auth";

/// Joins a name with a tag or digest that is given apart; without either, the tag is `latest`.
///
/// # Errors
/// 400 when the result is no reference.
pub(super) fn join_reference(name: &str, tag: &str) -> ApiResult<ImageReference> {
    let bare = parse_reference(name)?;
    let text = match tag {
        "" => bare.to_string(),
        digest if digest.contains(':') => format!("{}@{digest}", bare.repository()),
        tag => format!("{}:{tag}", bare.repository()),
    };
    let what = if tag.is_empty() || tag.contains(':') {
        "reference"
    } else {
        "tag"
    };
    ImageReference::parse(&text).map_err(|_| ApiError::bad_request(format!("invalid {what} format")))
}

async fn pull(call: Call) -> ApiResult<Answer> {
    let query = &call.query;
    if !query.text("fromSrc").is_empty() {
        return super::commit::import(call).await;
    }
    let (name, tag) = (query.text("fromImage"), query.text("tag"));
    let reference = join_reference(name, tag)?;
    let bare = parse_reference(name)?;
    let all = tag.is_empty() && bare.tag().is_none() && bare.digest().is_none();
    let platform = match call.version.at_least(PLATFORM_OF_PULL) {
        true => parse_platform(query.text("platform"))?,
        false => None,
    };
    let credentials = from_header(call.header(AUTH));
    let images = &call.engine().images;
    // A name alone means all tags.
    let progress = if all {
        images.pull_all(reference, platform, credentials).await?
    } else {
        images.pull(reference, platform, credentials).await?
    };
    Ok(json_stream(lines(progress, false)))
}

/// Failures go into the stream, also those before the first byte, as Docker has it.
async fn push(call: Call) -> ApiResult<Answer> {
    let name = call.parameter("name");
    let tag = call.query.text("tag");
    let named = parse_reference(name)?;
    let references = if tag.is_empty() && named.tag().is_none() {
        local_tags(&call, &named)
    } else {
        vec![join_reference(name, tag)?]
    };
    let platform = call.query.text("platform");
    if !platform.is_empty() && call.version.at_least(PLATFORM_OF_PUSH) {
        for reference in &references {
            let image = call.engine().images.get(&reference.to_string())?;
            require_platform(platform, &reference.familiar(), &image)?;
        }
    }
    let credentials = from_header(call.header(AUTH));
    let images = call.engine().images.clone();
    let progress = stream::iter(references).flat_map(move |reference| images.push(reference, credentials.clone()));
    Ok(json_stream(lines(Box::pin(progress), false)))
}

/// Without a tag, all tags of the repository are meant.
fn local_tags(call: &Call, named: &ImageReference) -> Vec<ImageReference> {
    let images = call.engine().images.list();
    let all = images.iter().flat_map(|image| image.references.iter());
    let tags: Vec<_> = all
        .filter(|reference| reference.repository() == named.repository())
        .cloned()
        .collect();
    // The engine says of a name without any tag that there is no such image.
    if tags.is_empty() { vec![named.clone()] } else { tags }
}

async fn load(mut call: Call) -> ApiResult<Answer> {
    let quiet = call.query.flag("quiet");
    let platform = wanted_platform(&call)?;
    let images = call.engine().images.clone();
    call.body.is_upload();
    let bytes = call.body.into_data_stream().map_err(std::io::Error::other);
    let archive = Box::new(StreamReader::new(bytes));
    let progress: ProgressStream = match images.load(archive, platform).await {
        Ok(progress) => progress,
        Err(error) => Box::pin(stream::once(std::future::ready(TransferProgress::Failed(error)))),
    };
    Ok(json_stream(never_empty(lines(progress, quiet))))
}

/// Docker ends what tells nothing with an empty object, which its command line shows as an empty line.
fn never_empty(lines: impl Stream<Item = Bytes> + Send + 'static) -> impl Stream<Item = Bytes> + Send {
    stream::unfold((Box::pin(lines.fuse()), false), |(mut lines, told)| async move {
        let line = match lines.next().await {
            None if told => return None,
            None => Bytes::from_static(b"{}\r\n"),
            Some(line) => line,
        };
        Some((line, (lines, true)))
    })
}

async fn save_one(call: Call) -> ApiResult<Answer> {
    let names = [call.parameter("name").to_owned()];
    save(&call, &names).await
}

async fn save_many(call: Call) -> ApiResult<Answer> {
    let names: Vec<String> = call
        .query
        .all("names")
        .iter()
        .flat_map(|names| names.split(','))
        .map(str::to_owned)
        .collect();
    save(&call, &names).await
}

async fn save(call: &Call, names: &[String]) -> ApiResult<Answer> {
    let images = &call.engine().images;
    if let Some(wanted) = wanted_platform(call)? {
        for name in names {
            if wanted.rank(&images.get(name)?.platform).is_none() {
                return Err(ApiError::not_found(format!(
                    "no suitable export target found for platform {wanted}"
                )));
            }
        }
    }
    let archive = images.save(names).await?;
    Ok(answer::stream("application/x-tar", archive))
}

/// Returns the platform that a client asks for, in the form of the image specification.
fn wanted_platform(call: &Call) -> ApiResult<Option<Platform>> {
    if !call.version.at_least(PLATFORM) {
        return Ok(None);
    }
    if call.query.all("platform").len() > 1 {
        return Err(ApiError::bad_request("multiple platform parameters not supported"));
    }
    match call.query.text("platform") {
        "" => Ok(None),
        text => platform_of(text).map(Some),
    }
}

/// Clients before this cannot ask for a platform.
const PLATFORM: u16 = 48;

/// Pulling could be asked for one much earlier.
const PLATFORM_OF_PULL: u16 = 32;

/// Pushing could be asked for one earlier.
const PLATFORM_OF_PUSH: u16 = 46;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (name, tag, expected) in [
            ("busybox", "", "docker.io/library/busybox:latest".to_owned()),
            ("busybox", "1", "docker.io/library/busybox:1".to_owned()),
            ("busybox:1", "", "docker.io/library/busybox:1".to_owned()),
            ("localhost:5000/a/b", "t", "localhost:5000/a/b:t".to_owned()),
            ("busybox", &digest, format!("docker.io/library/busybox@{digest}")),
        ] {
            assert_eq!(join_reference(name, tag).expect(name).to_string(), expected);
        }
        assert_eq!(
            join_reference("HB", "").expect_err("upper case").message(),
            "invalid reference format: repository name (library/HB) must be lowercase"
        );
        assert_eq!(
            join_reference("a::", "").expect_err("malformed").message(),
            "invalid reference format"
        );
        assert_eq!(
            join_reference("", "").expect_err("empty").message(),
            "invalid reference format"
        );
    }
}
