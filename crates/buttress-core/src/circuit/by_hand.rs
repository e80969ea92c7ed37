//! States set by hand.

use super::progress::Progress;
use super::{Cause, Circuit, IllegalTransition, Phase, State, Transition};
use crate::clock::Instant;
use crate::rng::Rng;

impl Circuit {
    /// Sets the state by hand. `None` if it was that already; an error, and nothing has changed, if it may
    /// not follow ([`State::may_become`]) or would be a ramp where none is set.
    ///
    /// Closed, it starts afresh: nothing is remembered of how often it has opened.
    pub fn transition_to(
        &mut self,
        to: State,
        now: Instant,
        rng: &Rng,
    ) -> Result<Option<Transition>, IllegalTransition> {
        let from = self.state();
        let no_ramp = to == State::Ramping && self.settings.ramp.is_none();
        if from == to {
            return Ok(None);
        }
        if no_ramp || !from.may_become(to) {
            return Err(IllegalTransition { from, to });
        }
        Ok(match to {
            State::Closed => self.release(now),
            State::Open => Some(self.open(now, rng, None, Cause::ByHand)),
            State::HalfOpen => Some(self.probe(now, rng, Cause::ByHand)),
            State::Ramping => {
                let ramping = Phase::Ramping(Progress::new(now));
                Some(self.enter(ramping, now, Cause::ByHand))
            }
            State::ForcedOpen => self.force_open(now),
            State::ForcedClosed => self.force_closed(now),
            State::Observing => self.observe(now),
        })
    }

    /// Holds the circuit open until [`Circuit::release`]. `None` if it was already.
    pub fn force_open(&mut self, now: Instant) -> Option<Transition> {
        self.hold(Phase::ForcedOpen, now)
    }

    /// Holds the circuit closed until [`Circuit::release`]. `None` if it was already.
    pub fn force_closed(&mut self, now: Instant) -> Option<Transition> {
        self.hold(Phase::ForcedClosed, now)
    }

    /// Holds the circuit closed until [`Circuit::release`], its outcomes counted. `None` if it was
    /// already.
    pub fn observe(&mut self, now: Instant) -> Option<Transition> {
        self.hold(Phase::Observing, now)
    }

    /// Ends a state set by hand, or any other: the circuit starts afresh, closed. `None` if it was.
    pub fn release(&mut self, now: Instant) -> Option<Transition> {
        let closed = self.hold(Phase::Closed { good: 0 }, now)?;
        self.attempt = 0;
        Some(closed)
    }

    fn hold(&mut self, phase: Phase, now: Instant) -> Option<Transition> {
        let same = std::mem::discriminant(&self.phase) == std::mem::discriminant(&phase);
        (!same).then(|| self.enter(phase, now, Cause::ByHand))
    }
}
