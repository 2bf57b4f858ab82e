// SPDX-License-Identifier: MIT
//! What COPY and ADD make, compared with what Docker Engine 28's builder makes of the same files and instructions.

mod fixture;
mod layers;
mod oracle;
