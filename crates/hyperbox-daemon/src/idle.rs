// SPDX-License-Identifier: MIT
//! An idle daemon gives back memory that it does not need: its code, which the kernel maps far ahead of what runs, and free heap.
//!
//! Whether it is idle is told by the processor time it takes. It looks often while it works, so that it notices the end of that soon,
//! and rarely afterwards: waking up costs energy, too. For a while it gives back what the last timers used, then it only looks. What is
//! needed again comes back by itself.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How often it looks while there was work.
const BUSY_LOOK: Duration = Duration::from_secs(3);
/// How often it looks when it has given something back.
const IDLE_LOOK: Duration = Duration::from_secs(15);
/// How often it gives back what timers used since: pools are emptied after a minute without use.
const GIFTS: u32 = 8;
/// Processor time between two looks that is no work: timers, and looking.
const NOTHING: Duration = Duration::from_millis(5);

/// Gives memory back whenever the daemon has become idle. Ends with the runtime; may be dropped at any time.
pub(crate) async fn give_memory_back() {
    let mut given = 0;
    let mut before = processor_time();
    loop {
        tokio::time::sleep(if given > 0 { IDLE_LOOK } else { BUSY_LOOK }).await;
        if processor_time().saturating_sub(before) > NOTHING {
            given = 0;
        } else if given < GIFTS {
            given += 1;
            // A handful of system calls; a thread of the blocking pool would cost more memory than it frees.
            match hyperbox_sys::memory::release_unused() {
                Ok(bytes) => tracing::trace!(bytes, "code of the idle daemon unmapped"),
                Err(error) => tracing::debug!(%error, "memory not given back"),
            }
        }
        before = processor_time();
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
