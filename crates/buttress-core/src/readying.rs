//! Waits that happen inside a future, told to whoever polls it.
//!
//! A layer that makes its inner service ready inside the future of a call, because it could not do so
//! before (C3), holds a [`ReadyingWait`] for as long as that takes. Whoever measures the call looks
//! at the [`Waits`] of its thread before and after each poll: what is different has happened inside.
//! Nothing is passed along, so a call that does not wait pays nothing, and one that is
//! abandoned while it waits is known to.
//!
//! It ends at a task's border: what is polled by another task is polled by somebody else.

use std::cell::Cell;

thread_local! {
    static WAITS: Cell<Waits> = const { Cell::new(Waits { begun: 0, ended: 0 }) };
}

/// A call waits for its service to be ready, until this is dropped.
#[derive(Debug)]
#[must_use = "the wait is over when this is dropped"]
pub struct ReadyingWait(());

/// How many [`ReadyingWait`]s have begun and ended on a thread, ever. Both wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    begun: u32,
    ended: u32,
}

impl ReadyingWait {
    /// The wait begins.
    #[cold]
    pub fn begin() -> Self {
        tell(|waits| waits.begun = waits.begun.wrapping_add(1));
        Self(())
    }
}

impl Drop for ReadyingWait {
    fn drop(&mut self) {
        tell(|waits| waits.ended = waits.ended.wrapping_add(1));
    }
}

impl Waits {
    /// Those of this thread up to now. Takes a load.
    #[inline]
    pub fn so_far() -> Self {
        WAITS.get()
    }

    /// How many have begun, and how many have ended, since there were those of `earlier` on the same thread.
    pub const fn since(self, earlier: Self) -> (u32, u32) {
        (
            self.begun.wrapping_sub(earlier.begun),
            self.ended.wrapping_sub(earlier.ended),
        )
    }
}

fn tell(change: impl FnOnce(&mut Waits)) {
    let mut waits = WAITS.get();
    change(&mut waits);
    WAITS.set(waits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_to_the_thread_that_it_begins_and_ends_on() {
        let before = Waits::so_far();
        let wait = ReadyingWait::begin();
        assert_eq!(Waits::so_far().since(before), (1, 0));
        std::thread::spawn(|| {
            let before = Waits::so_far();
            drop(wait);
            assert_eq!(Waits::so_far().since(before), (0, 1));
        })
        .join()
        .unwrap();
        assert_eq!(Waits::so_far().since(before), (1, 0));
    }
}
