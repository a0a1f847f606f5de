//! The time that one login may take.

use std::cell::Cell;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long one login may wait and compute, [`Deadline::LIMIT`] in all: for locks, for editors, for
/// hashes of PINs, however often it begins anew. The time that a person takes to answer does not
/// count.
pub struct Deadline {
    end: Cell<Instant>,
    /// Counted as well, so that a clock that stands still cannot make a login wait for ever.
    slept: Cell<Duration>,
    /// The next wait; each is longer than the one before.
    next: Cell<Duration>,
}

impl Deadline {
    /// How long that is.
    pub const LIMIT: Duration = Duration::from_secs(10);
    const SHORTEST_WAIT: Duration = Duration::from_micros(50);
    const LONGEST_WAIT: Duration = Duration::from_millis(5);
    /// Who has waited for so long need not ask so often: many may wait at once.
    const LONG: Duration = Duration::from_secs(1);
    const LONGEST_WAIT_THEN: Duration = Duration::from_millis(50);

    /// Begins to count.
    pub fn begin() -> Deadline {
        Deadline {
            end: Cell::new(Instant::now() + Self::LIMIT),
            slept: Cell::new(Duration::ZERO),
            next: Cell::new(Self::SHORTEST_WAIT),
        }
    }

    /// Whether the time is up.
    pub fn is_over(&self) -> bool {
        self.slept.get() >= Self::LIMIT || Instant::now() >= self.end.get()
    }

    /// Does something whose time does not count.
    pub fn except<T>(&self, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = work();
        self.end.set(self.end.get() + begin.elapsed());
        result
    }

    /// Waits before another try; `false` if the time is up.
    pub(crate) fn wait(&self) -> bool {
        let next = self.next.get();
        let longest = match self.slept.get() < Self::LONG {
            true => Self::LONGEST_WAIT,
            false => Self::LONGEST_WAIT_THEN,
        };
        self.next.set((next * 2).min(longest));
        self.sleep(next)
    }

    /// Waits so long; `false`, at once, if the time is up.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        if self.is_over() {
            return false;
        }
        sleep(time);
        self.slept.set(self.slept.get() + time);
        true
    }

    /// After a lock was taken: the waits for the next one begin with the shortest.
    pub(super) fn restart_waits(&self) {
        self.next.set(Self::SHORTEST_WAIT);
    }
}
