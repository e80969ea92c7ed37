//! Calls that become slow while they are in flight.

use std::time::Duration;

use super::{Cause, Circuit, Phase, Transition};
use crate::clock::Instant;
use crate::rng::Rng;

impl Circuit {
    /// Counts as slow the probes that by `now` have been in flight for longer than `slow_after`, whose
    /// answer has not begun and whose lease has not run out: each once, its end says nothing more. If
    /// that opens the circuit it has opened when the last of them became slow, so that a time that nobody
    /// looked at is not added to it. `asked` as in [`Circuit::trip`], from `now` on.
    ///
    /// For owners to whom slow calls are bad ones; to be called before whatever else happens at `now`.
    pub fn overdue(
        &mut self,
        slow_after: Duration,
        asked: Option<Duration>,
        now: Instant,
        rng: &Rng,
    ) -> Option<Transition> {
        let Phase::HalfOpen { probes, limit } = &mut self.phase else {
            return None;
        };
        while let Some(at) = probes.next_slow(slow_after).filter(|at| *at <= now) {
            // What ended half-open before that did so, though nobody has looked.
            if limit.is_some_and(|limit| limit.at <= at) {
                return None;
            }
            probes.reap(at);
            if probes.suffice(&self.settings) {
                return None;
            }
            probes.count_slow(slow_after, at);
            if probes.condemn(&self.settings) {
                let cause = Cause::Probes(probes.evidence(&self.settings));
                let asked = asked.map(|asked| asked.saturating_add(now.saturating_since(at)));
                return Some(self.open(at, rng, asked, cause));
            }
        }
        None
    }

    /// So many calls of the ramp became slow in flight, the last of them at `at`. They must not be
    /// settled when they end. `asked` as in [`Circuit::trip`], from `at` on.
    pub fn overdue_in_ramp(
        &mut self,
        calls: u32,
        asked: Option<Duration>,
        at: Instant,
        rng: &Rng,
    ) -> Option<Transition> {
        let Phase::Ramping(progress) = &mut self.phase else {
            return None;
        };
        let course = progress.overdue(self.settings.ramp.as_ref()?, calls);
        self.follow(course, asked, at, rng)
    }
}
