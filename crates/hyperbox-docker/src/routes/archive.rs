// SPDX-License-Identifier: MIT
//! Files of containers: look, copy out, copy in, export.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use hyperbox_core::container::CopyInto;
use hyperbox_core::seam::{PathStat, Replace};
use serde::Serialize;

use crate::answer::{self, Answer, status};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[
    route!(Get "/containers/{id}/archive" => read),
    route!(Put "/containers/{id}/archive" => write),
    route!(Get "/containers/{id}/export" => export),
];

const STAT: &str = "x-docker-container-path-stat";

/// The header that describes what is at a path.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    name: String,
    size: u64,
    mode: u32,
    mtime: String,
    link_target: String,
}

/// Translates `st_mode` to Go's `os.FileMode` (`io/fs`, "The defined file mode bits").
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o060_000 => 1 << 26,
        0o020_000 => 1 << 26 | 1 << 21,
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        _ => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special.into_iter().filter(|(bit, _)| mode & bit != 0);
    special.fold(kind | (mode & 0o777), |all, (_, bit)| all | bit)
}

fn described(stat: PathStat) -> ApiResult<HeaderValue> {
    let document = Described {
        name: stat.name,
        size: stat.size,
        mode: go_mode(stat.mode),
        mtime: stat.modified_at.to_string(),
        link_target: stat.link_target,
    };
    let internal = |_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "cannot describe the path");
    let json = serde_json::to_vec(&document).map_err(internal)?;
    HeaderValue::from_str(&STANDARD.encode(json))
        .map_err(|_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "cannot describe the path"))
}

/// Returns the path that a request is about.
fn path(call: &Call) -> ApiResult<&str> {
    match call.query.text("path") {
        // Docker's own words, missing space included.
        "" => Err(ApiError::bad_request("bad parameter: pathcannot be empty")),
        path if path.contains('\0') => Err(ApiError::bad_request("bad parameter: path holds a NUL")),
        path => Ok(path),
    }
}

async fn read(call: Call) -> ApiResult<Answer> {
    let (id, path) = (call.parameter("id"), path(&call)?);
    let containers = &call.engine().containers;
    let (stat, mut response) = if call.head.method == Method::HEAD {
        let stat = containers.stat_path(id, path).await?;
        (stat, status(StatusCode::OK))
    } else {
        let (stat, archive) = containers.read_path(id, path).await?;
        (stat, answer::stream("application/x-tar", archive))
    };
    response.headers_mut().insert(STAT, described(stat)?);
    Ok(response)
}

async fn write(mut call: Call) -> ApiResult<Answer> {
    call.body.is_upload();
    let how = CopyInto {
        replace: if call.query.flag("noOverwriteDirNonDir") {
            Replace::SameKind
        } else {
            Replace::Anything
        },
        to_own_user: call.query.flag("copyUIDGID"),
    };
    let path = path(&call)?.to_owned();
    let id = call.parameter("id").to_owned();
    let containers = call.engine().containers.clone();
    let body = (&mut call.body).into_data_stream().map_err(std::io::Error::other);
    containers.write_path(&id, &path, how, body).await?;
    Ok(status(StatusCode::OK))
}

async fn export(call: Call) -> ApiResult<Answer> {
    let archive = call.engine().containers.export(call.parameter("id")).await?;
    Ok(answer::stream("application/octet-stream", archive))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        for (mode, expected) in [
            (0o040_755, 2_147_484_141),
            (0o120_777, 134_218_239),
            (0o100_644, 420),
            (0o010_644, 33_554_852),
            (0o020_666, 69_206_454),
            (0o060_660, 67_109_296),
            (0o140_755, 16_777_709),
            (0o104_755, 8_389_101),
            (0o102_755, 4_194_797),
            (0o041_777, 2_148_532_735),
        ] {
            assert_eq!(go_mode(mode), expected, "{mode:o}");
        }
    }
}
