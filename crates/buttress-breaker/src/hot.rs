//! What a healthy call touches of a breaker, and how it keeps hold of that.
//!
//! A call holds this part alone, and not the breaker: whatever ends with the last handle of a breaker
//! (subscriptions, its prober) ends although calls are still in flight. Their outcomes interest nobody
//! then.
//!
//! Taking and dropping a reference to something shared are two atomic operations on memory that all
//! threads write. They are most of what a guarded call would cost, so a thread does not drop the
//! reference that it used last: it keeps it at hand for the next call through the same breaker; and more of
//! them where it has had several such calls in flight.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use buttress_core::clock::{Clock, Ticks};
#[cfg(feature = "http")]
use buttress_core::decision::{Admission, Guarded};

use crate::gate::{Face, Gate, nanos};
use crate::inflight::{Entered, InFlight};
use crate::lanes::Left;
use crate::refusal::Refusal;
use crate::rejections::Rejections;
use crate::shared::Shared;
use crate::sync::AtomicU64;

/// The gate stands first, next to the counts of the `Arc`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Hot {
    gate: Gate,
    clock: Clock,
    in_flight: InFlight,
    slow_after: AtomicU64,
    ready_deadline: AtomicU64,
    rejections: Rejections,
    /// The rest of the breaker, as long as anybody has a handle of it.
    rest: Weak<Shared>,
}

/// Whether threads keep a breaker at hand that no call of theirs uses, and may have room of their own in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// They do.
    AtHand,
    /// They do not: there are many such breakers, and who counts references to them wants to know of calls
    /// in flight.
    WhileInUse,
}

/// An ordinary call that has been admitted and whose time is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) generation: u64,
    pub(crate) since: Ticks,
    pub(crate) entered: Entered,
}

/// No threshold is set.
const NO_THRESHOLD: u64 = u64::MAX;

/// Under loom all threads are one to `thread_local!`.
const KEEPS: bool = cfg!(not(all(loom, test)));

thread_local! {
    /// What this thread used last, if it does not use it now.
    static SPARE: Cell<Option<Arc<Hot>>> = const { Cell::new(None) };
    /// More references to the same, where this thread has had several calls in flight.
    static MORE: RefCell<Vec<Arc<Hot>>> = const { RefCell::new(Vec::new()) };
}

/// So many more references a thread keeps at most: as many calls as it may have in flight and spare two atomic
/// operations for each.
const MOST: usize = 64;

impl Hot {
    pub(crate) fn new(
        face: Face,
        kept: Kept,
        clock: Clock,
        in_flight: InFlight,
        explained: bool,
        rest: Weak<Shared>,
    ) -> Self {
        Self {
            gate: Gate::new(face, kept, &clock).explained(explained),
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
        if KEEPS && this.kept() == Kept::AtHand {
            let spare = SPARE.try_with(Cell::take).ok().flatten();
            match spare.or_else(Self::one_more) {
                Some(spare) if Arc::ptr_eq(&spare, this) => return spare,
                Some(_) => Self::forget(),
                None => {}
            }
        }
        Arc::clone(this)
    }

    /// Another reference to what this thread used last.
    fn one_more() -> Option<Arc<Self>> {
        MORE.try_with(|more| more.borrow_mut().pop()).ok()?
    }

    /// Keeps no more of what this thread used last: it uses something else.
    #[cold]
    fn forget() {
        // One by one: no reference is dropped while they are borrowed.
        while Self::one_more().is_some() {}
    }

    /// Ends a [`Hot::hold`].
    #[inline]
    pub(crate) fn let_go(held: Arc<Self>) {
        if KEEPS && held.kept() == Kept::AtHand {
            // A thread that is ending keeps nothing.
            let of = Arc::as_ptr(&held);
            if let Ok(Some(before)) = SPARE.try_with(|spare| spare.replace(Some(held))) {
                Self::keep(before, of);
            }
        }
    }

    /// Keeps `before` as well, if it is a reference to the same.
    fn keep(before: Arc<Self>, of: *const Self) {
        if Arc::as_ptr(&before) != of {
            return Self::forget();
        }
        let _ = MORE.try_with(|more| {
            let mut more = more.borrow_mut();
            if more.len() < MOST {
                more.push(before);
            }
        });
    }

    #[inline]
    const fn kept(&self) -> Kept {
        self.gate.lanes().kept()
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

    /// Counts an ordinary call that begins now as in flight, and says of which generation it is, if it
    /// passes while nothing changes by itself.
    #[inline]
    pub(crate) fn begin(&self) -> Option<Begun> {
        if self.in_flight.is_watching() {
            let mut entered = Entered::default();
            let plan = |turn| entered = self.in_flight.entered_at_gate(turn);
            if let Some((generation, since)) = self.gate.begin(&self.clock, plan) {
                return Some(Begun {
                    generation,
                    since,
                    entered,
                });
            }
        }
        self.enter()
    }

    /// [`Hot::begin`] where calls are not watched, or not at the gate.
    #[inline(never)]
    fn enter(&self) -> Option<Begun> {
        let (generation, since) = (self.gate.pass()?, self.clock.ticks());
        let settled = since < self.gate.settled_until();
        let start = self.clock.instant(since);
        settled.then(|| Begun {
            generation,
            since,
            entered: self.in_flight.enter(start, generation),
        })
    }

    /// Takes a call out of those in flight; the thresholds that it has been counted for are set in the
    /// answer. `None`: only whoever holds the machine's lock can do that.
    #[inline]
    pub(crate) fn leave(&self, entered: Entered, since: Ticks, generation: u64) -> Option<u8> {
        let left = entered.turn().map(|turn| self.gate.lanes().leave(turn));
        match left {
            None | Some(Left::Before) => {
                let since = self.clock.instant(since);
                Some(self.in_flight.leave(entered, since, generation))
            }
            Some(Left::Here) => Some(0),
            Some(Left::Unknown) => None,
        }
    }

    /// [`Hot::leave`] for whoever holds the machine's lock.
    pub(crate) fn leave_shut(&self, entered: Entered, since: Ticks, generation: u64) -> u8 {
        let here = |turn| self.gate.lanes().leave_shut(turn);
        if entered.turn().is_some_and(here) {
            return 0;
        }
        let since = self.clock.instant(since);
        self.in_flight.leave(entered, since, generation)
    }

    /// Moves the calls that are counted at the gate to where their age is known. For whoever holds the
    /// machine's lock, before the turn of the gate ends.
    pub(crate) fn end_turn(&self) {
        let begun = self.gate.lanes().take_begun();
        let since = self.clock.instant(self.gate.settled_from());
        (self.in_flight).enter_many(begun, since, self.gate.generation());
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

    /// What is to be said of a request that is dealt with like this, where that is asked for.
    #[cfg(feature = "http")]
    #[inline]
    pub(crate) fn explain(&self, admission: Admission) -> Option<Box<Guarded>> {
        if self.gate.lanes().is_explained() {
            self.explained(admission)
        } else {
            None
        }
    }

    #[cfg(feature = "http")]
    #[cold]
    fn explained(&self, admission: Admission) -> Option<Box<Guarded>> {
        let rest = self.rest.upgrade()?;
        let guarded = Guarded::new(Arc::clone(&rest.name), admission);
        let verdict = match admission {
            Admission::Ordinary => None,
            _ => rest.peek(|machine| machine.verdict.clone()),
        };
        Some(Box::new(guarded.because(verdict)))
    }

    /// Counts `refusal`.
    #[inline]
    pub(crate) fn refuse(&self, refusal: Refusal) -> Refusal {
        self.rejections.count(self.gate.lanes());
        refusal
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.rejections.total(self.gate.lanes())
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
    fn calls_in_flight_together_find_as_many_references_at_hand_as_there_were_before() {
        let breaker = breaker("one");
        let references = |of: &Permit| Arc::strong_count(of.hot().unwrap());
        for _ in 0..3 {
            let permits = [(); 3].map(|()| breaker.try_acquire().unwrap());
            // The breaker's own, and those of the calls.
            assert_eq!(references(&permits[0]), 4);
            for permit in permits {
                permit.record(Outcome::Success);
            }
        }
        assert_eq!(breaker.handle().snapshot().calls.success, 9);
    }

    #[test]
    fn a_thread_keeps_no_more_references_than_it_may() {
        let breaker = breaker("one");
        let permits: Vec<Permit> = std::iter::repeat_with(|| breaker.try_acquire().unwrap())
            .take(MOST + 10)
            .collect();
        for permit in permits {
            permit.record(Outcome::Success);
        }
        let permit = breaker.try_acquire().unwrap();
        // The breaker's own, the call's, and what is at hand beside that.
        assert_eq!(Arc::strong_count(permit.hot().unwrap()), 2 + MOST);
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
