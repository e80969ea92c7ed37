//! What the evidence makes a request cost.

use std::time::Duration;

use buttress_core::clock::Instant;

use super::{Evidence, PRIOR_CALLS};

/// A run fades this many times as fast as everything else.
const RUN_FADES: i32 = 10;
/// One of failures so many times.
const FAILURES_FADE: i32 = 5;
/// Answers after which an endpoint's own latency weighs as much as the pool's.
const PRIOR_ANSWERS: f64 = 1.0;
/// A share of successes below this costs no more.
pub(super) const FLOOR: f64 = 0.02;
/// What a failure wastes, in answers of the pool's median.
pub(super) const FAILURE_COST: f64 = 10.0;
/// A failure in a row beyond chance costs as much as so many requests more in flight elsewhere, however many those are that the
/// others have: whoever fails now and then has to be asked before all others are overrun.
const RUN_COST: f64 = 4.0;
/// A mean latency of more than so many times the pool's is that of an endpoint which is slow, and not of one that is busier
/// or smaller than others.
pub(super) const SLOW: f64 = 3.0;
/// For so long after its last answer nobody is sent to whoever is slow, where requests have to find out whether it still is.
const LEFT_ALONE: Duration = Duration::from_secs(1);
/// Beside so much the differences between short latencies are those of the network and of scheduling: what costs a
/// request half a millisecond more is no worse an endpoint, and without this all would run after the one that is
/// a little nearer, or has just been asked less.
pub(crate) const INDISTINCT: f64 = 1e6;
/// Up to so many times the median, or as much less, endpoints that are alike differ by how busy they have been of late.
/// By the time that shows it is over, and many routers that all ran from the same difference would make the next one.
const USUAL: f64 = 1.25;

/// What a request to an endpoint would cost, were nothing else in flight there. In nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    /// The time to an answer.
    pub(crate) latency: f32,
    /// The time that failures waste, and what is lost where it is slow however little it has to do: to be weighed by what
    /// is in flight elsewhere.
    pub(crate) penalty: f32,
}

impl Score {
    /// What a request costs with nothing else in flight, where nothing has come back for so long.
    pub(crate) fn idle(self, silence: f64) -> f64 {
        f64::from(self.latency).max(silence) + f64::from(self.penalty)
    }

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

/// The time that failures waste, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wasted {
    /// For how large their share is.
    pub(super) by_share: f64,
    /// For how many the last ones are.
    pub(super) in_a_row: f64,
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
    /// So many answers in a row that were much later than usual are more than chance: from 1 up.
    pub(crate) late_run: f64,
    /// Requests in flight at an endpoint, in the mean.
    pub(crate) load: f64,
    /// The part of what an answer takes and of that load that there would be at ease: 1 unless the pool is pressed.
    pub(crate) eased: f64,
    /// Copies of requests look at whoever is shunned.
    pub(crate) looked_at: bool,
}

impl Evidence {
    /// What the evidence makes a request cost at `now`, in a pool that shows as much.
    pub(crate) fn score(&self, now: Instant, pool: &Pool) -> Score {
        let kept = self.kept_at(now);
        let run_kept = kept.powi(RUN_FADES);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "24 bits are more than is known"
        )]
        Score {
            latency: (self.latency(kept, run_kept, pool) + INDISTINCT) as f32,
            penalty: (self.wasted(now, kept, pool).most() + self.slow_if_idle(now, kept, pool))
                as f32,
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

    fn latency(&self, kept: f64, run_kept: f64, pool: &Pool) -> f64 {
        let reference = pool.latency;
        let Some(mean) = self.mean() else {
            return reference;
        };
        let rise = (self.least_of_late(pool) - mean).max(0.0) * run_kept;
        let sureness = self.sureness * kept;
        let believed = sureness / (sureness + PRIOR_ANSWERS);
        let ratio = (mean + rise) / reference;
        // What is believed of it is nearer to 1. Of most endpoints nothing is beyond the usual, and a power, which is
        // asked for on the path of a request, is read from memory that nothing else needs.
        if is_usual(ratio) {
            return reference;
        }
        // Between the two on a scale of ratios: a wait of a thousand times the median fades in little
        // more time than one of ten times.
        reference * beyond_the_usual(ratio.powf(believed))
    }

    /// Who is slow with next to nothing in flight is no faster for that. Answers of the others took what they took with all
    /// that these have in flight, and the more that is the cheaper the slow one would look: what it takes beyond [`SLOW`]
    /// counts as if it had as much. By the mean alone: a run may be a queue that is already worked off.
    ///
    /// That is dearer than whatever the others cost. Where no copy looks at it requests have to find out when it is over: after
    /// each [`LEFT_ALONE`], and from the first answer on that is not late.
    pub(super) fn slow_if_idle(&self, now: Instant, kept: f64, pool: &Pool) -> f64 {
        if !(pool.looked_at || self.was_just_slow(now, pool)) {
            return 0.0;
        }
        let slow = SLOW * (pool.latency + INDISTINCT);
        // What is believed of it is no more than both.
        if self.mean().unwrap_or_default().max(pool.latency) + INDISTINCT <= slow {
            return 0.0;
        }
        let latency = self.latency(kept, 0.0, pool) + INDISTINCT;
        let beyond = latency - slow;
        beyond.max(0.0) * pool.load / (1.0 + pool.load)
    }

    fn was_just_slow(&self, now: Instant, pool: &Pool) -> bool {
        let [.., last] = self.run;
        last > SLOW * (pool.latency + INDISTINCT) && now.saturating_since(self.at) < LEFT_ALONE
    }

    /// A failure wastes an answer, as long and beside as many others as at ease: where there is more to do than the pool can,
    /// whoever fails a part of it still bears the rest. Weighed by the queues of the others it would be kept from that by the
    /// queues that it could shorten.
    pub(super) fn wasted(&self, now: Instant, kept: f64, pool: &Pool) -> Wasted {
        let calls = (self.calls + self.limited) * kept;
        let shown = (self.successes * kept + PRIOR_CALLS) / (calls + PRIOR_CALLS);
        // What fails everywhere is no reason to go elsewhere.
        let shown = (shown / (1.0 - pool.failing).max(FLOOR)).min(1.0);
        let in_a_row = (f64::from(self.failures_in_a_row) + 1.0 - pool.unlikely_run).max(0.0);
        let run =
            in_a_row * self.run_left(now, kept.powi(FAILURES_FADE)) * RUN_COST / (1.0 + pool.load);
        let ratio = (1.0 - shown) / shown.max(FLOOR) * FAILURE_COST;
        let usual = (pool.latency + INDISTINCT) * pool.eased;
        Wasted {
            by_share: ratio * pool.load_at_ease() * usual,
            in_a_row: run * usual,
        }
    }
}

impl Pool {
    /// The part of what a usual endpoint costs as busy as they are that it would cost at ease.
    pub(super) fn load_at_ease(&self) -> f64 {
        (1.0 + self.load * self.eased) / (1.0 + self.load)
    }
}

impl Wasted {
    /// What counts: those in a row are among the share.
    pub(super) const fn most(self) -> f64 {
        self.by_share.max(self.in_a_row)
    }
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

/// Whether a ratio of latencies, or any power of it up to itself, means nothing.
fn is_usual(ratio: f64) -> bool {
    (1.0 / USUAL..=USUAL).contains(&ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failure_wastes_is_weighed_at_ease_however_long_the_queues_of_the_others_are() {
        let at_ease = Pool {
            latency: 1e7,
            failing: 0.0,
            unlikely_run: 5.0,
            late_run: 5.0,
            load: 3.0,
            eased: 1.0,
            looked_at: false,
        };
        let pressed = Pool {
            latency: 1e8,
            load: 30.0,
            ..at_ease
        };
        let eased = Pool {
            eased: 0.1,
            ..pressed
        };
        let now = Instant::ORIGIN;
        for one_in in [2, 3] {
            let pattern: [bool; 21] = std::array::from_fn(|nth| nth % one_in == 0);
            let mut evidence = Evidence::new(Duration::from_secs(10), now);
            for failed in pattern {
                if failed {
                    evidence.failure(now);
                } else {
                    evidence.success(Duration::from_millis(10), now);
                }
            }
            let penalty = |pool: &Pool| {
                let penalty = f64::from(evidence.score(now, pool).penalty);
                penalty * (1.0 + pool.load)
            };
            assert!(penalty(&pressed) > 5.0 * penalty(&at_ease));
            let part = penalty(&eased) / penalty(&at_ease);
            assert!((0.8..1.2).contains(&part), "{part}");
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
    fn a_ratio_that_means_nothing_does_so_in_every_power_up_to_itself() {
        for ratio in [0.8, 0.9, 1.0, 1.1, 1.25] {
            assert!(is_usual(ratio), "{ratio}");
            for believed in [0.0, 0.1, 0.5, 0.999, 1.0] {
                let shown = beyond_the_usual(f64::powf(ratio, believed));
                assert!((shown - 1.0).abs() < f64::EPSILON, "{ratio} to {believed}");
            }
        }
        for ratio in [0.79, 1.26, f64::NAN, f64::INFINITY] {
            assert!(!is_usual(ratio), "{ratio}");
        }
    }

    #[test]
    fn who_is_slow_with_nothing_to_do_costs_what_is_believed_of_it_beyond_that() {
        let now = Instant::from_nanos(3_600_000_000_000);
        let pool = Pool {
            latency: 10e6,
            failing: 0.0,
            unlikely_run: 5.0,
            late_run: 5.0,
            load: 3.0,
            eased: 1.0,
            looked_at: true,
        };
        let mut slow = 0;
        for answers in [1, 3, 100] {
            for millis in [1, 10, 29, 31, 32, 33, 50, 200, 5_000] {
                let mut evidence = Evidence::new(Duration::from_secs(10), now);
                (0..answers).for_each(|_| evidence.success(Duration::from_millis(millis), now));
                let believed = evidence.latency(1.0, 0.0, &pool) + INDISTINCT;
                let beyond = (believed - SLOW * (pool.latency + INDISTINCT)).max(0.0) * 0.75;
                let cost = evidence.slow_if_idle(now, 1.0, &pool);
                assert!((cost - beyond).abs() < 1e-3, "{answers} of {millis} ms");
                slow += u32::from(cost > 0.0);
            }
        }
        assert!(slow > 5, "{slow} are slow");
    }
}
