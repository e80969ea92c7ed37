//! Callers that wait for an inner service to become ready, to be woken if the circuit opens: a
//! breaker that rejects is ready at once, and what it guards may never wake anybody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Waker;

/// Who waits at one breaker.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Vec<Weak<Waiter>>>);

/// The place of one clone of a service, which holds it; the breaker does so weakly.
#[derive(Debug, Default)]
pub(crate) struct Waiter {
    /// `Some` as long as it is among the waiters.
    waker: Mutex<Option<Waker>>,
}

impl Waiters {
    /// Lets `waker` be woken by the next [`Waiters::wake_all`].
    #[cold]
    pub(crate) fn park(&self, waiter: &Arc<Waiter>, waker: &Waker) {
        // Somebody else's code, as the drop is below: outside the lock.
        let waker = waker.clone();
        let mut place = waiter.waker.lock().unwrap_or_else(PoisonError::into_inner);
        let before = place.replace(waker);
        if before.is_none() {
            self.enlist(Arc::downgrade(waiter));
        }
        drop(place);
        drop(before);
    }

    fn enlist(&self, waiter: Weak<Waiter>) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() == list.capacity() {
            // No longer than twice the clones there are.
            list.retain(|waiter| waiter.strong_count() > 0);
        }
        list.push(waiter);
    }

    /// Wakes all that wait. Wakers are somebody else's code: no lock is held meanwhile, nobody is
    /// among the waiters any more when the first one runs, and one that panics harms no other.
    #[cold]
    pub(crate) fn wake_all(&self) {
        let list = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let waiters = list.iter().filter_map(Weak::upgrade);
        let wakers: Vec<_> = waiters.filter_map(|waiter| waiter.take()).collect();
        for waker in wakers {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

impl Waiter {
    fn take(&self) -> Option<Waker> {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        waker.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_clone_has_one_place_and_those_of_clones_that_went_are_not_kept() {
        let waiters = Waiters::default();
        let stays = Arc::new(Waiter::default());
        for _ in 0..1_000 {
            waiters.park(&stays, Waker::noop());
            waiters.park(&Arc::new(Waiter::default()), Waker::noop());
        }
        let len = || waiters.0.lock().unwrap().len();
        assert!(len() <= 8, "{}", len());
        waiters.wake_all();
        assert_eq!(len(), 0);
    }
}
