// SPDX-License-Identifier: MIT
//! Compose files: from their text to one resolved project.
//!
//! What a file may say is described once, in `schema`; every step works by that description. Errors name the file, the line and the key.
//! The oracle is `docker compose config --format json`: the same files give the same document, or fail in both.
//!
//! Source: the Compose specification, <https://github.com/compose-spec/compose-spec/blob/main/spec.md>.

mod check;
mod complete;
mod conform;
mod discover;
mod dotenv;
mod emit;
mod environment;
mod error;
mod extends;
mod files;
mod hosts;
mod include;
mod interpolate;
mod load;
mod merge;
mod mount;
mod name;
mod normalize;
mod path;
mod port;
mod profiles;
mod project;
mod quantity;
mod render;
mod reset;
mod resolve;
mod scalar;
mod schema;
mod shape;
mod short;
mod template;
mod tree;
pub(crate) mod written;
mod yaml;

pub use discover::{Found, discover};
pub use emit::{to_json, to_yaml};
pub use environment::of_files as variables_of_files;
pub use error::{KeyPath, LoadError, Reason};
pub use files::{Disk, Files};
pub use load::{Request, load};
pub use name::is_valid as is_valid_name;
pub use path::file as clean_path;
pub use port::long_forms as long_ports;
pub use project::Project;
pub(crate) use quantity::parse_age;
pub use quantity::{parse_bytes as byte_count, parse_duration as duration_nanoseconds};
