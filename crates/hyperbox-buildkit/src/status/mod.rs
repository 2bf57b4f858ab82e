// SPDX-License-Identifier: MIT
//! What clients see of a build: events become BuildKit's `Status` stream, errors become statuses with the place in the Dockerfile.

mod course;
mod failure;
mod loading;
mod translate;

pub(crate) use course::{Course, Reader};
pub(crate) use failure::{Definition, failure};
pub(crate) use loading::Loading;
