//! A clock that moves when it is told to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::{Clock, Instant, Source};

/// A clock for tests and simulation: it stands still until [`ManualClock::advance`].
///
/// ```
/// use buttress_core::clock::ManualClock;
/// use std::time::Duration;
///
/// let time = ManualClock::new();
/// let clock = time.clock();
/// let before = clock.now();
/// time.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now().saturating_since(before), Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<Shared>);

#[derive(Debug, Default)]
pub(super) struct Shared {
    nanos: AtomicU64,
    sleepers: Mutex<Sleepers>,
}

#[derive(Debug, Default)]
struct Sleepers {
    next_id: u64,
    wakers: BTreeMap<(Instant, u64), Waker>,
}

impl ManualClock {
    /// A clock that stands one hour after its origin, so that windows may look back.
    pub fn new() -> Self {
        let clock = Self::default();
        clock.advance(Duration::from_secs(3600));
        clock
    }

    /// The clock to pass into configurations; all of them move together.
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(Arc::clone(&self.0)))
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// Moves time on by `duration` and wakes every sleep that has ended.
    pub fn advance(&self, duration: Duration) {
        let later = |nanos| {
            Some(
                Instant::from_nanos(nanos)
                    .saturating_add(duration)
                    .as_nanos(),
            )
        };
        // One step, so that two threads that advance at once both count.
        let _ = (self.0.nanos).fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
        self.0.wake_due(self.now());
    }

    /// Moves time back by `duration`, as a clock that is read elsewhere may stand behind this one. Sleeps that have ended
    /// stay so.
    pub fn turn_back(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let earlier = |now: u64| Some(now.saturating_sub(nanos));
        let _ = (self.0.nanos).fetch_update(Ordering::AcqRel, Ordering::Acquire, earlier);
    }
}

impl Shared {
    #[inline]
    pub(super) fn now(&self) -> Instant {
        Instant::from_nanos(self.nanos.load(Ordering::Acquire))
    }

    /// Registers `waker` for `deadline` under `key` if there is one, under a new key if not.
    pub(super) fn register(&self, deadline: Instant, key: Option<u64>, waker: &Waker) -> u64 {
        let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        let id = key.unwrap_or_else(|| {
            sleepers.next_id = sleepers.next_id.wrapping_add(1);
            sleepers.next_id
        });
        sleepers.wakers.insert((deadline, id), waker.clone());
        id
    }

    pub(super) fn forget(&self, deadline: Instant, key: u64) {
        let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        sleepers.wakers.remove(&(deadline, key));
    }

    fn wake_due(&self, now: Instant) {
        let due = {
            let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
            let later = sleepers.wakers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut sleepers.wakers, later)
        };
        due.into_values().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_turned_back_to_its_origin_and_no_further() {
        let time = ManualClock::new();
        time.turn_back(Duration::from_secs(600));
        assert_eq!(time.now(), Instant::from_nanos(3_000_000_000_000));
        time.turn_back(Duration::MAX);
        assert_eq!(time.now(), Instant::ORIGIN);
    }

    #[test]
    fn two_threads_that_advance_at_once_both_count() {
        let time = ManualClock::new();
        let before = time.now();
        let advance = || (0..10_000).for_each(|_| time.advance(Duration::from_nanos(1)));
        std::thread::scope(|scope| {
            scope.spawn(advance);
            scope.spawn(advance);
        });
        let passed = time.now().saturating_since(before);
        assert_eq!(passed, Duration::from_micros(20));
    }
}
