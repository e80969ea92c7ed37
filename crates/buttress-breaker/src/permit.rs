//! The right to make one call.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::Ticket;
use buttress_core::clock::{Clock, Ticks};
#[cfg(feature = "http")]
use buttress_core::decision::{Admission, Guarded};
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
    time: Time,
    /// For how long the upstream asks to be left alone, in nanoseconds; mostly 0: it does not ask.
    asked: u64,
}

/// The time of a call. Every call carries it about, so what is over gives its room to what comes next, and all of it
/// is words.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Time {
    /// Nobody asks for it.
    Unasked,
    /// It goes on.
    Running { since: Ticks, entered: Entered },
    /// It is over: the answer has come, though maybe not its end.
    #[cfg_attr(
        not(feature = "http"),
        expect(
            dead_code,
            reason = "only the head of a response tells of an answer before its end"
        )
    )]
    Over { age: u64, overdue: Overdue },
}

/// The thresholds that a call was counted for while in flight, a bit each.
type Overdue = u64;

/// What a call took.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    /// In nanoseconds; 0 where nobody asks.
    age: u64,
    overdue: Overdue,
}

impl Time {
    /// What it comes to at `now` of `clock`, unless it is over. To be done once for a time that goes on: `leave` takes
    /// the call out of those in flight, and says what it was counted for there. Nothing if that says nothing.
    #[inline]
    fn end(
        self,
        clock: &Clock,
        now: Ticks,
        leave: impl FnOnce(Entered, Ticks) -> Option<u8>,
    ) -> Option<Taken> {
        match self {
            Self::Unasked => Some(Taken::default()),
            Self::Running { since, entered } => leave(entered, since).map(|overdue| Taken {
                age: age(clock, since, now),
                overdue: overdue.into(),
            }),
            Self::Over { age, overdue } => Some(Taken { age, overdue }),
        }
    }

    const fn is_asked(self) -> bool {
        !matches!(self, Self::Unasked)
    }
}

/// In nanoseconds.
#[inline]
fn age(clock: &Clock, since: Ticks, now: Ticks) -> u64 {
    let told = |ticks| clock.instant(ticks).as_nanos();
    told(now).saturating_sub(told(since))
}

impl Permit {
    #[inline]
    pub(crate) const fn new(hot: Arc<Hot>, ticket: Ticket, time: Time) -> Self {
        Self {
            hot: Some(hot),
            ticket,
            time,
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
    /// circuit by itself, and means nothing where `outcome` is no failure. No wait at all asks for the
    /// [shortest](buttress_core::circuit::Settings::shortest_asked), should this very failure open the circuit.
    pub fn record_after(mut self, outcome: Outcome, open_for: Duration) {
        self.ask_for(open_for);
        self.finish(outcome);
    }

    /// Who asks for no wait at all has asked.
    fn ask_for(&mut self, wait: Duration) {
        self.asked = nanos(wait).max(1);
    }

    /// What is to be said of its request, where that is asked for.
    #[cfg(feature = "http")]
    #[inline]
    pub(crate) fn explain(&self) -> Option<Box<Guarded>> {
        let admission = if self.is_probe() {
            Admission::Probe
        } else {
            Admission::Ordinary
        };
        self.hot.as_ref()?.explain(admission)
    }

    /// What it holds of the breaker; `None` if the call has ended.
    pub(crate) const fn hot(&self) -> Option<&Arc<Hot>> {
        self.hot.as_ref()
    }

    #[inline]
    fn finish(&mut self, outcome: Outcome) {
        if let Some(hot) = self.hot.take() {
            if self.counts_at_once(&hot, outcome) {
                Hot::let_go(hot);
            } else {
                self.settle_by(hot, outcome);
            }
        }
    }

    /// Counts a success where nobody asks for the time.
    #[inline]
    fn counts_at_once(&self, hot: &Hot, outcome: Outcome) -> bool {
        !self.time.is_asked()
            && hot.gate().settled_until() == Ticks::NEVER
            && self.is_plain_success(outcome)
            && hot.gate().succeed(self.ticket.generation())
    }

    #[inline(never)]
    fn settle_by(&self, hot: Arc<Hot>, outcome: Outcome) {
        if !(self.is_plain_success(outcome) && self.counts_briskly(&hot)) {
            self.settle_now(&hot, outcome);
        }
        Hot::let_go(hot);
    }

    /// Counts a success where nobody asks for its time, or that ends in the turn in which it began and is
    /// slow to nobody.
    #[inline]
    fn counts_briskly(&self, hot: &Hot) -> bool {
        let (gate, clock) = (hot.gate(), hot.clock());
        match self.time {
            Time::Unasked => gate.succeed_by(clock, self.ticket.generation()),
            Time::Running { since, entered } => {
                (entered.turn()).is_some_and(|turn| gate.succeed_in(clock, turn, since))
            }
            Time::Over { .. } => false,
        }
    }

    #[inline(never)]
    fn settle_now(&self, hot: &Hot, outcome: Outcome) {
        let (gate, now) = (hot.gate(), hot.clock().ticks());
        let mut taken = None;
        if now < gate.settled_until() {
            taken = self.end(hot, now);
            let brisk = taken
                .is_some_and(|taken| taken.overdue == 0 && gate.is_brisk(hot.clock(), taken.age));
            if brisk && self.is_plain_success(outcome) && gate.succeed(self.ticket.generation()) {
                return;
            }
        }
        self.tell_machine(hot, outcome, taken, now);
    }

    #[inline]
    fn is_plain_success(&self, outcome: Outcome) -> bool {
        outcome == Outcome::Success && !self.ticket.is_probe()
    }

    /// Ends the time of the call, unless that takes the machine's lock.
    #[inline]
    fn end(&self, hot: &Hot, now: Ticks) -> Option<Taken> {
        let generation = self.ticket.generation();
        let leave = |entered, since| hot.leave(entered, since, generation);
        self.time.end(hot.clock(), now, leave)
    }

    /// [`Permit::end`] for whoever holds the machine's lock.
    fn end_shut(&self, hot: &Hot, now: Ticks) -> Taken {
        let generation = self.ticket.generation();
        let leave = |entered, since| Some(hot.leave_shut(entered, since, generation));
        let taken = self.time.end(hot.clock(), now, leave);
        taken.unwrap_or_default()
    }

    #[cold]
    fn probe_answered(&self) {
        let Some(shared) = self.hot().and_then(|hot| hot.rest()) else {
            return;
        };
        let now = shared.clock().now();
        shared.with(|machine| machine.circuit.answered(&self.ticket, now));
    }

    /// `taken` is what the call took, if that is known.
    #[inline(never)]
    fn tell_machine(&self, hot: &Hot, outcome: Outcome, taken: Option<Taken>, ticks: Ticks) {
        let Some(shared) = hot.rest() else {
            return;
        };
        let now = hot.clock().instant(ticks);
        shared.with_at(now, |machine| {
            // After the look: what was overdue by now has been counted as that.
            let taken = taken.unwrap_or_else(|| self.end_shut(hot, ticks));
            let [overdue, ..] = taken.overdue.to_le_bytes();
            let asked = Duration::from_nanos(self.asked);
            let sample = Sample {
                outcome,
                age: Duration::from_nanos(taken.age),
                overdue,
                asked: asked * u32::from(outcome.is_failure()),
            };
            machine.settle(&self.ticket, &sample, now, shared.rng());
        });
    }

    /// Whether the slow threshold had passed when the answer came: at its head, where there is one,
    /// or else now.
    fn is_slow(&self) -> bool {
        let Some(hot) = self.hot() else { return false };
        let age = match self.time {
            Time::Unasked => return false,
            Time::Running { since, .. } => age(hot.clock(), since, hot.clock().ticks()),
            Time::Over { age, .. } => age,
        };
        hot.slow_after()
            .is_some_and(|threshold| Duration::from_nanos(age) > threshold)
    }
}

impl Settle for Permit {
    #[inline]
    fn settle(self, outcome: Outcome) {
        self.record(outcome);
    }

    #[inline]
    fn settle_in(place: &mut Option<Self>, outcome: Outcome) {
        if let Some(permit) = place {
            permit.finish(outcome);
            *place = None;
        }
    }

    #[inline]
    fn answered(&mut self) {
        if self.ticket.is_probe() && !self.is_slow() {
            self.probe_answered();
        }
    }

    fn asked(&mut self, wait: Duration) {
        self.ask_for(wait);
    }

    #[cfg(feature = "http")]
    fn head(&mut self, _head: &buttress_core::classify::Head<'_>) {
        let Some(hot) = self.hot().filter(|_| self.time.is_asked()) else {
            return;
        };
        let ticks = hot.clock().ticks();
        let settled = ticks < hot.gate().settled_until();
        let taken = if settled { self.end(hot, ticks) } else { None };
        let taken = taken.or_else(|| {
            let (shared, now) = (hot.rest()?, hot.clock().instant(ticks));
            Some(shared.with_at(now, |_| self.end_shut(hot, ticks)))
        });
        // Of a breaker that is gone nobody asks.
        let Taken { age, overdue } = taken.unwrap_or_default();
        self.time = Time::Over { age, overdue };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Breaker, Config, Rule, Window};
    use buttress_core::clock::ManualClock;

    #[test]
    fn a_success_that_matters_to_no_rule_is_counted_without_the_machine() {
        let config = Config::default().clock(ManualClock::new().clock());
        let breaker = Breaker::new("gate", config).unwrap();
        let permit = breaker.try_acquire().unwrap();
        let hot = Arc::clone(permit.hot().unwrap());
        // Whoever comes first looks at the machine.
        permit.record(Outcome::Success);
        assert_eq!(hot.gate().shut(), 0);
        drop(breaker.try_acquire());
        breaker.try_acquire().unwrap().record(Outcome::Success);
        breaker.try_acquire().unwrap().record(Outcome::Success);
        assert_eq!(hot.gate().shut(), 2);
    }

    #[test]
    fn after_a_change_of_state_the_machine_is_looked_at_before_calls_are_counted_at_the_gate() {
        let time = ManualClock::new();
        let slow = Rule::SlowRate {
            slower_than: Duration::from_secs(1),
            ratio: 1.0,
            min_calls: 2,
            window: Window::Calls(2),
        };
        let config = Config::default().clock(time.clock()).rules([slow]);
        let breaker = Breaker::new("gate", config).unwrap();
        let permit = breaker.try_acquire().unwrap();
        let hot = Arc::clone(permit.hot().unwrap());
        let now = hot.clock().ticks();
        assert!(now < hot.gate().settled_until());
        breaker.handle().observe();
        assert!(now >= hot.gate().settled_until());
        drop(breaker.try_acquire());
        assert!(now < hot.gate().settled_until());
    }
}
