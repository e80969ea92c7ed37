//! What a half-open circuit should make of its probes.

use std::time::Duration;

use buttress_core::circuit::{Probing, State, Ticket};
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;

use super::{Model, verdict};

/// A ticket that was given out, and what has become of it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a model keeps each fact by itself"
)]
pub(crate) struct Given {
    pub(crate) ticket: Ticket,
    pub(crate) generation: u64,
    /// When a probe's lease began and when it runs out.
    pub(crate) lease: Option<(Instant, Instant)>,
    pub(crate) settled: bool,
    /// Its answer had begun well while the lease was live.
    pub(crate) answered: bool,
    /// It was answered and its lease has run out, which has been counted.
    pub(crate) reaped: bool,
    /// Its place has been taken back.
    pub(crate) gone: bool,
    /// It was in flight for too long, which has been counted.
    pub(crate) slow: bool,
}

impl Given {
    fn is_live(&self, now: Instant) -> bool {
        !self.settled && self.lease.is_some_and(|(_, expires)| expires > now)
    }

    fn is_reapable(&self, now: Instant) -> bool {
        let over = self.lease.is_some_and(|(_, expires)| expires <= now);
        over && self.answered && !self.settled && !self.reaped
    }

    /// When it has been in flight for longer than `after`, if it is then and nothing has been heard of it.
    fn slow_at(&self, after: Duration) -> Option<Instant> {
        let (since, expires) = self.lease.filter(|_| !self.settled && !self.gone)?;
        let at = since.saturating_add(after.saturating_add(Duration::from_nanos(1)));
        (at < expires && !self.answered && !self.slow).then_some(at)
    }
}

impl Model {
    pub(crate) fn probes_in_flight(&self, now: Instant) -> usize {
        let present = |given: &&Given| given.generation == self.generation;
        let live = self.tickets.iter().filter(present);
        live.filter(|given| given.is_live(now)).count()
    }

    pub(crate) fn max_probes(&self) -> usize {
        self.settings.max_probes.get() as usize
    }

    /// How many probes may end badly; of how many, the rest have to end well.
    pub(super) fn bearable(&self) -> (u32, u32) {
        match self.settings.probing {
            Probing::Successes(n) => (0, n.get()),
            Probing::Rate {
                probes,
                max_bad_ratio,
            } => {
                let n = probes.get();
                let borne = |bad: &u32| f64::from(*bad) <= max_bad_ratio * f64::from(n) + 1e-9;
                ((0..n).rev().find(borne).unwrap(), n)
            }
            _ => unreachable!(),
        }
    }

    pub(super) fn probes_suffice(&self, more: u32) -> bool {
        let (bearable, of) = self.bearable();
        self.good() + more >= of - bearable
    }

    pub(super) fn reapable(&self, now: Instant) -> u32 {
        let given = self.tickets.iter();
        let given = given.filter(|given| given.generation == self.generation);
        given.map(|given| u32::from(given.is_reapable(now))).sum()
    }

    pub(super) fn reap(&mut self, now: Instant) {
        let present = self.generation;
        for given in &mut self.tickets {
            if given.generation != present {
                continue;
            }
            if given.is_reapable(now) {
                given.reaped = true;
                self.ended.push(true);
            }
            given.gone |= given.lease.is_some() && !given.is_live(now);
        }
    }

    pub(crate) fn answered(&mut self, i: usize, now: Instant) {
        let given = &mut self.tickets[i];
        let present = given.generation == self.generation;
        given.answered |= present && given.is_live(now) && !given.slow;
    }

    pub(super) fn settle_probe(&mut self, outcome: Outcome, asked: Option<Duration>, now: Instant) {
        self.ended.extend(verdict(outcome));
        if self.bad() > self.bearable().0 {
            self.open(asked, now);
        } else if self.probes_suffice(0) {
            self.recover(now);
        }
    }

    /// One moment after the other up to `now`: which probes become slow, and which leases run out.
    pub(crate) fn overdue(&mut self, after: Duration, asked: Option<Duration>, now: Instant) {
        while self.state == State::HalfOpen {
            let generation = self.generation;
            let present = |given: &&Given| given.generation == generation;
            let waiting = self.tickets.iter().filter(present);
            let next = waiting.filter_map(|given| given.slow_at(after)).min();
            let ended = |at: &Instant| self.limit.is_some_and(|(limit, _)| limit <= *at);
            let Some(at) = next.filter(|at| *at <= now && !ended(at)) else {
                return;
            };
            self.reap(at);
            if self.probes_suffice(0) {
                return;
            }
            let slow = |given: &&mut Given| given.generation == generation;
            for given in self.tickets.iter_mut().filter(slow) {
                if given.slow_at(after).is_some_and(|slow_at| slow_at <= at) {
                    given.slow = true;
                    self.ended.push(false);
                }
            }
            if self.bad() > self.bearable().0 {
                let asked = asked.map(|asked| asked.saturating_add(now.saturating_since(at)));
                self.open(asked, at);
            }
        }
    }
}
