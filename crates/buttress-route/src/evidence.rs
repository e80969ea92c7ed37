//! What an endpoint's answers have shown, and what that makes a request to it cost.
//!
//! The latency is that of **successes alone**: a fast failure must not look like a fast endpoint.
//! The share of successes is kept apart and enters the cost as the time that failures waste. Both
//! fade with time towards what the pool shows as a whole, so that a shunned endpoint is tried again.
//!
//! The estimate is a plain decayed mean and not a peak: one late answer among many says little, and
//! a peak of a long-tailed endpoint is noise that herds traffic. What a mean is too slow for, a
//! **run** shows: three answers in a row above the mean, or more failures in a row than are chance, count at once. A
//! run is believed for a tenth of the time that a mean is, so that a false alarm among mixed requests
//! is over soon.
//!
//! Where nobody looks at who is shunned a few failures stay inside the noise band: whether an endpoint simply fails is
//! for the rules to say, with a verdict, and an endpoint that is shunned for its first failure would never show them
//! a second. Where copies do, one failure is enough in a pool that has shown none else, and puts the endpoint in **doubt**: good
//! answers of requests that were on their way say nothing against it, and copies have to. It costs as much as some requests more
//! in flight elsewhere, so that others are not overrun for one that fails now and then. The cost is for what rules miss: that
//! one, and the one that the budget keeps in the pool.

use std::time::Duration;

use buttress_core::clock::Instant;

/// How many late answers in a row are more than chance.
const RUN: usize = 3;
/// A run fades this many times as fast as everything else.
const RUN_FADES: i32 = 10;
/// One of failures so many times.
const FAILURES_FADE: i32 = 5;
/// Answers that took so many times the mean, so many in a row, are of another time: what was before counts no more than
/// they do. A mean of thousands would not be moved by them; where one request in ten is as heavy, chance has such a run once
/// in a hundred thousand.
const OBSOLETE: f64 = 4.0;
/// See [`OBSOLETE`].
const OBSOLETE_RUN: u32 = 5;
/// Calls that an endpoint is credited with as successes before it has shown anything.
///
/// With a failure's cost of 10 and a noise band of a quarter, five failures of an endpoint without a
/// history stay inside the band: `5 / 200 × 10 = 0.25`.
const PRIOR_CALLS: f64 = 200.0;
/// Successes that weigh against a run of failures.
const PRIOR_RUN: f64 = 5.0;
/// Answers after which an endpoint's own latency weighs as much as the pool's.
const PRIOR_ANSWERS: f64 = 1.0;
/// Answers beyond these make nobody surer.
const ENOUGH_ANSWERS: f64 = 8.0;
/// Less than so much of a call says nothing.
const FORGOTTEN: f64 = 0.01;
/// A share of successes below this costs no more.
const FLOOR: f64 = 0.02;
/// What a failure wastes, in answers of the pool's median.
const FAILURE_COST: f64 = 10.0;
/// The same of a run of failures that weighs as much as its prior, in requests that others have more in flight: to them it
/// is not multiplied by what they have. Whoever fails now and then has to be asked before all others are overrun.
const RUN_COST: f64 = 20.0;
/// Latencies below a microsecond are all the same.
const SHORTEST: f64 = 1e3;
/// Beside so much the differences between short latencies are those of the network and of scheduling: what costs a
/// request half a millisecond more is no worse an endpoint, and without this all would run after the one that is
/// a little nearer, or has just been asked less.
pub(crate) const INDISTINCT: f64 = 1e6;
/// An answer is late by at least so many times the mean: what is less is inside the noise band, and shows
/// when the score is made next.
const LATE: f64 = 1.25;
/// Up to so many times the median, or as much less, endpoints that are alike differ by how busy they have been of late.
/// By the time that shows it is over, and many routers that all ran from the same difference would make the next one.
const USUAL: f64 = 1.25;
/// Fading in smaller steps than this buys nothing.
const STEP: Duration = Duration::from_millis(1);

/// What a request to an endpoint would cost, were nothing else in flight there. In nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    /// The time to an answer.
    pub(crate) latency: f32,
    /// The time that failures waste.
    pub(crate) penalty: f32,
}

impl Score {
    /// That of an endpoint which has shown nothing, in a pool of this median latency.
    pub(crate) fn unknown(reference: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "24 bits are more than is known"
        )]
        Self {
            latency: (reference + INDISTINCT) as f32,
            penalty: 0.0,
        }
    }
}

/// What the evidence is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    /// The median latency, in nanoseconds.
    pub(crate) latency: f64,
    /// The median share of failures.
    pub(crate) failing: f64,
    /// So many failures in a row are more than chance: from 1 up.
    pub(crate) unlikely_run: f64,
    /// Requests in flight at an endpoint, in the mean.
    pub(crate) load: f64,
}

/// The decayed evidence of one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    decay: f64,
    at: Instant,
    calls: f64,
    successes: f64,
    /// Calls that ran into a limit: nobody's failure, and answered nothing.
    limited: f64,
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
    /// Answers that took [`OBSOLETE`] times the mean or more.
    much_later_in_a_row: u32,
}

impl Evidence {
    pub(crate) fn new(decay: Duration, now: Instant) -> Self {
        Self {
            decay: decay.as_secs_f64(),
            at: now,
            calls: 0.0,
            successes: 0.0,
            limited: 0.0,
            answers: 0.0,
            latency_sum: 0.0,
            peak: 0.0,
            sureness: 0.0,
            run: [0.0; RUN],
            failures_in_a_row: 0,
            doubted_from: 0,
            much_later_in_a_row: 0,
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
    }

    /// A call failed.
    pub(crate) fn failure(&mut self, now: Instant) {
        self.fade(now);
        self.calls += 1.0;
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
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
        self.limited = 0.0;
        (self.failures_in_a_row, self.doubted_from) = (0, 0);
        self.run = [0.0; RUN];
        (self.answers, self.latency_sum, self.sureness) = (0.0, 0.0, 0.0);
        self.peak = 0.0;
        self.much_later_in_a_row = 0;
    }

    /// What failed may not be over.
    pub(crate) const fn doubt_anew(&mut self) {
        (self.failures_in_a_row, self.doubted_from) = (1, 1);
    }

    /// A failure has come, and somebody looks at whoever is doubted.
    pub(crate) fn doubt_beyond_chance(&mut self, pool: &Pool) {
        self.doubted_from = if self.is_beyond_chance(pool) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "no more than there were failures"
            )]
            let from = pool.unlikely_run as u32;
            from.max(1)
        } else {
            0
        };
    }

    /// A failure has come, and nobody looks: what copies were to show of those before, the rules wait for.
    pub(crate) const fn doubt_no_more(&mut self) {
        if self.doubted_from > 0 {
            (self.failures_in_a_row, self.doubted_from) = (1, 0);
        }
    }

    /// Whether the failures were more than chance, and still are.
    pub(crate) fn is_in_doubt(&self, pool: &Pool) -> bool {
        self.doubted_from > 0 && self.is_beyond_chance(pool)
    }

    fn is_beyond_chance(&self, pool: &Pool) -> bool {
        f64::from(self.failures_in_a_row) >= pool.unlikely_run
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
        (spotless && usual && self.sureness >= ENOUGH_ANSWERS).then_some(mean)
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

    /// What the evidence makes a request cost at `now`, in a pool that shows as much.
    pub(crate) fn score(&self, now: Instant, pool: &Pool) -> Score {
        let kept = self.kept_at(now);
        let run_kept = kept.powi(RUN_FADES);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "24 bits are more than is known"
        )]
        Score {
            latency: (self.latency(kept, run_kept, pool.latency) + INDISTINCT) as f32,
            penalty: self.penalty(kept, pool) as f32,
        }
    }

    /// The peak latency at `now`, in nanoseconds: jumps up with the first slow answer, comes down with time. That of
    /// the pool where there is none.
    pub(crate) fn peak_at(&self, now: Instant, reference: f64) -> f64 {
        if self.peak > 0.0 {
            self.peak * self.kept_at(now)
        } else {
            reference
        }
    }

    fn latency(&self, kept: f64, run_kept: f64, reference: f64) -> f64 {
        let Some(mean) = self.mean() else {
            return reference;
        };
        let slowest_floor = self.run.iter().copied().fold(f64::INFINITY, f64::min);
        let rise = (slowest_floor - mean).max(0.0) * run_kept;
        let sureness = self.sureness * kept;
        let believed = sureness / (sureness + PRIOR_ANSWERS);
        // Between the two on a scale of ratios: a wait of a thousand times the median fades in little
        // more time than one of ten times.
        reference * beyond_the_usual(((mean + rise) / reference).powf(believed))
    }

    fn penalty(&self, kept: f64, pool: &Pool) -> f64 {
        let calls = (self.calls + self.limited) * kept;
        let shown = (self.successes * kept + PRIOR_CALLS) / (calls + PRIOR_CALLS);
        // What fails everywhere is no reason to go elsewhere.
        let shown = (shown / (1.0 - pool.failing).max(FLOOR)).min(1.0);
        let in_a_row = (f64::from(self.failures_in_a_row) + 1.0 - pool.unlikely_run).max(0.0);
        let run = in_a_row * kept.powi(FAILURES_FADE) / PRIOR_RUN * RUN_COST / (1.0 + pool.load);
        let ratio = (1.0 - shown) / shown.max(FLOOR) * FAILURE_COST;
        ratio.max(run) * (pool.latency + INDISTINCT)
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
        if nanos * self.answers > OBSOLETE * self.latency_sum {
            self.much_later();
        } else {
            self.much_later_in_a_row = 0;
        }
    }

    #[cold]
    fn much_later(&mut self) {
        self.much_later_in_a_row += 1;
        let weight = RUN as f64;
        if self.much_later_in_a_row >= OBSOLETE_RUN && self.answers > 2.0 * weight {
            let before = self.latency_sum / self.answers;
            self.latency_sum = weight * before + self.run.iter().sum::<f64>();
            self.answers = 2.0 * weight;
            self.much_later_in_a_row = 0;
        }
    }

    /// Returns the share that is left of what there was.
    fn fade(&mut self, now: Instant) -> f64 {
        if now.saturating_since(self.at) < STEP {
            return 1.0;
        }
        let kept = self.kept_at(now);
        self.at = now;
        self.calls *= kept;
        self.successes *= kept;
        self.limited *= kept;
        if self.limited < FORGOTTEN {
            self.limited = 0.0;
        }
        self.sureness *= kept;
        self.peak *= kept;
        // After a gap the next answer counts by the gap's length, however many came before it: an
        // endpoint that is tried again after long is judged by what it shows then.
        let left = self.answers * kept;
        let left = left.min(kept / (1.0 - kept));
        self.latency_sum *= left / self.answers.max(f64::MIN_POSITIVE);
        self.answers = left;
        kept
    }

    /// The share of the evidence that is left at `now`.
    fn kept_at(&self, now: Instant) -> f64 {
        let idle = now.saturating_since(self.at);
        if idle < STEP {
            return 1.0;
        }
        left_after(idle, self.decay)
    }
}

/// The share that is left after `passed` of what fades to a part in e within `decay` seconds.
///
/// A short time is most of what is asked for, now and then on the path of a request, where the exponential
/// would be read from memory that nothing else needs.
pub(crate) fn left_after(passed: Duration, decay: f64) -> f64 {
    const SHORT: f64 = 1.0 / 64.0;
    let age = passed.as_secs_f64() / decay;
    if age > SHORT {
        return (-age).exp();
    }
    // Taylor's series; the next term is less than 3e-9.
    1.0 - age * (1.0 - age / 2.0 * (1.0 - age / 3.0))
}

/// A ratio of latencies, where those that mean nothing are 1, and larger ones soon are what they are: see [`USUAL`].
fn beyond_the_usual(ratio: f64) -> f64 {
    let (longer, shorter) = (ratio / USUAL, ratio * USUAL);
    if longer > 1.0 {
        ratio.min(longer * longer)
    } else if shorter < 1.0 {
        ratio.max(shorter * shorter)
    } else {
        1.0
    }
}

fn nanos(duration: Duration) -> f64 {
    let (seconds, rest) = (duration.as_secs(), duration.subsec_nanos());
    (seconds as f64 * 1e9 + f64::from(rest)).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: f64 = 1e6;
    const POOL: Pool = Pool {
        latency: 10.0 * MS,
        failing: 0.0,
        unlikely_run: 5.0,
        load: 0.0,
    };
    const START: Instant = Instant::from_nanos(3_600_000_000_000);

    fn evidence() -> Evidence {
        Evidence::new(Duration::from_secs(10), START)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// In parts of what the pool costs, which is 10 ms.
    fn cost(evidence: &Evidence, now: Instant) -> f64 {
        let score = evidence.score(now, &POOL);
        let part = f64::from(score.latency + score.penalty) / (POOL.latency + INDISTINCT);
        part * POOL.latency
    }

    fn steady(count: u32) -> Evidence {
        let mut evidence = evidence();
        (0..count).for_each(|_| evidence.success(ms(10), START));
        evidence
    }

    #[test]
    fn an_endpoint_that_has_shown_nothing_costs_what_the_pool_does() {
        assert!((cost(&evidence(), START) - 10.0 * MS).abs() < 1.0);
    }

    #[test]
    fn who_has_shown_nothing_has_the_score_of_nobody_whatever_the_pool_shows() {
        for (latency, failing) in [(1e3, 0.0), (10.0 * MS, 0.3), (1e12, 1.0)] {
            let unlikely_run = 7.0;
            let pool = Pool {
                latency,
                failing,
                unlikely_run,
                load: 3.0,
            };
            assert_eq!(evidence().score(START, &pool), Score::unknown(latency));
        }
    }

    #[test]
    fn a_failure_never_makes_an_endpoint_look_fast() {
        let mut evidence = steady(100);
        let before = evidence.score(START, &POOL);
        evidence.failure(START);
        let after = evidence.score(START, &POOL);
        assert!((after.latency - before.latency).abs() < 1.0);
        assert!(after.penalty > before.penalty);
    }

    #[test]
    fn every_failure_raises_the_cost() {
        let mut evidence = steady(20);
        let mut last = cost(&evidence, START);
        for _ in 0..100 {
            evidence.failure(START);
            let next = cost(&evidence, START);
            assert!(next > last, "{next} after {last}");
            last = next;
        }
    }

    #[test]
    fn differences_of_busyness_are_held_for_none_and_others_for_what_they_are() {
        for (ratio, counted) in [
            (1.0, 1.0),
            (1.25, 1.0),
            (0.8, 1.0),
            (1.4, 1.2544),
            (1.6, 1.6),
            (10.0, 10.0),
            (0.5, 0.5),
        ] {
            let shown = beyond_the_usual(ratio);
            assert!((shown - counted).abs() < 1e-9, "{ratio}: {shown}");
        }
    }

    #[test]
    fn a_run_of_another_time_outweighs_a_long_history() {
        let mut evidence = steady(10_000);
        (0..4).for_each(|_| evidence.success(ms(100), START));
        assert!(evidence.mean().unwrap() < 11.0 * MS, "four may be chance");
        evidence.success(ms(100), START);
        assert!(evidence.mean().unwrap() > 50.0 * MS);
        // Not where others come in between, nor where the run is not beyond all that was.
        let mut evidence = steady(10_000);
        for _ in 0..10 {
            (0..4).for_each(|_| evidence.success(ms(100), START));
            evidence.success(ms(10), START);
        }
        (0..5).for_each(|_| evidence.success(ms(30), START));
        assert!(evidence.mean().unwrap() < 11.0 * MS);
    }

    #[test]
    fn where_one_failure_is_no_chance_it_shows_and_copies_that_went_well_do_not_hide_it() {
        let pool = Pool {
            unlikely_run: 1.0,
            ..POOL
        };
        let mut evidence = steady(100);
        let penalty = |evidence: &Evidence| f64::from(evidence.score(START, &pool).penalty);
        assert!(penalty(&evidence) < MS);
        evidence.failure(START);
        let failed = penalty(&evidence);
        assert!(failed > 10.0 * MS);
        evidence.success_of_copy(ms(10), START);
        assert!(penalty(&evidence) > 0.9 * failed);
        evidence.success(ms(10), START);
        assert!(penalty(&evidence) < MS);
    }

    #[test]
    fn a_doubt_stays_while_some_answers_are_good_and_bears_what_others_bear_at_most() {
        let of_load = |load| Pool {
            unlikely_run: 1.0,
            load,
            ..POOL
        };
        let mut evidence = steady(600);
        for _ in 0..20 {
            evidence.failure(START);
            evidence.doubt_beyond_chance(&of_load(0.0));
            (0..9).for_each(|_| evidence.success_of_copy(ms(10), START));
        }
        assert!(evidence.is_in_doubt(&of_load(0.0)));
        // The same number of requests more, whether the others have none in flight or ten.
        let more = |load: f64| {
            let penalty = f64::from(evidence.score(START, &of_load(load)).penalty);
            penalty * (1.0 + load) / (POOL.latency + INDISTINCT)
        };
        assert!((more(0.0) - 4.0).abs() < 0.01, "{}", more(0.0));
        assert!((more(3.0) - 4.0).abs() < 0.01, "{}", more(3.0));
        // Where all fail as often there is none.
        let all_fail = Pool {
            unlikely_run: 4.0,
            ..POOL
        };
        assert!(!evidence.is_in_doubt(&all_fail));
        evidence.failure(START);
        evidence.doubt_no_more();
        assert!(!evidence.is_in_doubt(&of_load(0.0)) && evidence.has_failed());
    }

    #[test]
    fn short_latencies_are_told_apart_by_what_is_more_than_noise() {
        let pool = Pool {
            latency: 0.4 * MS,
            ..POOL
        };
        let cost = |us: u64, failures: u32| {
            let mut evidence = evidence();
            (0..1_000).for_each(|_| evidence.success(Duration::from_micros(us), START));
            (0..failures).for_each(|_| evidence.failure(START));
            let score = evidence.score(START, &pool);
            f64::from(score.latency + score.penalty)
        };
        assert!(cost(700, 0) < 1.25 * cost(400, 0));
        assert!(cost(2_000, 0) > 1.7 * cost(400, 0));
        assert!(
            cost(400, 100) > 1.25 * cost(400, 0),
            "failures count as before"
        );
    }

    #[test]
    fn one_late_answer_among_many_is_inside_the_noise_and_three_in_a_row_are_not() {
        let mut evidence = steady(1_000);
        evidence.success(ms(100), START);
        assert!(cost(&evidence, START) < 11.0 * MS);
        evidence.success(ms(100), START);
        evidence.success(ms(100), START);
        assert!(cost(&evidence, START) > 70.0 * MS);
    }

    #[test]
    fn a_peak_is_up_at_once_and_comes_down_with_time() {
        let mut evidence = steady(100);
        evidence.success(ms(100), START);
        assert!((evidence.peak_at(START, MS) - 100.0 * MS).abs() < 1.0);
        let later = START.saturating_add(Duration::from_secs(10));
        evidence.success(ms(10), later);
        let faded = (-1.0_f64).exp();
        let expected = (100.0 * faded + 10.0 * (1.0 - faded)) * MS;
        assert!((evidence.peak_at(later, MS) - expected).abs() < 1.0);
        let idle = later.saturating_add(Duration::from_secs(10));
        assert!((evidence.peak_at(idle, MS) - expected * faded).abs() < 1.0);
        assert!((self::evidence().peak_at(START, MS) - MS).abs() < 1.0);
    }

    #[test]
    fn a_false_alarm_is_over_in_a_few_seconds() {
        let mut evidence = steady(1_000);
        (0..3).for_each(|_| evidence.success(ms(100), START));
        let later = START.saturating_add(Duration::from_secs(4));
        assert!(cost(&evidence, later) < 12.5 * MS);
    }

    #[test]
    fn a_slow_endpoint_is_forgiven_when_its_evidence_has_faded() {
        let mut evidence = evidence();
        (0..1_000).for_each(|_| evidence.success(ms(100), START));
        assert!(cost(&evidence, START) > 70.0 * MS);
        let later = START.saturating_add(Duration::from_secs(120));
        assert!(cost(&evidence, later) < 11.0 * MS);
    }

    #[test]
    fn a_slow_endpoint_that_is_tried_again_is_judged_by_what_it_shows_then() {
        let mut evidence = evidence();
        (0..1_000).for_each(|_| evidence.success(ms(100), START));
        let later = START.saturating_add(Duration::from_secs(20));
        (0..2).for_each(|_| evidence.success(ms(10), later));
        assert!(cost(&evidence, later) < 20.0 * MS);
    }

    #[test]
    fn whoever_left_after_a_long_wait_has_shown_that_the_endpoint_is_slow() {
        let mut evidence = steady(3);
        evidence.waited(ms(2_000), START, 10.0 * MS);
        assert!(cost(&evidence, START) > 100.0 * MS);
    }

    #[test]
    fn whoever_left_at_once_has_shown_nothing() {
        let mut evidence = steady(3);
        let before = cost(&evidence, START);
        evidence.waited(ms(1), START, 10.0 * MS);
        assert!((cost(&evidence, START) - before).abs() < f64::EPSILON);
    }

    #[test]
    fn an_endpoint_that_refuses_by_a_limit_is_dear_and_has_not_failed() {
        let mut evidence = steady(100);
        (0..100).for_each(|_| evidence.limited(START));
        assert!(cost(&evidence, START) > 30.0 * MS);
        assert!(evidence.failing_at(START).0 < f64::EPSILON);
        assert_eq!(evidence.steady_latency(), None);
        let later = START.saturating_add(Duration::from_secs(120));
        evidence.success(ms(10), later);
        assert!(cost(&evidence, later) < 11.0 * MS);
        (0..8).for_each(|_| evidence.success(ms(10), later));
        assert!(evidence.steady_latency().is_some());
    }

    #[test]
    fn a_pardoned_endpoint_costs_what_the_pool_does() {
        let mut evidence = evidence();
        (0..50).for_each(|_| evidence.failure(START));
        assert!(cost(&evidence, START) > 100.0 * MS);
        evidence.pardon(START);
        assert!((cost(&evidence, START) - 10.0 * MS).abs() < 1.0);
    }

    #[test]
    fn the_failures_that_a_rule_waits_for_stay_inside_the_noise() {
        let mut evidence = evidence();
        (0..4).for_each(|_| evidence.failure(START));
        assert!(cost(&evidence, START) < 12.5 * MS);
        evidence.failure(START);
        assert!(cost(&evidence, START) > 25.0 * MS);
    }

    #[test]
    fn an_endpoint_that_fails_every_tenth_call_is_dearer_than_the_noise() {
        let mut evidence = evidence();
        for _ in 0..20 {
            evidence.failure(START);
            (0..9).for_each(|_| evidence.success(ms(10), START));
        }
        assert!(cost(&evidence, START) > 12.5 * MS);
    }

    #[test]
    fn what_is_left_is_the_exponential_of_the_age() {
        for nanos in (0..38).map(|power| 1_u64 << power) {
            let passed = Duration::from_nanos(nanos);
            let exact = (-passed.as_secs_f64() / 10.0).exp();
            assert!(
                (left_after(passed, 10.0) - exact).abs() < 4e-9,
                "{passed:?}"
            );
        }
    }
}
