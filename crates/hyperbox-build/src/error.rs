// SPDX-License-Identifier: MIT
//! Why a build failed: what, in which step, and where in the Dockerfile.

use hyperbox_core::ServiceError;
use hyperbox_dockerfile::{GraphError, Lines, ParseError};
use hyperbox_types::ErrorKind;

use crate::context::TreeError;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The command of a RUN ended with a failure. The sentence is BuildKit's.
    #[error("process {command:?} did not complete successfully: exit code: {code}")]
    Exit {
        /// The command, its words joined by spaces.
        command: String,
        /// Its exit code; 128 and the number of the signal that ended it.
        code: i32,
        /// The last of what it wrote, at most some lines.
        tail: Vec<u8>,
    },
    /// What was asked for is not possible; the sentence is for the user.
    #[error("{message}")]
    Refused {
        /// The class.
        kind: ErrorKind,
        /// Why, naming what.
        message: String,
    },
    /// The engine failed.
    #[error("{0}")]
    Service(ServiceError),
    /// What the step reads failed.
    #[error("{doing}")]
    Tree {
        /// What was being done with it.
        doing: String,
        /// Why it failed.
        #[source]
        source: TreeError,
    },
    /// Nobody waits for it any more.
    #[error("context canceled")]
    Cancelled,
}

impl From<ServiceError> for StepError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl StepError {
    /// Makes an error of class `InvalidArgument`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Refused {
            kind: ErrorKind::InvalidArgument,
            message: message.into(),
        }
    }

    /// Makes an error of class `NotFound`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::Refused {
            kind: ErrorKind::NotFound,
            message: message.into(),
        }
    }

    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Exit { .. } => ErrorKind::FailedPrecondition,
            Self::Refused { kind, .. } => *kind,
            Self::Service(error) => error.kind(),
            Self::Tree { source, .. } => source.kind(),
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }
}

/// Why a build failed. Cheap to clone: stages that wait for the same one fail for the same reason.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile is malformed, or a word in it cannot be evaluated.
    #[error("{message}")]
    Dockerfile {
        /// Docker's sentence.
        message: String,
        /// Where; `None` when it is the whole file.
        lines: Option<Lines>,
    },
    /// A step failed.
    #[error("{source}")]
    Step {
        /// Its name as events tell it, such as `[2/3] RUN make`.
        name: String,
        /// Where it is.
        lines: Option<Lines>,
        /// Why. Shared with everybody who waited for the same step.
        source: std::sync::Arc<StepError>,
    },
    /// The request cannot be fulfilled.
    #[error("{message}")]
    Refused {
        /// The class.
        kind: ErrorKind,
        /// Why.
        message: String,
    },
    /// The base image of a stage cannot be had.
    #[error("{message}")]
    Base {
        /// The class.
        kind: ErrorKind,
        /// Why, in Docker's words.
        message: String,
        /// The FROM line.
        lines: Option<Lines>,
    },
    /// The engine failed.
    #[error("{0}")]
    Service(std::sync::Arc<ServiceError>),
    /// The client does not wait any more.
    #[error("context canceled")]
    Cancelled,
}

impl BuildError {
    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Dockerfile { .. } => ErrorKind::InvalidArgument,
            Self::Step { source, .. } => source.kind(),
            Self::Refused { kind, .. } | Self::Base { kind, .. } => *kind,
            Self::Service(error) => error.kind(),
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }

    /// Returns where in the Dockerfile it is, for [`Lines::excerpt`].
    pub fn lines(&self) -> Option<Lines> {
        match self {
            Self::Dockerfile { lines, .. } | Self::Step { lines, .. } | Self::Base { lines, .. } => *lines,
            _ => None,
        }
    }
}

impl From<ServiceError> for BuildError {
    fn from(error: ServiceError) -> Self {
        Self::Service(std::sync::Arc::new(error))
    }
}

impl From<ParseError> for BuildError {
    fn from(error: ParseError) -> Self {
        Self::Dockerfile {
            message: error.to_string(),
            lines: error.lines,
        }
    }
}

impl From<GraphError> for BuildError {
    fn from(error: GraphError) -> Self {
        let lines = error.lines().first().copied();
        Self::Dockerfile {
            message: error.to_string(),
            lines,
        }
    }
}

/// Returns an error's sentence for people: with its causes, unless the sentence has them already.
pub fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}
