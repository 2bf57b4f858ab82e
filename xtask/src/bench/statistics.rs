// SPDX-License-Identifier: MIT
//! Order statistics of a series. Shared with `hb bench`.

pub(super) use hyperbox_bench::Summary;
