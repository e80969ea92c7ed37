//! How evidence fades.

use std::time::Duration;

use buttress_core::clock::Instant;

use super::Evidence;

/// Less than so much of a call says nothing.
const FORGOTTEN: f64 = 0.01;
/// Fading in smaller steps than this buys nothing.
const STEP: Duration = Duration::from_millis(1);

impl Evidence {
    /// Returns the share that is left of what there was.
    pub(super) fn fade(&mut self, now: Instant) -> f64 {
        if now.saturating_since(self.at) < STEP {
            return 1.0;
        }
        let kept = self.kept_at(now);
        self.ease(now.saturating_since(self.at));
        self.at = now;
        self.calls *= kept;
        self.successes *= kept;
        self.limited *= kept;
        if self.limited < FORGOTTEN {
            self.limited = 0.0;
        }
        self.late *= kept;
        self.sureness *= kept;
        self.peak *= kept;
        // After a gap the next answer counts by the gap's length, however many came before it: an
        // endpoint that is tried again after long is judged by what it shows then.
        let left = self.answers * kept;
        let left = left.min(kept / (1.0 - kept));
        self.latency_sum *= left / self.answers.max(f64::MIN_POSITIVE);
        self.answers = left;
        kept
    }

    /// The share of the evidence that is left at `now`.
    pub(super) fn kept_at(&self, now: Instant) -> f64 {
        let idle = now.saturating_since(self.at);
        if idle < STEP {
            return 1.0;
        }
        left_after(idle, self.decay)
    }
}

/// The share that is left after `passed` of what fades to a part in e within `decay` seconds.
///
/// A short time is most of what is asked for, now and then on the path of a request, where the exponential
/// would be read from memory that nothing else needs.
pub(crate) fn left_after(passed: Duration, decay: f64) -> f64 {
    const SHORT: f64 = 1.0 / 64.0;
    let age = passed.as_secs_f64() / decay;
    if age > SHORT {
        return (-age).exp();
    }
    // Taylor's series; the next term is less than 3e-9.
    1.0 - age * (1.0 - age / 2.0 * (1.0 - age / 3.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_the_exponential_of_the_age() {
        for nanos in (0..38).map(|power| 1_u64 << power) {
            let passed = Duration::from_nanos(nanos);
            let exact = (-passed.as_secs_f64() / 10.0).exp();
            assert!(
                (left_after(passed, 10.0) - exact).abs() < 4e-9,
                "{passed:?}"
            );
        }
    }
}
