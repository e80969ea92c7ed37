//! How the last few calls ended.

/// The last sixteen outcomes, a bit each: what a peer's run of failures is held against. A share that
/// fades with time would show what was, when all of them begin to fail.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    failed: u16,
    seen: u32,
}

impl Recent {
    #[inline]
    pub(super) fn record(&mut self, failed: bool) {
        self.failed = self.failed << 1 | u16::from(failed);
        self.seen = (self.seen + 1).min(u16::BITS);
    }

    /// The share of failures, with how many outcomes it is of.
    pub(super) fn share(self) -> (f64, f64) {
        let seen = f64::from(self.seen);
        (f64::from(self.failed.count_ones()) / seen.max(1.0), seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sixteen_count_and_no_more() {
        let mut recent = Recent::default();
        assert_eq!(recent.share(), (0.0, 0.0));
        (0..100).for_each(|_| recent.record(false));
        (0..4).for_each(|_| recent.record(true));
        assert_eq!(recent.share(), (0.25, 16.0));
        (0..16).for_each(|_| recent.record(true));
        assert_eq!(recent.share(), (1.0, 16.0));
    }
}
