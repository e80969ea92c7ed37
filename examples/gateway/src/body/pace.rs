//! How long an upload may be waited for: each pause by itself, and all pauses by what they brought.
//!
//! A bound on the single pause alone lets a client send one byte per pause for ever; a bound on
//! the whole cuts honest slow uploads. So the pauses together are bounded by a start-up allowance
//! plus the time the bytes so far would have taken at [`MIN_RATE`].

use std::time::Duration;

/// Bytes a second that an upload has to reach in the long run.
pub(super) const MIN_RATE: u64 = 512;

/// What an upload has been waited for, and what it has brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pause: Duration,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(super) const fn new(pause: Duration) -> Self {
        Self {
            pause,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// `bytes` came after a wait.
    pub(super) fn arrived(&mut self, bytes: u64, waited: Duration) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.waited = self.waited.saturating_add(waited);
    }

    /// Bytes so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How long the next frame may be waited for.
    pub(super) fn allowance(&self) -> Duration {
        let earned = self
            .pause
            .saturating_add(Duration::from_secs(self.bytes / MIN_RATE));
        earned.saturating_sub(self.waited).min(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    #[test]
    fn a_pause_is_bounded_however_much_came_before() {
        let mut pace = Pace::new(PAUSE);
        pace.arrived(1 << 30, Duration::from_secs(1));
        assert_eq!(pace.allowance(), PAUSE);
    }

    #[test]
    fn a_trickle_runs_out() {
        let mut pace = Pace::new(PAUSE);
        let mut frames = 0;
        while !pace.allowance().is_zero() {
            pace.arrived(1, Duration::from_secs(5).min(pace.allowance()));
            frames += 1;
            assert!(frames < 100, "a byte every five seconds is never cut");
        }
        assert_eq!(frames, 6);
    }

    #[test]
    fn a_slow_but_honest_upload_goes_on() {
        let mut pace = Pace::new(PAUSE);
        for _ in 0..10_000 {
            pace.arrived(MIN_RATE, Duration::from_secs(1));
            assert_eq!(pace.allowance(), PAUSE);
        }
    }
}
