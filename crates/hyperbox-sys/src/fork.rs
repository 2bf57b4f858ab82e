// SPDX-License-Identifier: MIT
//! `fork(2)` for single-threaded processes, and what a freshly forked supervisor sets right.
//!
//! Only the launcher forks, and it has one thread; that is verified on each call, because in a process with more threads the
//! child could find any lock (the allocator's first) held for ever.

use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::process::Pid;

/// On which side of a fork the caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// In the old process; the child's id.
    Parent(Pid),
    /// In the new process.
    Child,
}

/// Duplicates this process.
///
/// # Errors
/// `Unsupported` when the process has more than one thread; what `fork(2)` says otherwise.
pub fn fork() -> io::Result<Forked> {
    // A directory's links are itself, its name and its directories: here one for each thread (`proc_task_getattr`, fs/proc/base.c).
    if std::fs::metadata("/proc/self/task")?.nlink() != 3 {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "cannot fork a process that has several threads",
        ));
    }
    // SAFETY: the process has exactly one thread (checked above, and no other thread exists that could start one), so
    // the child's copy of every lock and of the heap is consistent and all of Rust may be used in it.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Pid::from_raw(pid)
            .map(Forked::Parent)
            .ok_or_else(|| io::Error::other("fork returned no process id")),
    }
}

/// Moves this process into a mount namespace of its own, from which nothing propagates back.
///
/// # Errors
/// What `unshare(2)` or `mount(2)` says.
pub fn unshare_mounts() -> io::Result<()> {
    // SAFETY: CLONE_NEWNS (with the CLONE_FS that it implies) changes no memory and no file descriptor table.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    rustix::mount::mount_change(
        "/",
        rustix::mount::MountPropagationFlags::DOWNSTREAM | rustix::mount::MountPropagationFlags::REC,
    )?;
    Ok(())
}

/// Gives unused heap memory back to the kernel, where the C library can.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes no pointers and may be called at any time; its result only says whether it did anything.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Closes every file descriptor from `first` on. For the start of a program, before it has opened anything itself.
///
/// # Errors
/// What `close_range(2)` says.
pub fn close_inherited_from(first: u32) -> io::Result<()> {
    // SAFETY: called before the program owns descriptors in that range, so no `OwnedFd` refers to one of them.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        assert_eq!(fork().unwrap_err().kind(), io::ErrorKind::Unsupported);
        drop(release);
        assert!(thread.join().unwrap().is_err());
    }
}
