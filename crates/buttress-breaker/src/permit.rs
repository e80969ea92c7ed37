//! The right to make one call.

use buttress_core::circuit::Ticket;
use buttress_core::clock::Instant;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::settle::Settle;

use crate::breaker::Breaker;

/// The right to make one call, from [`Breaker::try_acquire`].
///
/// Tell it how the call ended by [`Permit::record`]. Dropped without that the call is `Abandoned`;
/// dropped while a panic unwinds it is `Failure(Panic)`. A probe gives its place back either way.
#[derive(Debug)]
#[must_use = "dropping a permit abandons its call"]
pub struct Permit {
    breaker: Breaker,
    ticket: Ticket,
    /// `NEVER` where nobody asks how long the call takes.
    started: Instant,
    /// Whether the answer came late, where that was seen before the end.
    slow: Option<bool>,
    recorded: bool,
}

impl Permit {
    #[inline]
    pub(crate) const fn new(breaker: Breaker, ticket: Ticket, started: Instant) -> Self {
        Self {
            breaker,
            ticket,
            started,
            slow: None,
            recorded: false,
        }
    }

    /// Whether the call is a probe of a half-open circuit.
    pub const fn is_probe(&self) -> bool {
        self.ticket.is_probe()
    }

    /// The call ended in `outcome`. A `Success` over the slow threshold counts as `Slow`.
    #[inline]
    pub fn record(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    pub(crate) const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    #[inline]
    fn finish(&mut self, outcome: Outcome) {
        self.recorded = true;
        let outcome = match outcome {
            Outcome::Success if self.is_slow() => Outcome::Slow,
            outcome => outcome,
        };
        let quick = outcome == Outcome::Success
            && !self.ticket.is_probe()
            && self
                .breaker
                .shared()
                .gate()
                .succeed(self.ticket.generation());
        if !quick {
            self.tell_machine(outcome);
        }
    }

    #[cold]
    fn probe_answered(&self) {
        let shared = self.breaker.shared();
        let now = shared.clock().now();
        shared.with(|machine| machine.circuit.answered(&self.ticket, now));
    }

    #[inline(never)]
    fn tell_machine(&self, outcome: Outcome) {
        let shared = self.breaker.shared();
        let now = shared.clock().now();
        shared.with(|machine| machine.settle(&self.ticket, outcome, now, shared.rng()));
    }

    #[inline]
    fn is_slow(&self) -> bool {
        match self.slow {
            Some(slow) => slow,
            None => self.started != Instant::NEVER && self.is_late(),
        }
    }

    /// Whether the slow threshold has passed by now.
    #[inline(never)]
    fn is_late(&self) -> bool {
        let shared = self.breaker.shared();
        shared.slow_after().is_some_and(|threshold| {
            shared.clock().now().saturating_since(self.started) > threshold
        })
    }
}

impl Settle for Permit {
    #[inline]
    fn settle(self, outcome: Outcome) {
        self.record(outcome);
    }

    #[inline]
    fn answered(&mut self) {
        if self.ticket.is_probe() && !self.is_slow() {
            self.probe_answered();
        }
    }

    #[cfg(feature = "http")]
    fn head(&mut self, _head: &buttress_core::classify::Head<'_>) {
        self.slow = Some(self.is_slow());
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if !self.recorded {
            let outcome = if std::thread::panicking() {
                Outcome::Failure(FailureKind::Panic)
            } else {
                Outcome::Abandoned
            };
            self.finish(outcome);
        }
    }
}
