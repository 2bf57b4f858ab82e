// SPDX-License-Identifier: MIT
//! (header)
