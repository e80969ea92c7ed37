//! What an adaptive rule has learned, and how sure a share is.

#![allow(unreachable_pub, reason = "a part of one test binary")]

use std::time::Duration;

/// What has been learned: weights of all calls and of bad ones, as of a time.
#[derive(Clone, Copy, Default)]
pub struct Usual {
    pub total: f64,
    pub bad: f64,
    at: u64,
}

impl Usual {
    pub fn learn(&mut self, at: u64, (total, bad): (u64, u64), memory: Duration) {
        let passed = Duration::from_nanos(at.saturating_sub(self.at));
        let kept = (-passed.as_secs_f64() / memory.as_secs_f64()).exp();
        self.total = self.total * kept + total as f64;
        self.bad = self.bad * kept + bad as f64;
        self.at = self.at.max(at);
    }
}

pub fn lower_bound(total: u64, bad: u64) -> f64 {
    if bad == 0 {
        return 0.0;
    }
    let (n, p, z) = (total as f64, bad as f64 / total as f64, 3.0);
    let spread = (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    (p + z * z / (2.0 * n) - z * spread) / (1.0 + z * z / n)
}
