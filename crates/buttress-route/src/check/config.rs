//! How often endpoints are asked, and what it takes to believe them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use buttress_core::config::{ConfigError, require};

/// The shortest interval and timeout.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How often endpoints are asked, and what it takes to believe them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Checks {
    /// From the end of a check to the next one of the same endpoint. Default 5 s; 10 ms to a day.
    pub interval: Duration,
    /// The same, of an endpoint that is suspect: its last check failed, it has not passed enough of
    /// them, or the pool keeps it out. Default 1 s; at most the interval.
    pub suspect_interval: Duration,
    /// Each interval is longer or shorter by up to this share, so that checks do not run in step.
    /// Default 0.2; 0 to 0.5.
    pub jitter: f64,
    /// How long a check may take; beyond, it has failed. Default 1 s; 10 ms to a day.
    pub timeout: Duration,
    /// So many successes in a row take back what failures have said. Default 2.
    pub rise: NonZeroU32,
    /// So many failures in a row take the endpoint out. Default 3.
    pub fall: NonZeroU32,
    /// So many checks of a pool run at once; others wait. Default 16.
    pub concurrency: NonZeroUsize,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            suspect_interval: Duration::from_secs(1),
            jitter: 0.2,
            timeout: Duration::from_secs(1),
            rise: NonZeroU32::MIN.saturating_add(1),
            fall: NonZeroU32::MIN.saturating_add(2),
            concurrency: NonZeroUsize::MIN.saturating_add(15),
        }
    }
}

impl Checks {
    /// From the end of a check to the next one. A longer interval of suspects becomes the same.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self.suspect_interval = self.suspect_interval.min(interval);
        self
    }

    /// The same, of an endpoint that is suspect.
    #[must_use]
    pub const fn suspect_interval(mut self, interval: Duration) -> Self {
        self.suspect_interval = interval;
        self
    }

    /// By what share intervals are longer or shorter.
    #[must_use]
    pub const fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// How long a check may take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many successes in a row take back what failures have said.
    #[must_use]
    pub const fn rise(mut self, successes: NonZeroU32) -> Self {
        self.rise = successes;
        self
    }

    /// How many failures in a row take the endpoint out.
    #[must_use]
    pub const fn fall(mut self, failures: NonZeroU32) -> Self {
        self.fall = failures;
        self
    }

    /// How many checks of the pool run at once.
    #[must_use]
    pub const fn concurrency(mut self, checks: NonZeroUsize) -> Self {
        self.concurrency = checks;
        self
    }

    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let spans = [
            ("interval", self.interval),
            ("suspect_interval", self.suspect_interval),
            ("timeout", self.timeout),
        ];
        for (field, span) in spans {
            require((SHORTEST..=LONGEST).contains(&span), field, || {
                format!("{span:?} is out of range; use {SHORTEST:?} to {LONGEST:?}")
            })?;
        }
        let often = self.suspect_interval <= self.interval;
        require(often, "suspect_interval", || {
            let interval = self.suspect_interval;
            format!(
                "{interval:?} is longer than the interval; a suspect is asked at least as often"
            )
        })?;
        require((0.0..=0.5).contains(&self.jitter), "jitter", || {
            format!("{} is no share of an interval; use 0 to 0.5", self.jitter)
        })
    }

    /// For how long requests leave the first probe to a check that is due.
    pub(crate) fn patience(&self) -> Duration {
        // As long as the check before may take, the wait for this one, and its own time.
        let wait = self.suspect_interval.mul_f64(1.0 + self.jitter);
        wait.saturating_add(self.timeout.saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_its_field() {
        let ok = Checks::default();
        assert_eq!(ok.validate(), Ok(()));
        assert_eq!(ok.interval(SHORTEST).validate(), Ok(()));
        let day_and = LONGEST.saturating_add(SHORTEST);
        for (checks, field) in [
            (ok.interval(Duration::ZERO), "interval"),
            (ok.interval(day_and), "interval"),
            (
                ok.suspect_interval(Duration::from_secs(6)),
                "suspect_interval",
            ),
            (ok.timeout(Duration::from_millis(9)), "timeout"),
            (ok.jitter(0.6), "jitter"),
            (ok.jitter(f64::NAN), "jitter"),
        ] {
            assert_eq!(checks.validate().unwrap_err().field(), field);
        }
    }
}
