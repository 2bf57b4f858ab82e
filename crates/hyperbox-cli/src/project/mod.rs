// SPDX-License-Identifier: MIT
//! Projects on the client's side: files are found, read and resolved here, images are built here, and what the daemon does is shown here.
//!
//! ```text
//! options   -f, -p, --profile, --env-file, --project-directory
//! opening   folder or files ─▶ Opened: the resolved model, what hyperbox.toml adds, and how it was found. Pure but for reading files
//! sending   Opened ─▶ the daemon's record
//! building  images of services, side by side
//! progress  what the daemon tells of a run, as a live view, lines or JSON
//! following output and ends of containers; lines: each line with its container in front
//! attached  `hb up` in the foreground: all of that in one loop
//! ```

pub(crate) mod attached;
pub(crate) mod building;
pub(crate) mod following;
mod limits;
mod lines;
mod opening;
mod options;
mod overlay;
pub(crate) mod progress;
mod recording;
mod sending;

pub(crate) use lines::{Colours, LinePrinter};
pub(crate) use opening::{Opened, World, open, open_and_explain, open_name};
pub(crate) use options::ProjectOptions;
pub(crate) use recording::Recording;
pub(crate) use sending::{credentials, open_and_up, send};
