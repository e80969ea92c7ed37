//! Timers that have served, kept for whoever waits next.
//!
//! To make a timer costs an allocation, and the runtime's lock once as it is first polled and once
//! more as it is dropped. One that is kept stays registered, and to set it further off takes no lock.
//! It fires once in a while for nobody: whoever waited last is polled in vain then.
//!
//! Of use where an exchange has a task of its own, over HTTP/2. Over HTTP/1 its connection's timer
//! keeps the wait ([`crate::alarm`]).

use std::sync::{Mutex, TryLockError};

use super::idle::IdleTimer;

/// More than wait at once for an endpoint that is well.
const MOST: usize = 256;

/// Timers of one kind, that nobody waits for now.
#[derive(Debug, Default)]
pub(crate) struct SpareTimers(Mutex<Vec<IdleTimer>>);

impl SpareTimers {
    /// One of them, or a new one.
    pub(crate) fn take(&self) -> IdleTimer {
        self.with(Vec::pop).unwrap_or_default()
    }

    /// Keeps `timer`, if it has ever been waited for and there is room.
    pub(crate) fn put(&self, mut timer: IdleTimer) {
        timer.moved();
        if timer.is_made() {
            self.with(|spare| (spare.len() < MOST).then(|| spare.push(timer)));
        }
    }

    /// Nobody waits for the lock: whoever does not get it makes a timer, or drops one.
    fn with<T>(&self, work: impl FnOnce(&mut Vec<IdleTimer>) -> Option<T>) -> Option<T> {
        match self.0.try_lock() {
            Ok(mut spare) => work(&mut spare),
            Err(TryLockError::Poisoned(spare)) => work(&mut spare.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;
    use crate::body::now;

    const LIMIT: Duration = Duration::from_secs(10);

    async fn wait(timer: &mut IdleTimer, limit: Duration) {
        poll_fn(|cx| timer.poll_waiting(cx, limit)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_has_served_times_the_next_wait_from_its_own_beginning() {
        let spare = SpareTimers::default();
        for (served, limit) in [(3, LIMIT), (10, LIMIT), (3, LIMIT * 2), (3, LIMIT / 5)] {
            let mut timer = spare.take();
            let served = Duration::from_secs(served);
            drop(tokio::time::timeout(served, wait(&mut timer, LIMIT)).await);
            spare.put(timer);
            let mut timer = spare.take();
            assert!(timer.is_made());
            let begun = now();
            wait(&mut timer, limit).await;
            assert_eq!(now() - begun, limit);
            spare.put(timer);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_kept_than_there_is_room_for() {
        let spare = SpareTimers::default();
        for _ in 0..MOST + 10 {
            let mut timer = IdleTimer::default();
            drop(tokio::time::timeout(Duration::ZERO, wait(&mut timer, LIMIT)).await);
            spare.put(timer);
        }
        spare.put(IdleTimer::default());
        let kept = (0..=MOST).take_while(|_| spare.take().is_made()).count();
        assert_eq!(kept, MOST);
    }
}
