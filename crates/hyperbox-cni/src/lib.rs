// SPDX-License-Identifier: MIT
//! Container networks by plugins that speak the Container Network Interface, <https://www.cni.dev/docs/spec/>.
//!
//! [`CniDriver`] implements core's `NetworkDriver` for networks that an administrator describes by a list of plugins. Below it lie, from
//! pure to effectful:
//! - `version`, `list`, `result`, `invocation`, `failure`: what the specification says about texts, tested as tables and properties;
//! - `endpoint`: what a plugin's result means to the engine, and what is remembered of it;
//! - `plugin`: one program, run with bounds on time and output; `chain`: all programs of a list, in order;
//! - `namespace`: how a program finds a namespace that has no name; `journal`: what survives a crash; `order`: who waits for whom;
//!   `stand_in`: what DEL is shown in place of a namespace that is gone;
//! - `work`: what happens in tasks of its own; `driver`: what the seam promises.
//!
//! The formats read are those of versions 0.3.0 to 1.1.0. Plugins are executed as the daemon's user: whoever may create networks
//! may run programs, which is no more than whoever may create containers can do anyway.
#![forbid(unsafe_code)]

mod chain;
mod choice;
mod config;
mod driver;
mod endpoint;
mod failure;
mod invocation;
mod journal;
mod list;
mod namespace;
mod order;
mod plugin;
mod ports;
mod result;
mod source;
mod stand_in;
mod version;
mod work;

pub use config::Config;
pub use driver::CniDriver;
pub use ports::PORT_MAPPINGS;
