//! How soon this thread gets the processor, for as long as a lock is held that others wait for.

use std::ffi::c_int;
use std::io;

use super::checked;

/// This thread before all that ordinary users run. Dropping it restores what was.
///
/// Who calls a setuid program chooses its class, its niceness and the processors it may run on
/// (sched(7)), and may keep those busy: at idle priority the program would hold a lock for as long
/// as its caller likes.
pub(super) struct Scheduling {
    former: Attributes,
}

impl Scheduling {
    /// Puts this thread before others where an ordinary user may have put it behind them and the
    /// system lets it: in the class SCHED_FIFO, or else, as in a unit with RestrictRealtime=, at the
    /// best niceness. `None` if it stays where it is.
    pub(super) fn raise() -> Option<Scheduling> {
        let former = Attributes::of_this_thread().ok()?;
        if former.is_first() || !is_setuid_program() && former.is_ordinary() {
            return None;
        }
        let raised = [Attributes::FIFO, Attributes::NOT_NICE];
        raised
            .into_iter()
            .any(|attributes| attributes.set().is_ok())
            .then(|| Scheduling { former })
    }
}

impl Drop for Scheduling {
    fn drop(&mut self) {
        if self.former.set().is_err() {
            // Who has no right to come before others must not stay there.
            let _ = Attributes::ORDINARY.set();
        }
    }
}

/// Whether the program was started with other rights than its caller's, whatever it has done to its
/// users since.
fn is_setuid_program() -> bool {
    // SAFETY: getauxval(3) takes a number and reads what the kernel gave this process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// `struct sched_attr` of sched_setattr(2), in its first version.
#[repr(C)]
#[derive(Clone, Copy)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

impl Attributes {
    const ORDINARY: Attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice: 0,
        priority: 0,
        runtime: 0,
        deadline: 0,
        period: 0,
    };
    /// For this thread alone, not for a process that a name service starts meanwhile.
    const RESET_ON_FORK: u64 = 1; // SCHED_FLAG_RESET_ON_FORK, <linux/sched.h>
    const FIFO: Attributes = Attributes {
        policy: libc::SCHED_FIFO as u32,
        flags: Attributes::RESET_ON_FORK,
        priority: 1,
        ..Attributes::ORDINARY
    };
    const NOT_NICE: Attributes = Attributes {
        flags: Attributes::RESET_ON_FORK,
        nice: -20,
        ..Attributes::ORDINARY
    };

    /// Whether the thread comes before ordinary ones as it is.
    fn is_first(&self) -> bool {
        const DEADLINE: c_int = 6; // SCHED_DEADLINE, <linux/sched.h>
        [libc::SCHED_FIFO, libc::SCHED_RR, DEADLINE].contains(&(self.policy as c_int))
    }

    /// Whether the thread waits for the processor no longer than others.
    fn is_ordinary(&self) -> bool {
        self.policy == Attributes::ORDINARY.policy && self.nice <= Attributes::ORDINARY.nice
    }

    fn of_this_thread() -> io::Result<Attributes> {
        let mut attributes = Attributes::ORDINARY;
        // SAFETY: sched_getattr(2) writes at most `size` bytes to `attributes`, which has as many.
        checked(unsafe {
            libc::syscall(
                libc::SYS_sched_getattr,
                0,
                &raw mut attributes,
                attributes.size,
                0,
            )
        } as c_int)?;
        Ok(attributes)
    }

    /// The system call itself: not every C library has a function for it.
    fn set(&self) -> io::Result<()> {
        // SAFETY: sched_setattr(2) reads as many bytes of `self` as its first field says.
        checked(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *self, 0) } as c_int)
            .map(drop)
    }
}
