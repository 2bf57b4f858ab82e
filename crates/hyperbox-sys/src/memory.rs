// SPDX-License-Identifier: MIT
//! Memory of this process that it does not need now.
//!
//! The kernel maps a program's code around each place that is used (`fault_around_bytes`), so after a while nearly all of a big
//! program counts as resident. Code that is unmapped is still in the page cache, from where it comes back by minor faults, but the
//! kernel can drop it before it drops what somebody uses.

use std::io;
use std::ops::Range;

/// Unmaps this program's own code, and gives unused heap memory back. Returns how many bytes of code were looked at.
///
/// What is used afterwards comes back at once. Breakpoints that a debugger has set in the code are lost.
///
/// # Errors
/// `/proc/self` cannot be read, or what `madvise(2)` says.
pub fn release_unused() -> io::Result<usize> {
    crate::fork::trim_heap();
    let program = std::fs::read_link("/proc/self/exe")?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let Some(program) = program.to_str() else {
        return Ok(0);
    };
    let mut bytes = 0;
    for range in code(&maps, program) {
        let start = std::ptr::without_provenance_mut::<libc::c_void>(range.start);
        // SAFETY: the range is executable, not writable and a private mapping of this program's file, so its pages are the file's
        // own: position-independent code has no relocations, and the kernel refuses writes to a running program (`ETXTBSY`).
        // MADV_DONTNEED of such pages drops the mapping only; the next access, of any thread, finds the same bytes in the file.
        if unsafe { libc::madvise(start, range.len(), libc::MADV_DONTNEED) } != 0 {
            return Err(io::Error::last_os_error());
        }
        bytes += range.len();
    }
    Ok(bytes)
}

/// Finds the mappings of a program's code in the text of `/proc/PID/maps` (`proc_pid_maps(5)`).
fn code<'a>(maps: &'a str, program: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    maps.lines().filter_map(move |line| {
        let mut words = line.splitn(6, ' ');
        let (range, permissions) = (words.next()?, words.next()?);
        let path = words.nth(3)?.trim_start();
        let (start, end) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        (permissions == "r-xp" && path == program).then_some(number(start)?..number(end)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d000000000-55d000100000 r--p 00000000 fe:00 77                         /opt/a b/hyperboxd
55d000100000-55d000900000 r-xp 00100000 fe:00 77                         /opt/a b/hyperboxd
55d000900000-55d000a00000 rw-p 00900000 fe:00 77                         /opt/a b/hyperboxd
7f0000000000-7f0000100000 r-xp 00000000 fe:00 78                         /lib/libc.so.6
7f0000100000-7f0000101000 rw-p 00000000 00:00 0 
7ffff0000000-7ffff0002000 r-xp 00000000 00:00 0                          [vdso]
";

    #[test]
    fn only_the_programs_own_code_is_found() {
        let mut found = code(MAPS, "/opt/a b/hyperboxd");
        assert_eq!(found.next(), Some(0x55d0_0010_0000..0x55d0_0090_0000));
        assert_eq!(found.next(), None);
        assert_eq!(code(MAPS, "/elsewhere").count(), 0);
    }

    #[test]
    fn the_program_goes_on() {
        assert!(release_unused().unwrap() > 0);
        assert!(release_unused().unwrap() > 0, "and finds its code again");
    }
}
