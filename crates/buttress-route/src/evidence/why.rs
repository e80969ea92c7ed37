//! What of the evidence makes a request dear, and what it would have to be to make it less so.

use buttress_core::clock::Instant;

use super::score::{FAILURE_COST, FLOOR, INDISTINCT, Pool, SLOW};
use super::{Evidence, PRIOR_CALLS};

/// What failures waste of the time to a good answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failures {
    /// In nanoseconds.
    pub(crate) wasted: f64,
    /// The last ones say more than how many there were.
    pub(crate) in_a_row: bool,
    /// More ran into a limit than failed.
    pub(crate) by_limits: bool,
}

/// A figure of the evidence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) observed: f64,
    /// At most this, and it would not be dear.
    pub(crate) most: f64,
    /// How many calls it is of.
    pub(crate) calls: u64,
}

impl Evidence {
    /// What failures waste at `now`.
    pub(crate) fn failures(&self, now: Instant, pool: &Pool) -> Failures {
        let wasted = self.wasted(now, self.kept_at(now), pool);
        Failures {
            wasted: wasted.most(),
            in_a_row: wasted.in_a_row >= wasted.by_share,
            by_limits: self.limited > self.calls - self.successes,
        }
    }

    /// Answers take so long, in nanoseconds, where nothing else is dear up to `most`. What is slow however little it has to do
    /// weighs as much as the others have in flight ([`SLOW`]).
    pub(crate) fn takes(&self, latency: f64, most: f64, now: Instant, pool: &Pool) -> Shown {
        let kept = self.kept_at(now);
        let slow = SLOW * (pool.latency + INDISTINCT) - INDISTINCT;
        let most = if most > slow && self.slow_if_idle(now, kept, pool) > 0.0 {
            (most + slow * pool.load) / (1.0 + pool.load)
        } else {
            most
        };
        Shown {
            observed: latency / 1e9,
            most: most.max(0.0) / 1e9,
            calls: whole(self.answers * kept),
        }
    }

    /// So many failed in a row, more than chance has it.
    pub(crate) fn failed_in_a_row(&self, pool: &Pool) -> Shown {
        Shown {
            observed: self.failures_in_a_row.into(),
            most: pool.unlikely_run - 1.0,
            calls: self.failures_in_a_row.into(),
        }
    }

    /// Such a share had no good answer, where up to `most` may be wasted.
    pub(crate) fn failed(&self, most: f64, now: Instant, pool: &Pool) -> Shown {
        let kept = self.kept_at(now);
        let (calls, good) = ((self.calls + self.limited) * kept, self.successes * kept);
        // What `Evidence::wasted` makes of a share, the other way round.
        let usual = (pool.latency + INDISTINCT) * pool.eased * pool.load_at_ease();
        let shown = 1.0 / (1.0 + most / usual / FAILURE_COST).max(1.0);
        let needed = shown * (1.0 - pool.failing).max(FLOOR) * (calls + PRIOR_CALLS) - PRIOR_CALLS;
        let calls = calls.max(f64::MIN_POSITIVE);
        Shown {
            observed: 1.0 - good / calls,
            most: (1.0 - needed / calls).clamp(0.0, 1.0),
            calls: whole(calls),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no more than there were"
)]
fn whole(calls: f64) -> u64 {
    calls.ceil() as u64
}
