//! The right to make one call.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::Ticket;
use buttress_core::clock::Instant;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::settle::Settle;

use crate::gate::nanos;
use crate::hot::Hot;
use crate::inflight::Entered;
use crate::rules::Sample;

/// The right to make one call, from [`Breaker::try_acquire`](crate::Breaker::try_acquire).
///
/// Tell it how the call ended by [`Permit::record`]. Dropped without that the call is `Abandoned`;
/// dropped while a panic unwinds it is `Failure(Panic)`. A probe gives its place back either way.
#[derive(Debug)]
#[must_use = "dropping a permit abandons its call"]
pub struct Permit {
    /// `None` once it has been told how the call ended.
    hot: Option<Arc<Hot>>,
    ticket: Ticket,
    /// `NEVER` where nobody asks how long the call takes.
    started: Instant,
    entered: Entered,
    /// What is known once the answer has come, where that was seen before the end.
    timed: Timed,
    /// For how long the upstream asks to be left alone, in nanoseconds; mostly 0.
    asked: u64,
}

/// How long a call took to answer. All 0 where nobody asks: a permit is moved often and has to be small.
#[derive(Clone, Copy, Debug, Default)]
struct Timed {
    /// In nanoseconds.
    age: u64,
    /// The thresholds it was counted for while in flight.
    overdue: u8,
    /// Its time has ended.
    taken: bool,
}

impl Permit {
    #[inline]
    pub(crate) const fn new(
        hot: Arc<Hot>,
        ticket: Ticket,
        started: Instant,
        entered: Entered,
    ) -> Self {
        Self {
            hot: Some(hot),
            ticket,
            started,
            entered,
            timed: Timed {
                age: 0,
                overdue: 0,
                taken: false,
            },
            asked: 0,
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

    /// [`Permit::record`] of a failure after which the upstream is to be left alone for `open_for`, as a
    /// `Retry-After` asks: should the circuit open while that is not over, it stays open for as long,
    /// within the cap of its open time. Of several such waits the longest holds. It does not open the
    /// circuit by itself, and means nothing where `outcome` is no failure.
    pub fn record_after(mut self, outcome: Outcome, open_for: Duration) {
        self.asked = nanos(open_for);
        self.finish(outcome);
    }

    /// What it holds of the breaker; `None` if the call has ended.
    pub(crate) const fn hot(&self) -> Option<&Arc<Hot>> {
        self.hot.as_ref()
    }

    #[inline]
    fn finish(&mut self, outcome: Outcome) {
        if let Some(hot) = self.hot.take() {
            if !self.counts_at_once(&hot, outcome) {
                self.settle_by(&hot, outcome);
            }
            Hot::let_go(hot);
        }
    }

    /// Counts a success where nobody asks for the time.
    #[inline]
    fn counts_at_once(&self, hot: &Hot, outcome: Outcome) -> bool {
        self.started == Instant::NEVER
            && hot.gate().settled_until() == Instant::NEVER
            && self.is_plain_success(outcome)
            && hot.gate().succeed(self.ticket.generation())
    }

    #[inline(never)]
    fn settle_by(&self, hot: &Hot, outcome: Outcome) {
        let gate = hot.gate();
        let settled_until = gate.settled_until();
        if self.started == Instant::NEVER && settled_until == Instant::NEVER {
            if !(self.is_plain_success(outcome) && gate.succeed(self.ticket.generation())) {
                self.tell_machine(hot, outcome, self.timed, hot.clock().now());
            }
            return;
        }
        let now = hot.clock().now();
        let mut timed = self.timed;
        if now < settled_until {
            timed = self.take_time(hot, now);
            let brisk = timed.overdue == 0 && gate.is_brisk(timed.age);
            if brisk && self.is_plain_success(outcome) && gate.succeed(self.ticket.generation()) {
                return;
            }
        }
        self.tell_machine(hot, outcome, timed, now);
    }

    #[inline]
    fn is_plain_success(&self, outcome: Outcome) -> bool {
        outcome == Outcome::Success && !self.ticket.is_probe()
    }

    /// Ends the time of the call, unless it has ended or nobody asks for it. To be done once.
    #[inline]
    fn take_time(&self, hot: &Hot, now: Instant) -> Timed {
        if self.timed.taken || self.started == Instant::NEVER {
            return self.timed;
        }
        let in_flight = hot.in_flight();
        Timed {
            age: now.as_nanos().saturating_sub(self.started.as_nanos()),
            overdue: in_flight.leave(self.entered, self.started, self.ticket.generation()),
            taken: true,
        }
    }

    #[cold]
    fn probe_answered(&self) {
        let Some(shared) = self.hot().and_then(|hot| hot.rest()) else {
            return;
        };
        let now = shared.clock().now();
        shared.with(|machine| machine.circuit.answered(&self.ticket, now));
    }

    #[inline(never)]
    fn tell_machine(&self, hot: &Hot, outcome: Outcome, timed: Timed, now: Instant) {
        let Some(shared) = hot.rest() else {
            return;
        };
        shared.with_at(now, |machine| {
            // After the look: what was overdue by now has been counted as that.
            let timed = if timed.taken {
                timed
            } else {
                self.take_time(hot, now)
            };
            let asked = Duration::from_nanos(self.asked);
            let sample = Sample {
                outcome,
                age: Duration::from_nanos(timed.age),
                overdue: timed.overdue,
                asked: asked * u32::from(outcome.is_failure()),
            };
            machine.settle(&self.ticket, &sample, now, shared.rng());
        });
    }

    /// Whether the slow threshold had passed when the answer came.
    fn is_slow(&self) -> bool {
        let age = Duration::from_nanos(self.timed.age);
        let threshold = self.hot().and_then(|hot| hot.slow_after());
        threshold.is_some_and(|threshold| age > threshold)
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

    fn asked(&mut self, wait: Duration) {
        self.asked = nanos(wait);
    }

    #[cfg(feature = "http")]
    fn head(&mut self, _head: &buttress_core::classify::Head<'_>) {
        let Some(hot) = self.hot().filter(|_| self.started != Instant::NEVER) else {
            return;
        };
        let now = hot.clock().now();
        if now >= hot.gate().settled_until()
            && let Some(shared) = hot.rest()
        {
            shared.with_at(now, |_| ());
        }
        self.timed = self.take_time(hot, now);
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if self.hot.is_some() {
            let outcome = if std::thread::panicking() {
                Outcome::Failure(FailureKind::Panic)
            } else {
                Outcome::Abandoned
            };
            self.finish(outcome);
        }
    }
}
