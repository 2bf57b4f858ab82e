// SPDX-License-Identifier: MIT
//! What differs between operating systems: the terminal (size, raw mode, signals) and other processes.
//!
//! Raw mode must end on every way out: [`RawMode`] restores when it is dropped, also by a panic, and the signal thread calls
//! `restore` before it lets a signal end the program. What was changed is kept in one static, because a signal can come at
//! any time and on any thread.

#[cfg(unix)]
mod process;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use process::{
    ProcessState, ask_to_end, become_program, detach_from_terminal, free_space, is_administrator, machine_name,
    mode_open_to_others, process_state,
};
#[cfg(unix)]
pub(crate) use unix::{RawMode, SignalEvent, size, watch_interrupts, watch_signals, without_echo};

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
pub(crate) use other::{
    ProcessState, RawMode, SignalEvent, ask_to_end, become_program, detach_from_terminal, free_space, is_administrator,
    machine_name, mode_open_to_others, process_state, size, watch_interrupts, watch_signals, without_echo,
};
