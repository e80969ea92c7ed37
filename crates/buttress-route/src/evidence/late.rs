//! Answers that took much longer than usual: how many there were, and whether the last of them are more than chance.

use buttress_core::clock::Instant;

use super::score::Pool;
use super::{Evidence, RUN};

/// An answer that took so many times the mean is much later than usual.
const MUCH_LATER: f64 = 4.0;
/// So many of them in a row are of another time: what was before counts no more than they do. A mean of thousands would not
/// be moved by them; where one request in ten is as heavy, chance has such a run once in a hundred thousand.
const OBSOLETE_RUN: u32 = 5;

impl Evidence {
    /// The share of calls whose answers were much later than usual, with how many calls it is of, at `now`.
    pub(crate) fn late_at(&self, now: Instant) -> (f64, f64) {
        let share = self.late / self.calls.max(1.0);
        (share, self.calls * self.kept_at(now))
    }

    /// Whether the last answer was much later than usual.
    pub(super) const fn is_late(&self) -> bool {
        self.late_in_a_row > 0
    }

    /// An answer took so long, which is in the mean already.
    #[inline]
    pub(super) fn heed_lateness(&mut self, nanos: f64) {
        if nanos * self.answers > MUCH_LATER * self.latency_sum {
            self.much_later();
        } else {
            self.late_in_a_row = 0;
        }
    }

    #[cold]
    fn much_later(&mut self) {
        self.late_in_a_row += 1;
        let weight = RUN as f64;
        if self.late_in_a_row >= OBSOLETE_RUN && self.answers > 2.0 * weight {
            let before = self.latency_sum / self.answers;
            self.latency_sum = weight * before + self.run.iter().sum::<f64>();
            self.answers = 2.0 * weight;
            self.late_in_a_row = 0;
        }
    }

    /// The least that the last few answers took: of as many as were much later than usual where that is more than chance,
    /// and of [`RUN`] otherwise.
    pub(super) fn least_of_late(&self, pool: &Pool) -> f64 {
        let in_a_row = if f64::from(self.late_in_a_row) >= pool.late_run {
            self.late_in_a_row as usize
        } else {
            RUN
        };
        let last = self.run.iter().rev().take(in_a_row);
        last.copied().fold(f64::INFINITY, f64::min)
    }
}
