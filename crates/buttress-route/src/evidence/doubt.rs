//! Whether failures that were more than chance are over, where copies look.
//!
//! An endpoint that fails now and then mostly has a good answer on its way when one fails. That says nothing against
//! what failed: copies have to go well, until the endpoint is pardoned.

use super::Evidence;
use super::score::Pool;

impl Evidence {
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
}
