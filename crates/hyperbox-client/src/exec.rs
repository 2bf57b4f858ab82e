// SPDX-License-Identifier: MIT
//! Additional processes in running containers.

use serde::Serialize;

use crate::client::{Client, path_segment};
use crate::error::Result;
use crate::http::{Method, Upgraded};
use crate::model::{Created, ExecState};

/// What to execute.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecConfig {
    /// User, in Docker's form `user[:group]`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// With all capabilities.
    pub privileged: bool,
    /// With a terminal.
    pub tty: bool,
    /// Size of the terminal, rows first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u16; 2]>,
    /// Connect standard input.
    pub attach_stdin: bool,
    /// Connect standard error.
    pub attach_stderr: bool,
    /// Connect standard output.
    pub attach_stdout: bool,
    /// The keys that detach.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detach_keys: String,
    /// Environment, `NAME=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Command and arguments.
    pub cmd: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    detach: bool,
    tty: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    console_size: Option<[u16; 2]>,
}

impl Client {
    /// Prepares an additional process; returns its id.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when the container does not run.
    pub fn create_exec(&self, container: &str, config: &ExecConfig) -> Result<String> {
        let created: Created = self
            .request(Method::Post, &format!("/containers/{}/exec", path_segment(container)))
            .json(config)
            .send_json()?;
        Ok(created.id)
    }

    /// Starts it and connects its streams.
    ///
    /// # Errors
    /// Why it cannot start.
    pub fn start_exec(&self, id: &str, config: &ExecConfig) -> Result<Upgraded> {
        let start = Start {
            detach: false,
            tty: config.tty,
            console_size: config.console_size,
        };
        self.request(Method::Post, &format!("/exec/{}/start", path_segment(id)))
            .json(&start)
            .upgrade()
    }

    /// Starts it and leaves it alone.
    ///
    /// # Errors
    /// Why it cannot start.
    pub fn start_exec_detached(&self, id: &str, config: &ExecConfig) -> Result<()> {
        let start = Start {
            detach: true,
            tty: config.tty,
            console_size: config.console_size,
        };
        self.request(Method::Post, &format!("/exec/{}/start", path_segment(id)))
            .json(&start)
            .send_empty()
    }

    /// Returns whether it runs, and its exit code.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn exec_state(&self, id: &str) -> Result<ExecState> {
        self.request(Method::Get, &format!("/exec/{}/json", path_segment(id)))
            .send_json()
    }

    /// Tells the size of the client's terminal.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it does not run.
    pub fn resize_exec(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        self.request(Method::Post, &format!("/exec/{}/resize", path_segment(id)))
            .query("h", &rows.to_string())
            .query("w", &columns.to_string())
            .send_empty()
    }
}
