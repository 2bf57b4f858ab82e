// SPDX-License-Identifier: MIT
//! A program that is measured: one command line, with what must happen before and after it. Shared with `hb bench`.

pub(crate) use hyperbox_bench::Contender;
