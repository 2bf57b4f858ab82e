// SPDX-License-Identifier: MIT
//! The smallest init as a program: `init -- COMMAND [ARGUMENT …]`, for containers whose runtime is not ours.
//!
//! It does what `hyperbox_sys::init` does inside the shim: runs one command, passes signals on to it, reaps orphans, and ends as
//! the command did. It has to run in any root filesystem, so it needs none: no library, no allocation, system calls only, a few
//! kilobytes. `build.rs` compiles it by itself; `hyperbox_sys::init::PROGRAM` is the result.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

#[cfg(target_arch = "x86_64")]
mod number {
    pub const WRITE: usize = 1;
    pub const SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const SETPGID: usize = 109;
    pub const PRCTL: usize = 157;
    pub const SIGTIMEDWAIT: usize = 128;
    pub const GETPID: usize = 39;
    pub const EXIT_GROUP: usize = 231;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub const WRITE: usize = 64;
    pub const SIGPROCMASK: usize = 135;
    pub const IOCTL: usize = 29;
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    pub const WAIT4: usize = 260;
    pub const KILL: usize = 129;
    pub const SETPGID: usize = 154;
    pub const PRCTL: usize = 167;
    pub const SIGTIMEDWAIT: usize = 137;
    pub const GETPID: usize = 172;
    pub const EXIT_GROUP: usize = 94;
}

const SIGCHLD: usize = 17;
const SIG_SETMASK: usize = 2;
const PR_SET_CHILD_SUBREAPER: usize = 36;
const TIOCSPGRP: usize = 0x5410;
const WNOHANG: usize = 1;
const ENOENT: isize = -2;
const ENOTDIR: isize = -20;
const EACCES: isize = -13;
const ENAMETOOLONG: isize = -36;

/// All 64 signals, and the size of such a set.
static ALL: u64 = u64::MAX;
const SET_SIZE: usize = 8;

// The kernel starts a program with the stack pointer at argc (System V ABI, "Process Initialization").
#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {begin}", begin = sym begin);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, xzr", "mov x0, sp", "bl {begin}", begin = sym begin);

/// Calls the kernel.
///
/// # Safety
/// Pointers among the arguments are what this call expects.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, arguments: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: the registers are those of the x86-64 system call convention; the caller answers for the arguments.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") arguments[0], in("rsi") arguments[1],
             in("rdx") arguments[2], in("r10") arguments[3], in("r8") arguments[4], out("rcx") _, out("r11") _, options(nostack));
    }
    result
}

/// Calls the kernel.
///
/// # Safety
/// Pointers among the arguments are what this call expects.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, arguments: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: the registers are those of the arm64 system call convention; the caller answers for the arguments.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") arguments[0] as isize => result, in("x1") arguments[1],
             in("x2") arguments[2], in("x3") arguments[3], in("x4") arguments[4], options(nostack));
    }
    result
}

unsafe extern "C" fn begin(stack: *const usize) -> ! {
    // SAFETY: the stack holds argc, argc pointers and a null, then the environment's pointers and a null.
    unsafe {
        let count = *stack;
        let arguments = stack.add(1).cast::<*const u8>();
        let environment = stack.add(count + 2).cast::<*const u8>();
        // The first two are the program itself and `--`.
        if count < 3 {
            exit(2);
        }
        let mut before = 0_u64;
        call(
            number::SIGPROCMASK,
            [
                SIG_SETMASK,
                &raw const ALL as usize,
                &raw mut before as usize,
                SET_SIZE,
                0,
            ],
        );
        call(number::PRCTL, [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0]);
        match call(number::CLONE, [SIGCHLD, 0, 0, 0, 0]) {
            0 => become_command(arguments.add(2), environment, &before),
            child if child > 0 => supervise(child as usize),
            _ => exit(126),
        }
    }
}

/// Waits for signals: passes them on, reaps, and ends with the command.
unsafe fn supervise(command: usize) -> ! {
    loop {
        // SAFETY: the set outlives the call; no information and no timeout are wanted.
        let signal = unsafe { call(number::SIGTIMEDWAIT, [&raw const ALL as usize, 0, 0, SET_SIZE, 0]) };
        if signal == SIGCHLD as isize {
            // SAFETY: as required by this function.
            unsafe { reap(command) };
        } else if signal > 0 {
            // SAFETY: the command is not reaped yet, so its number means no other process.
            unsafe { call(number::KILL, [command, signal as usize, 0, 0, 0]) };
        }
    }
}

unsafe fn reap(command: usize) {
    let mut code = None;
    loop {
        let mut status = 0_i32;
        // SAFETY: `status` is a live integer.
        let pid = unsafe { call(number::WAIT4, [usize::MAX, &raw mut status as usize, WNOHANG, 0, 0]) };
        if pid <= 0 {
            break;
        }
        if pid as usize == command {
            let signal = status & 0x7f;
            code = Some(if signal == 0 { status >> 8 & 0xff } else { 128 + signal });
        }
    }
    if let Some(code) = code {
        exit(code as usize);
    }
}

/// Becomes the command, in a process group of its own that has the terminal, if there is one.
unsafe fn become_command(arguments: *const *const u8, environment: *const *const u8, mask: &u64) -> ! {
    // SAFETY: both lists end with a null pointer, their strings with a zero byte; the mask outlives the call.
    unsafe {
        let own = call(number::GETPID, [0; 5]) as i32;
        call(number::SETPGID, [0; 5]);
        // All signals are blocked, so SIGTTOU does not stop this background group (`tcsetpgrp(3)`).
        call(number::IOCTL, [0, TIOCSPGRP, &raw const own as usize, 0, 0]);
        call(
            number::SIGPROCMASK,
            [SIG_SETMASK, mask as *const u64 as usize, 0, SET_SIZE, 0],
        );
        let error = find_and_execute(arguments, environment);
        complain(*arguments);
        exit(if error == ENOENT { 127 } else { 126 })
    }
}

/// Executes the command, looked for in `PATH` when its name has no slash. Returns why it could not.
unsafe fn find_and_execute(arguments: *const *const u8, environment: *const *const u8) -> isize {
    // SAFETY: as for `become_command`; `path` always ends with a zero byte that is written before it is used.
    unsafe {
        let name = *arguments;
        if contains(name, b'/') {
            return call(
                number::EXECVE,
                [name as usize, arguments as usize, environment as usize, 0, 0],
            );
        }
        let mut worst = ENOENT;
        let mut directory = search_path(environment);
        loop {
            let mut length = 0;
            while *directory != 0 && *directory != b':' {
                length = append(length, *directory);
                directory = directory.add(1);
            }
            if length == 0 {
                length = append(length, b'.');
            }
            length = append(length, b'/');
            let mut rest = name;
            while *rest != 0 {
                length = append(length, *rest);
                rest = rest.add(1);
            }
            append(length, 0);
            let error = call(
                number::EXECVE,
                [
                    &raw const CANDIDATE as usize,
                    arguments as usize,
                    environment as usize,
                    0,
                    0,
                ],
            );
            match error {
                ENOENT | ENOTDIR | ENAMETOOLONG => {}
                EACCES => worst = EACCES,
                other => return other,
            }
            if *directory == 0 {
                return worst;
            }
            directory = directory.add(1);
        }
    }
}

/// The path that is tried. Not on the stack, where clearing it would need a function of the C library.
static mut CANDIDATE: [u8; LONGEST] = [0; LONGEST];
const LONGEST: usize = 4096;

/// Appends a byte; a path that is too long is cut, and then names nothing.
unsafe fn append(length: usize, byte: u8) -> usize {
    let (place, byte) = if length + 1 < LONGEST {
        (length, byte)
    } else {
        (LONGEST - 1, 0)
    };
    // SAFETY: the place is inside the buffer, and this program has one thread.
    unsafe { (&raw mut CANDIDATE).cast::<u8>().add(place).write(byte) };
    place + 1
}

unsafe fn search_path(environment: *const *const u8) -> *const u8 {
    // SAFETY: the list ends with a null pointer, its strings with a zero byte.
    unsafe {
        let mut variable = environment;
        while !(*variable).is_null() {
            let text = *variable;
            let mut matching = 0;
            while let Some(byte) = b"PATH=".get(matching)
                && *text.add(matching) == *byte
            {
                matching += 1;
            }
            if matching == 5 {
                return text.add(5);
            }
            variable = variable.add(1);
        }
    }
    c"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        .as_ptr()
        .cast()
}

unsafe fn contains(text: *const u8, wanted: u8) -> bool {
    let mut place = text;
    // SAFETY: the string ends with a zero byte.
    unsafe {
        while *place != 0 && *place != wanted {
            place = place.add(1);
        }
        *place == wanted
    }
}

unsafe fn complain(name: *const u8) {
    // SAFETY: all three end with a zero byte.
    unsafe {
        say(c"cannot execute ".as_ptr().cast());
        say(name);
        say(c"\n".as_ptr().cast());
    }
}

/// Writes a text, byte by byte: its length would need a function of the C library.
unsafe fn say(text: *const u8) {
    let mut place = text;
    // SAFETY: the text ends with a zero byte.
    unsafe {
        while *place != 0 {
            call(number::WRITE, [2, place as usize, 1, 0, 0]);
            place = place.add(1);
        }
    }
}

fn exit(code: usize) -> ! {
    loop {
        // SAFETY: ends the process.
        unsafe { call(number::EXIT_GROUP, [code, 0, 0, 0, 0]) };
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(125)
}
