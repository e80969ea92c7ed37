//! What the passing of time brings about, found out by whoever comes next.

use std::time::Duration;

use buttress_core::circuit::State;
use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use super::Machine;
use crate::inflight::{InFlight, Overdue};

impl Machine {
    /// Does what the passing of time up to `now` brings: calls in flight become slow, buckets leave
    /// their windows. To be called before whatever happens at `now`.
    #[inline]
    pub(crate) fn look(&mut self, now: Instant, in_flight: &InFlight, rng: &Rng) {
        self.seen = self.seen.max(now);
        self.count_slow_probes(now, rng);
        if now >= self.settled_until {
            self.pass_time(now, in_flight, rng);
        }
    }

    /// Probes are few, and each is looked at by itself.
    fn count_slow_probes(&mut self, now: Instant, rng: &Rng) {
        let Some(slow_after) = self.slow_after else {
            return;
        };
        let asked = self.asked(now);
        if let Some(opened) = self.circuit.overdue(slow_after, asked, now, rng) {
            self.changed(opened);
        }
    }

    pub(super) fn pass_time(&mut self, now: Instant, in_flight: &InFlight, rng: &Rng) {
        let next_slow = self.count_overdue(now, in_flight, rng);
        self.rules.roll(now, self.is_judged());
        if !self.reported.is_empty() {
            self.judge(now, rng);
        }
        self.looked_at = now;
        self.looks = self.looks.wrapping_add(1);
        self.settled_from = now;
        let bucket_end = in_flight.bucket_end(now);
        self.settled_until = self.rules.settled_until(now).min(next_slow).min(bucket_end);
    }

    /// Takes the calls into evidence that have become slow in flight, one after the other, as of when
    /// they did; says when the next will be.
    fn count_overdue(&mut self, now: Instant, in_flight: &InFlight, rng: &Rng) -> Instant {
        let times = (self.settled_until, now);
        let mut overdue = Vec::new();
        let next = in_flight.take_overdue(times, self.circuit.generation(), |calls| {
            overdue.push(calls);
        });
        overdue.sort_unstable_by_key(|calls| calls.due);
        let generation = self.circuit.generation();
        for calls in overdue {
            if self.circuit.generation() == generation {
                self.became_slow(calls, rng);
            }
        }
        next
    }

    /// What opens the circuit opens it as of then: a time in which nobody came is not added to that in
    /// which it is open.
    fn became_slow(&mut self, Overdue { place, calls, due }: Overdue, rng: &Rng) {
        if self.is_judged() {
            self.rules.overdue(place, calls, due);
            self.judge(due, rng);
        } else if self.watches_ramp {
            let calls = u32::try_from(calls).unwrap_or(u32::MAX);
            let asked = self.asked(due);
            if let Some(opened) = self.circuit.overdue_in_ramp(calls, asked, due, rng) {
                self.changed(opened);
            }
        }
    }

    /// What calls in flight are watched for: what the rules ask, or, on a ramp, what is `Slow`.
    pub(super) fn watched(&self) -> &[Duration] {
        if self.watches_ramp {
            self.slow_after.as_slice()
        } else {
            self.rules.thresholds()
        }
    }

    /// Has calls in flight watched for what matters in the present state. Where that changes all there
    /// are are of an earlier generation, and forgotten.
    #[inline]
    pub(crate) fn rewatch(&mut self, in_flight: &InFlight) {
        let ramping = self.circuit.state() == State::Ramping;
        if ramping == self.watches_ramp {
            return;
        }
        let before = self.watched().to_vec();
        self.watches_ramp = ramping;
        if *self.watched() != before {
            in_flight.set(self.watched(), Instant::ORIGIN);
            // Whoever comes next looks, and nobody is counted at the gate before: it knows of no bucket.
            self.settled_until = self.seen;
            self.settled_from = Instant::NEVER;
        }
    }
}
