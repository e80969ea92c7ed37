//! Exact counts over the last calls or the last stretch of time, in memory fixed at construction.

mod calls;
mod time;

pub use calls::CallWindow;
pub use time::{BUCKETS, TimeWindow};

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All calls in the window.
    pub total: u64,
    /// Those of them that were bad.
    pub bad: u64,
}

impl Counts {
    /// The share of bad calls, 0 of an empty window.
    pub fn ratio(self) -> f64 {
        if self.total == 0 {
            0.0
        } else {
            self.bad as f64 / self.total as f64
        }
    }

    /// The lower end of Wilson's score interval (1927) of that share, so many standard deviations
    /// wide: what the share is at least, as far as so few calls can tell.
    pub fn ratio_at_least(self, deviations: f64) -> f64 {
        if self.bad == 0 {
            return 0.0;
        }
        let (n, share) = (self.total as f64, self.ratio());
        let z2 = deviations * deviations;
        let middle = share + z2 / (2.0 * n);
        let spread = share.mul_add(1.0 - share, z2 / (4.0 * n)) / n;
        (deviations.mul_add(-spread.sqrt(), middle) / (1.0 + z2 / n)).max(0.0)
    }
}
