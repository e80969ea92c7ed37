//! A clock that is read once for all that is done in one go.

use std::cell::Cell;

use super::{Instant, read_counter};

thread_local! {
    static MOMENT: Cell<Moment> = const { Cell::new(Moment::Passing) };
}

#[derive(Clone, Copy)]
enum Moment {
    /// Time goes by.
    Passing,
    /// It stands still, at what it will be read as.
    Unread,
    /// It stands still at this.
    Read(Instant),
}

/// Runs `work` in one moment: a clock that goes [by moments](super::Clock::by_moments) is read once on
/// this thread meanwhile, when it is first asked. A moment inside another is the same one.
///
/// For work that takes microseconds, such as one poll: how long it takes itself no such clock sees.
#[inline]
pub fn moment<T>(work: impl FnOnce() -> T) -> T {
    let _passes = Passes(MOMENT.get());
    if matches!(MOMENT.get(), Moment::Passing) {
        MOMENT.set(Moment::Unread);
    }
    work()
}

/// Ends the moment, whatever becomes of the work.
struct Passes(Moment);

impl Drop for Passes {
    #[inline]
    fn drop(&mut self) {
        // What was read inside of another is kept there.
        if matches!(self.0, Moment::Passing) {
            MOMENT.set(Moment::Passing);
        }
    }
}

/// What this moment was read as, if it has been.
#[inline]
pub(super) fn known() -> Option<Instant> {
    match MOMENT.get() {
        Moment::Read(at) => Some(at),
        Moment::Passing | Moment::Unread => None,
    }
}

#[inline]
pub(super) fn now() -> Instant {
    match MOMENT.get() {
        Moment::Read(at) => at,
        Moment::Passing => read_counter(),
        Moment::Unread => {
            let at = read_counter();
            MOMENT.set(Moment::Read(at));
            at
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Clock;
    use super::*;

    /// Until the counter has moved.
    fn pass() {
        let before = read_counter();
        while read_counter() == before {}
    }

    fn stands_still(clock: &Clock) -> bool {
        let before = clock.now();
        pass();
        clock.now() == before
    }

    #[test]
    fn a_clock_by_moments_stands_still_in_each_and_goes_on_after_it() {
        let clock = Clock::by_moments();
        let first = moment(|| {
            assert!(stands_still(&clock));
            assert!(!stands_still(&Clock::monotonic()));
            clock.now()
        });
        assert!(!stands_still(&clock));
        assert!(moment(|| clock.now()) > first);
    }

    #[test]
    fn a_moment_inside_another_is_the_same() {
        let clock = Clock::by_moments();
        moment(|| {
            let inside = moment(|| clock.now());
            pass();
            assert_eq!(clock.now(), inside);
        });
        assert!(!stands_still(&clock));
    }

    #[test]
    fn a_moment_ends_with_a_panic_and_is_one_threads_own() {
        let clock = Clock::by_moments();
        assert!(std::panic::catch_unwind(|| moment(|| panic!("in it"))).is_err());
        assert!(!stands_still(&clock));
        moment(|| {
            let elsewhere = || assert!(!stands_still(&Clock::by_moments()));
            std::thread::scope(|scope| scope.spawn(elsewhere).join().unwrap());
        });
    }
}
