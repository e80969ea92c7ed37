//! What it is worth to send a request again: how many of late were answered well by another endpoint.
//!
//! Where others fail as well, what is sent again is load that they cannot bear, and of many routers each would add as much. There
//! a token buys less, and time brings fewer.

use std::sync::atomic::{AtomicU32, Ordering};

/// All of them, in parts.
const ALL: u32 = 1 << 16;
/// Each counts for one in so many.
const OF: u32 = 8;
/// It is never less than one in so many, so that it is found out when others are well again.
const LEAST: u32 = ALL / 32;
/// However little it is worth, a request that is sent again costs no more tokens.
const DEAREST: u64 = 4;

/// The share of late that was answered well.
#[derive(Debug)]
pub(super) struct Worth(AtomicU32);

impl Worth {
    pub(super) const fn whole() -> Self {
        Self(AtomicU32::new(ALL))
    }

    /// One that was sent again was answered well, or failed.
    pub(super) fn learn(&self, well: bool) {
        let order = Ordering::Relaxed;
        let learnt = |worth: u32| {
            let gained = if well { ALL / OF } else { 0 };
            Some((worth - worth / OF + gained).clamp(LEAST, ALL))
        };
        // It always learns.
        let _ = self.0.fetch_update(order, order, learnt);
    }

    /// 1, or less where what is sent again fails.
    pub(super) fn share(&self) -> f64 {
        f64::from(self.0.load(Ordering::Relaxed)) / f64::from(ALL)
    }

    /// What one costs that costs so much where all are answered well.
    pub(super) fn price(&self, one: u64) -> u64 {
        let worth = u64::from(self.0.load(Ordering::Relaxed)).max(1);
        (one * u64::from(ALL) / worth).min(one * DEAREST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_fail_again_the_dearer_they_are_until_some_are_answered_well() {
        let worth = Worth::whole();
        assert_eq!(worth.price(1_000), 1_000);
        worth.learn(true);
        assert_eq!(worth.price(1_000), 1_000);
        (0..4).for_each(|_| worth.learn(false));
        assert!((1_500..2_000).contains(&worth.price(1_000)));
        (0..100).for_each(|_| worth.learn(false));
        assert_eq!(worth.price(1_000), 4_000);
        assert!(worth.share() > 0.03);
        (0..30).for_each(|_| worth.learn(true));
        assert!(worth.price(1_000) < 1_050);
    }
}
