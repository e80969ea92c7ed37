//! What an endpoint's answers have shown, and what that makes a request to it cost.
//!
//! The latency is that of **successes alone**: a fast failure must not look like a fast endpoint.
//! The share of successes is kept apart and enters the cost as the time that failures waste. Both
//! fade with time towards what the pool shows as a whole, so that a shunned endpoint is tried again.
//!
//! The estimate is a plain decayed mean and not a peak: one late answer among many says little, and
//! a peak of a long-tailed endpoint is noise that herds traffic. One that nothing else came beside says much, whatever came
//! before: it counts by the time since. What a mean is too slow for, a
//! **run** shows: three answers in a row above the mean, or more failures in a row than are chance, count at once. Where copies
//! look at who is shunned, so do as many answers in a row that were much later than usual as are more than chance: a single one where
//! nobody in the pool has such. A run is believed for a tenth of the time that a mean is, so that a false alarm among mixed requests
//! is over soon. An answer that ends a long silence is a run by itself where others are still out: they were sent with it.
//!
//! Where nobody looks at who is shunned a few failures stay inside the noise band: whether an endpoint simply fails is
//! for the rules to say, with a verdict, and an endpoint that is shunned for its first failure would never show them
//! a second. Where copies do, one failure is enough in a pool that has shown none else, and puts the endpoint in **doubt**: good
//! answers of requests that were on their way say nothing against it, and copies have to. It costs as much as some requests more
//! in flight elsewhere, so that others are not overrun for one that fails now and then. The cost is for what rules miss: that
//! one, and the one that the budget keeps in the pool.

mod doubt;
mod ease;
mod fading;
mod late;
mod score;
mod why;

use std::time::Duration;

use buttress_core::clock::Instant;

pub(crate) use fading::left_after;
pub(crate) use score::{INDISTINCT, Pool, Score};
pub(crate) use why::Shown;

/// So many answers in a row above the mean are more than chance, however little they are.
const RUN: usize = 3;
/// Calls that an endpoint is credited with as successes before it has shown anything.
///
/// With a failure's cost of 10 and a noise band of a quarter, five failures of an endpoint without a
/// history stay inside the band: `5 / 200 × 10 = 0.25`.
const PRIOR_CALLS: f64 = 200.0;
/// Answers beyond these make nobody surer.
const ENOUGH_ANSWERS: f64 = 8.0;
/// Latencies below a microsecond are all the same.
const SHORTEST: f64 = 1e3;
/// An answer is late by at least so many times the mean: what is less is inside the noise band, and shows
/// when the score is made next.
const LATE: f64 = 1.25;
/// The decayed evidence of one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    decay: f64,
    at: Instant,
    calls: f64,
    successes: f64,
    /// Calls that ran into a limit: nobody's failure, and answered nothing.
    limited: f64,
    /// Answers that were much later than usual.
    late: f64,
    answers: f64,
    latency_sum: f64,
    /// The latency that jumps up at once and comes down as it fades; 0 if there is none.
    peak: f64,
    /// How far the latency is to be believed, in answers.
    sureness: f64,
    /// The last latencies, newest last.
    run: [f64; RUN],
    failures_in_a_row: u32,
    /// From so many on they were more than chance when the last came, and whoever looks at it has not shown that they are
    /// over; 0 if there is no doubt.
    doubted_from: u32,
    /// When the last of them came, or the doubt began.
    failed_at: Instant,
    /// The last ones that were.
    late_in_a_row: u32,
    /// The least mean of late; infinite where there is none.
    at_ease: f64,
}

impl Evidence {
    pub(crate) fn new(decay: Duration, now: Instant) -> Self {
        Self {
            decay: decay.as_secs_f64(),
            at: now,
            calls: 0.0,
            successes: 0.0,
            limited: 0.0,
            late: 0.0,
            answers: 0.0,
            latency_sum: 0.0,
            peak: 0.0,
            sureness: 0.0,
            run: [0.0; RUN],
            failures_in_a_row: 0,
            doubted_from: 0,
            failed_at: now,
            late_in_a_row: 0,
            at_ease: f64::INFINITY,
        }
    }

    /// A good answer came after `latency`.
    pub(crate) fn success(&mut self, latency: Duration, now: Instant) {
        self.success_of_copy(latency, now);
        (self.failures_in_a_row, self.doubted_from) = (0, 0);
    }

    /// The same to a copy that nobody waited for: whether what failed before is over is for many of them to say
    /// ([`Evidence::pardon`]). Not everything fails, and the doubt is the least there is.
    pub(crate) fn success_of_copy(&mut self, latency: Duration, now: Instant) {
        if self.doubted_from > 0 {
            self.failures_in_a_row = self.failures_in_a_row.min(self.doubted_from);
        }
        let kept = self.fade(now);
        self.calls += 1.0;
        self.successes += 1.0;
        self.answered(nanos(latency), kept);
        if self.is_late() {
            self.late += 1.0;
        }
    }

    /// An answer that took so long ended a silence in which as many others were out as make a run: these are as late. To be
    /// told before the answer itself.
    pub(crate) fn others_are_as_late(&mut self, latency: Duration, now: Instant) {
        self.fade(now);
        self.run = [nanos(latency); RUN];
    }

    /// A call failed.
    pub(crate) fn failure(&mut self, now: Instant) {
        self.fade(now);
        self.calls += 1.0;
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.failed_at = now;
    }

    /// A call ran into a limit of the endpoint's. That is nobody's failure, and the rules do not see it; but
    /// whoever sent it has no answer, and an endpoint that refuses at once must not look quick.
    pub(crate) fn limited(&mut self, now: Instant) {
        self.fade(now);
        self.limited += 1.0;
    }

    /// Somebody waited as long and left without an answer: the latency was at least that.
    pub(crate) fn waited(&mut self, wait: Duration, now: Instant, reference: f64) {
        let kept = self.fade(now);
        let wait = nanos(wait);
        if wait > self.mean().unwrap_or(reference) {
            self.answered(wait, kept);
        }
    }

    /// Forgets what failed and what was slow: the endpoint has been let back.
    pub(crate) fn pardon(&mut self, now: Instant) {
        self.fade(now);
        let kept = self.successes.min(PRIOR_CALLS);
        (self.calls, self.successes) = (kept, kept);
        (self.limited, self.late) = (0.0, 0.0);
        (self.failures_in_a_row, self.doubted_from) = (0, 0);
        self.run = [0.0; RUN];
        (self.answers, self.latency_sum, self.sureness) = (0.0, 0.0, 0.0);
        self.peak = 0.0;
        self.late_in_a_row = 0;
    }

    pub(crate) fn set_decay(&mut self, decay: Duration) {
        self.decay = decay.as_secs_f64();
    }

    /// Whether a failure was the last that was heard, but for what copies saw.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failures_in_a_row > 0
    }

    /// When something was last learnt.
    pub(crate) const fn as_of(&self) -> Instant {
        self.at
    }

    /// The decayed mean latency in nanoseconds, if there is one.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.answers > 1e-6).then(|| self.latency_sum / self.answers)
    }

    /// The mean latency if a score stands on next to nothing else: nothing failed of late, nothing is much
    /// slower than usual, and there is enough to believe it.
    #[inline]
    pub(crate) fn steady_latency(&self) -> Option<f64> {
        #[expect(
            clippy::float_cmp,
            reason = "without a failure both are made by the same steps"
        )]
        let spotless = self.calls == self.successes && self.limited == 0.0;
        let mean = self.latency_sum / self.answers;
        let usual = self.run.iter().any(|latency| *latency <= mean * LATE);
        (spotless && usual && !self.is_late() && self.sureness >= ENOUGH_ANSWERS).then_some(mean)
    }

    /// The mean latency with how far it is to be believed at `now`. A pool's median must not be that
    /// of endpoints which took no traffic since, or they would be held against a time that is over.
    pub(crate) fn latency_at(&self, now: Instant) -> Option<(f64, f64)> {
        Some((self.mean()?, self.sureness * self.kept_at(now)))
    }

    /// The share of failures with how many calls it is of, at `now`.
    pub(crate) fn failing_at(&self, now: Instant) -> (f64, f64) {
        let share = (self.calls - self.successes) / self.calls.max(1.0);
        (share, self.calls * self.kept_at(now))
    }

    /// The share of successes, credited with a few.
    pub(crate) fn success_ratio(&self, now: Instant) -> f64 {
        let kept = self.kept_at(now);
        (self.successes * kept + PRIOR_CALLS) / (self.calls * kept + PRIOR_CALLS)
    }

    /// `kept`: the share of the evidence that is left since the answer before.
    fn answered(&mut self, nanos: f64, kept: f64) {
        self.peak = nanos.max(self.peak + nanos * (1.0 - kept));
        self.answers += 1.0;
        self.latency_sum += nanos;
        self.sureness = (self.sureness + 1.0).min(ENOUGH_ANSWERS);
        self.run.rotate_left(1);
        if let Some(last) = self.run.last_mut() {
            *last = nanos;
        }
        self.heed_lateness(nanos);
    }
}

fn nanos(duration: Duration) -> f64 {
    let (seconds, rest) = (duration.as_secs(), duration.subsec_nanos());
    (seconds as f64 * 1e9 + f64::from(rest)).max(SHORTEST)
}

#[cfg(test)]
mod tests;
