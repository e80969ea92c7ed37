//! Whether failures that were more than chance are over, where copies look.
//!
//! An endpoint that fails now and then mostly has a good answer on its way when one fails. That says nothing against
//! what failed: copies have to go well, until the endpoint is pardoned. Copies may be rare, or never go well where answers
//! take long now and then: as long after the last failure as evidence takes to fade the doubt is over whatever they say.

use buttress_core::clock::Instant;

use super::Evidence;
use super::score::Pool;

impl Evidence {
    /// What failed may not be over.
    pub(crate) const fn doubt_anew(&mut self, now: Instant) {
        (self.failures_in_a_row, self.doubted_from) = (1, 1);
        self.failed_at = now;
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
    pub(crate) fn is_in_doubt(&self, pool: &Pool, now: Instant) -> bool {
        self.doubted_from > 0 && !self.is_doubt_over(now) && self.is_beyond_chance(pool)
    }

    /// How much of a run of failures still counts at `now`.
    pub(super) fn run_left(&self, now: Instant, faded: f64) -> f64 {
        match self.doubted_from {
            0 => faded,
            _ if self.is_doubt_over(now) => 0.0,
            _ => 1.0,
        }
    }

    fn is_doubt_over(&self, now: Instant) -> bool {
        now.saturating_since(self.failed_at).as_secs_f64() >= self.decay
    }

    fn is_beyond_chance(&self, pool: &Pool) -> bool {
        f64::from(self.failures_in_a_row) >= pool.unlikely_run
    }
}
