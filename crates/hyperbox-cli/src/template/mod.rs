// SPDX-License-Identifier: MIT
//! The subset of Go's `text/template` that `--format` needs, with Docker's extra functions.
//!
//! Text in, [`Value`]s in, text out; nothing here knows about containers. Fields, variables, pipelines, `if`, `range`, `with`,
//! comparisons, `index`, `len`, `printf` and Docker's `json`, `join`, `split`, `lower`, `upper`, `title`, `pad`, `truncate`
//! are there; `define`, `template` and `block` are refused.

mod eval;
mod functions;
mod lexer;
mod parser;
mod printf;
mod value;

pub(crate) use value::{Shape, Value, hidden};

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template {
    nodes: Vec<parser::Node>,
}

/// Why a template cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("template parsing error: {0}")]
pub(crate) struct TemplateError(String);

impl TemplateError {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl Template {
    /// Parses a template.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let tokens = lexer::tokenize(text)?;
        Ok(Self {
            nodes: parser::parse(&tokens)?,
        })
    }

    /// Renders one value.
    pub(crate) fn render(&self, data: &Value) -> Result<String, TemplateError> {
        eval::render(&self.nodes, data)
    }
}

#[cfg(test)]
mod tests;
