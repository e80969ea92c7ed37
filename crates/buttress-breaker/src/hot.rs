//! What a healthy call touches of a breaker, and how it keeps hold of that.
//!
//! A call holds this part alone, and not the breaker: whatever ends with the last handle of a breaker
//! (subscriptions, its prober) ends although calls are still in flight. Their outcomes interest nobody
//! then.
//!
//! Taking and dropping a reference to something shared are two atomic operations on memory that all
//! threads write. They are most of what a guarded call would cost, so a thread does not drop the
//! reference that it used last: it keeps it at hand for the next call through the same breaker.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use buttress_core::clock::Clock;

use crate::gate::{Face, Gate, nanos};
use crate::inflight::InFlight;
use crate::refusal::{Reason, Refusal};
use crate::rejections::Rejections;
use crate::shared::Shared;
use crate::sync::AtomicU64;

/// The gate stands first, next to the counts of the `Arc`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Hot {
    gate: Gate,
    kept: Kept,
    clock: Clock,
    in_flight: InFlight,
    slow_after: AtomicU64,
    ready_deadline: AtomicU64,
    rejections: Rejections,
    /// The rest of the breaker, as long as anybody has a handle of it.
    rest: Weak<Shared>,
}

/// Whether threads keep a breaker at hand that no call of theirs uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// They do.
    AtHand,
    /// They do not: who counts references to it wants to know of calls in flight.
    WhileInUse,
}

/// No threshold is set.
const NO_THRESHOLD: u64 = u64::MAX;

/// Under loom all threads are one to `thread_local!`.
const KEEPS: bool = cfg!(not(all(loom, test)));

thread_local! {
    /// What this thread used last, if it does not use it now.
    static SPARE: Cell<Option<Arc<Hot>>> = const { Cell::new(None) };
}

impl Hot {
    pub(crate) fn new(
        face: Face,
        kept: Kept,
        clock: Clock,
        in_flight: InFlight,
        rest: Weak<Shared>,
    ) -> Self {
        Self {
            gate: Gate::new(face),
            kept,
            clock,
            in_flight,
            slow_after: AtomicU64::new(NO_THRESHOLD),
            ready_deadline: AtomicU64::new(0),
            rejections: Rejections::new(),
            rest,
        }
    }

    /// A reference to `this`, for a call: the one that this thread has at hand, or a new one.
    #[inline]
    pub(crate) fn hold(this: &Arc<Self>) -> Arc<Self> {
        if KEEPS
            && this.kept == Kept::AtHand
            && let Ok(Some(spare)) = SPARE.try_with(Cell::take)
            && Arc::ptr_eq(&spare, this)
        {
            return spare;
        }
        Arc::clone(this)
    }

    /// Ends a [`Hot::hold`].
    #[inline]
    pub(crate) fn let_go(held: Arc<Self>) {
        if KEEPS && held.kept == Kept::AtHand {
            // A thread that is ending keeps nothing.
            let _ = SPARE.try_with(|spare| spare.replace(Some(held)));
        }
    }

    #[inline]
    pub(crate) const fn gate(&self) -> &Gate {
        &self.gate
    }

    #[inline]
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    #[inline]
    pub(crate) const fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// The whole breaker, unless its last handle is gone.
    pub(crate) fn rest(&self) -> Option<Arc<Shared>> {
        self.rest.upgrade()
    }

    pub(crate) fn slow_after(&self) -> Option<Duration> {
        let nanos = self.slow_after.load(Ordering::Relaxed);
        (nanos != NO_THRESHOLD).then(|| Duration::from_nanos(nanos))
    }

    pub(crate) fn ready_deadline(&self) -> Duration {
        Duration::from_nanos(self.ready_deadline.load(Ordering::Relaxed))
    }

    /// Sets both to what a configuration says.
    pub(crate) fn set(&self, slow_after: Option<Duration>, ready_deadline: Duration) {
        let slow_after = slow_after.map_or(NO_THRESHOLD, nanos);
        self.slow_after.store(slow_after, Ordering::Relaxed);
        self.ready_deadline
            .store(nanos(ready_deadline), Ordering::Relaxed);
    }

    /// A refusal, counted.
    #[inline]
    pub(crate) fn refuse(&self, reason: Reason, wait: Option<Duration>) -> Refusal {
        self.rejections.count();
        Refusal { reason, wait }
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.rejections.total()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::{Breaker, Config, Permit};
    use buttress_core::clock::ManualClock;
    use buttress_core::outcome::Outcome;

    fn breaker(name: &str) -> Breaker {
        let config = Config::default().clock(ManualClock::new().clock());
        Breaker::new(name, config).unwrap()
    }

    fn held_by(permit: &Permit) -> Arc<Hot> {
        Arc::clone(permit.hot().unwrap())
    }

    #[test]
    fn a_thread_uses_again_what_it_has_at_hand_and_of_no_other_breaker() {
        let (one, other) = (breaker("one"), breaker("other"));
        for _ in 0..3 {
            for breaker in [&one, &other, &other] {
                let (first, second) = (
                    breaker.try_acquire().unwrap(),
                    breaker.try_acquire().unwrap(),
                );
                assert!(Arc::ptr_eq(&held_by(&first), &held_by(&second)));
                first.record(Outcome::Success);
                drop(second);
            }
        }
        let calls = |breaker: &Breaker| breaker.handle().snapshot().calls;
        assert_eq!((calls(&one).success, calls(&one).abandoned), (3, 3));
        assert_eq!((calls(&other).success, calls(&other).abandoned), (6, 6));
    }

    #[test]
    fn a_call_through_the_breaker_at_hand_makes_no_new_reference() {
        let breaker = breaker("one");
        breaker.try_acquire().unwrap().record(Outcome::Success);
        let permit = breaker.try_acquire().unwrap();
        // Here, the breaker's own, and the call's.
        assert_eq!(Arc::strong_count(&held_by(&permit)), 3);
    }

    #[test]
    fn a_thread_has_one_breaker_at_hand_at_most() {
        let (one, other) = (breaker("one"), breaker("other"));
        let permits = [&one, &one, &other].map(|breaker| breaker.try_acquire().unwrap());
        let [of_one, _, of_other] = permits.each_ref().map(held_by);
        for permit in permits {
            permit.record(Outcome::Success);
        }
        // One reference is here, one is the breaker's own.
        assert_eq!(Arc::strong_count(&of_one), 2);
        assert_eq!(Arc::strong_count(&of_other), 3);
    }

    #[test]
    fn what_ends_with_the_last_handle_ends_although_a_call_is_in_flight() {
        let breaker = breaker("gone");
        let mut events = breaker.handle().subscribe();
        breaker.try_acquire().unwrap().record(Outcome::Success);
        let permit = breaker.try_acquire().unwrap();
        drop(breaker);
        assert!(tokio_test::task::spawn(events.recv()).poll().is_ready());
        assert!(permit.hot().unwrap().rest().is_none());
        permit.record(Outcome::Abandoned);
    }
}
