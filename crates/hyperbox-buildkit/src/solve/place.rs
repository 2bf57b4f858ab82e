// SPDX-License-Identifier: MIT
//! Where contexts are: what the values of `context` and `context:NAME` mean (`frontend/dockerui/context.go`, `namedcontext.go`). Pure.

use crate::transport::status::{Code, Status};

/// A context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A directory of the session, by the name that it has there.
    Local(String),
    /// What the client uploads under this address.
    Upload(String),
    /// What comes in a request of its own, for the build of this name.
    Uploaded(String),
    /// An address: git or HTTP.
    Remote(String),
    /// An image.
    Image(String),
    /// The result of another build: a name of `FrontendInputs`.
    Input(String),
    /// Nothing.
    Empty,
}

/// The host of addresses under which a session uploads.
const UPLOADS: &str = "http://buildkit-session/";

/// The host of addresses of what comes in a request of its own; the build's name follows.
pub(crate) const UPLOADED: &str = "http://buildkit-upload/";

/// Reads the main context; `local` is what the session calls it if it is a directory there.
pub(crate) fn main(value: Option<&str>, local: &str) -> Place {
    match value {
        None | Some("") => Place::Local(local.to_owned()),
        Some(address) if address.starts_with(UPLOADS) => Place::Upload(address.to_owned()),
        Some(address) if address.starts_with(UPLOADED) => {
            Place::Uploaded(address.strip_prefix(UPLOADED).unwrap_or_default().to_owned())
        }
        Some(address) if is_remote(address) => Place::Remote(address.to_owned()),
        Some(_) => Place::Local(local.to_owned()),
    }
}

/// Reads a named context.
///
/// # Errors
/// In BuildKit's words for what is no context.
pub(crate) fn named(name: &str, value: &str) -> Result<Place, Status> {
    if is_remote(value) {
        return Ok(Place::Remote(value.to_owned()));
    }
    let unknown = |kind: &str| Status::new(Code::Unknown, format!("unsupported context source {kind} for {name}"));
    let Some((kind, rest)) = value.split_once(':') else {
        return Err(Status::new(
            Code::Unknown,
            format!("invalid context specifier {value} for {name}"),
        ));
    };
    Ok(match kind {
        "docker-image" => match rest.trim_start_matches("//") {
            "scratch" => Place::Empty,
            image => Place::Image(image.to_owned()),
        },
        "local" => Place::Local(rest.to_owned()),
        "input" => Place::Input(rest.to_owned()),
        kind => return Err(unknown(kind)),
    })
}

/// Tells whether something is an address rather than a directory.
fn is_remote(value: &str) -> bool {
    let schemes = ["http://", "https://", "git://", "ssh://", "git@", "github.com/"];
    schemes.iter().any(|scheme| value.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_context() {
        for (value, expected) in [
            (None, Place::Local("l".to_owned())),
            (Some(""), Place::Local("l".to_owned())),
            (
                Some("http://buildkit-session/abc"),
                Place::Upload("http://buildkit-session/abc".to_owned()),
            ),
            (Some("http://buildkit-upload/b"), Place::Uploaded("b".to_owned())),
            (
                Some("https://h/a.git#b:c"),
                Place::Remote("https://h/a.git#b:c".to_owned()),
            ),
            (Some("git@h:a/b"), Place::Remote("git@h:a/b".to_owned())),
        ] {
            assert_eq!(main(value, "l"), expected, "{value:?}");
        }
    }

    #[test]
    fn named_contexts() {
        for (value, expected) in [
            ("docker-image://alpine", Ok(Place::Image("alpine".to_owned()))),
            ("docker-image://scratch", Ok(Place::Empty)),
            ("local:dir", Ok(Place::Local("dir".to_owned()))),
            ("input:base", Ok(Place::Input("base".to_owned()))),
            ("https://h/x.tar", Ok(Place::Remote("https://h/x.tar".to_owned()))),
            (
                "oci-layout://x@sha256:0",
                Err("unsupported context source oci-layout for n"),
            ),
            ("dir", Err("invalid context specifier dir for n")),
        ] {
            let found = named("n", value).map_err(|error| error.message);
            assert_eq!(found, expected.map_err(str::to_owned), "{value}");
        }
    }
}
