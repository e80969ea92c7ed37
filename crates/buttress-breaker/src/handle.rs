//! What reads a breaker and takes it in hand.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::{IllegalTransition, State, Transition};
use buttress_core::config::ConfigError;
use buttress_core::events::Subscription;
use buttress_core::health::HealthSignal;
use buttress_core::verdict::{By, Verdict};

use crate::breaker::Breaker;
use crate::config::Config;
use crate::gate::remaining;
use crate::machine::{Calls, Change, TransitionCount};
use crate::rules::WindowCounts;

/// Reads a [`Breaker`] and takes it in hand. Cheap to clone; never on the path of a request.
#[derive(Clone, Debug)]
pub struct BreakerHandle {
    breaker: Breaker,
    by: Option<Arc<By>>,
}

/// A change of state with its reason, as subscribers get it, in the order in which it happened; or,
/// of a breaker that is [`State::Observing`], what would have been one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// The breaker's name.
    pub name: Arc<str>,
    /// What changed; `None` if a rule fired that is only observed.
    pub transition: Option<Transition>,
    /// Why.
    pub verdict: Verdict,
}

/// A breaker at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The breaker's name.
    pub name: Arc<str>,
    /// The present state.
    pub state: State,
    /// For how long it has been in that state.
    pub since: Duration,
    /// How many transitions there have been.
    pub generation: u64,
    /// Calls that have ended, by how.
    pub calls: Calls,
    /// Those of them that began before the last transition and changed nothing.
    pub stale: u64,
    /// Calls that were refused.
    pub rejected: u64,
    /// How many calls in a row have failed.
    pub consecutive_failures: u32,
    /// What the windows of the rules hold; of an open circuit, what they held when it opened.
    pub windows: Vec<WindowCounts>,
    /// How often a rule of the user's own has panicked; it then counted as not firing.
    pub rule_panics: u64,
    /// How long an open circuit rejects yet.
    pub retry_after: Option<Duration>,
    /// How often in a row it has opened without proving healthy in between.
    pub attempt: u32,
    /// The share of calls that a ramping circuit lets pass.
    pub share: Option<f64>,
    /// How often each state was left for another.
    pub transitions: Vec<TransitionCount>,
    /// Why the present state was entered, or what was last observed in it; `None` before the first
    /// transition.
    pub verdict: Option<Verdict>,
    /// Why the circuit last became [`State::Open`], kept while it probes, ramps and is closed again.
    pub opened_by: Option<Verdict>,
    /// How many events no subscriber got, because the oldest give way while a subscriber's waker hangs.
    pub events_dropped: u64,
}

impl BreakerHandle {
    pub(crate) const fn new(breaker: Breaker) -> Self {
        Self { breaker, by: None }
    }

    /// A handle whose verdicts say of every state that it sets by hand that `by` did so, and why.
    #[must_use]
    pub fn on_behalf_of(&self, by: By) -> Self {
        self.clone().by(Some(Arc::new(by)))
    }

    pub(crate) fn by(mut self, by: Option<Arc<By>>) -> Self {
        self.by = by;
        self
    }

    /// The breaker's name.
    pub fn name(&self) -> &Arc<str> {
        self.breaker.name()
    }

    /// The breaker.
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The breaker at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let shared = self.breaker.shared();
        let now = shared.clock().now();
        let (name, rejected) = (Arc::clone(self.name()), shared.rejected());
        shared.with_at(now, |machine| Snapshot {
            name,
            rejected,
            state: machine.circuit.state(),
            since: now.saturating_since(machine.circuit.since()),
            generation: machine.circuit.generation(),
            calls: machine.calls,
            stale: machine.stale,
            consecutive_failures: machine.rules.consecutive(),
            windows: machine.rules.counts(now),
            rule_panics: machine.rule_panics,
            retry_after: machine.open_until().and_then(|until| remaining(until, now)),
            attempt: machine.circuit.attempt(),
            share: machine.circuit.share(),
            transitions: machine.transitions().to_vec(),
            verdict: machine.verdict.clone(),
            opened_by: machine.opened_by.as_deref().cloned(),
            events_dropped: machine.events_dropped,
        })
    }

    /// Why the circuit last became [`State::Open`], as in [`Snapshot::opened_by`]: what a rejection has to
    /// tell beside [`Rejected`](buttress_core::reject::Rejected), which says only that it is open and
    /// costs no look. Takes the lock.
    pub fn opened_by(&self) -> Option<Verdict> {
        let shared = self.breaker.shared();
        let now = shared.clock().now();
        shared.with_at(now, |machine| machine.opened_by.as_deref().cloned())
    }

    /// Every change of state from now on.
    pub fn subscribe(&self) -> Subscription<Event> {
        self.breaker.shared().events().subscribe()
    }

    /// What the breaker says of the health of what it guards, as of the last call or look at it:
    /// closed is healthy, half-open and ramping degraded, open unhealthy. When the open time is over it
    /// says degraded by itself: the next call would probe, and has to be sent here for that.
    pub fn health(&self) -> HealthSignal {
        self.breaker.shared().health().clone()
    }

    /// Sets the state by hand. `None` if it was that already; an error, and nothing has changed, if it may
    /// not follow the present one ([`State::may_become`]) or would be a ramp where none is set.
    pub fn transition_to(&self, to: State) -> Result<Option<Transition>, IllegalTransition> {
        let shared = self.breaker.shared();
        let now = shared.clock().now();
        shared.with_at(now, |machine| {
            machine.by_hand(to, now, shared.rng(), self.by.as_ref())
        })
    }

    /// Rejects everything until [`BreakerHandle::release`]; `false` if it did already.
    pub fn force_open(&self) -> bool {
        self.set(State::ForcedOpen)
    }

    /// Admits everything, whatever its outcomes, until [`BreakerHandle::release`]; `false` if it did
    /// already.
    pub fn force_closed(&self) -> bool {
        self.set(State::ForcedClosed)
    }

    /// Admits everything until [`BreakerHandle::release`], and reports each rule that would have opened the
    /// circuit: once, until its evidence is gone; `false` if it did already.
    pub fn observe(&self) -> bool {
        self.set(State::Observing)
    }

    /// Ends a state set by hand, or any other: the breaker starts afresh, closed, its windows empty;
    /// `false` if it was closed.
    pub fn release(&self) -> bool {
        self.set(State::Closed)
    }

    /// Replaces the configuration of the live breaker, whole or, if it makes no sense, not at all.
    ///
    /// State, counters, leased probes, the end of an open time and what the windows hold stay: a
    /// window that is resized keeps its newest calls, and one that turns from calls to time or back
    /// starts empty. The new rules are judged at once by what is known. Clock and randomness stay
    /// those the breaker was made with.
    ///
    /// Where the slow thresholds of the rules change, calls in flight are no longer seen while they hang and
    /// count at their end, by their age and the thresholds of then; but one that at any such change had been
    /// in flight for longer than the shortest threshold until then counts no more for rules about slow
    /// calls. So none counts twice (`tests/model.rs`).
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        config.validate()?;
        self.breaker.shared().reconfigure(config);
        Ok(())
    }

    /// Sets a state that may follow any other; whether that changed anything.
    fn set(&self, state: State) -> bool {
        self.transition_to(state)
            .is_ok_and(|changed| changed.is_some())
    }
}

impl Event {
    pub(crate) fn new(name: &Arc<str>, change: Change) -> Self {
        Self {
            name: Arc::clone(name),
            transition: change.transition,
            verdict: change.verdict,
        }
    }
}
