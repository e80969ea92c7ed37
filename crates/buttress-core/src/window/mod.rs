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
}
