//! What a room knows of a thing's health, and how it tells the others.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{Clock, Instant};

/// The health of an endpoint, a dependency or the service itself. `Degraded` serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HealthStatus {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// All is well.
    Healthy,
    /// It serves, with less than it should have.
    Degraded,
    /// It does not serve.
    Unhealthy,
}

impl HealthStatus {
    /// The name used in labels, log lines and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// Whether traffic may be sent: all but `Unhealthy`.
    pub const fn serves(self) -> bool {
        !matches!(self, Self::Unhealthy)
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One room's word on something's health, read by another: a breaker on an endpoint publishes, the
/// router reads. Clones share the word; reading and publishing are one relaxed atomic each, and a
/// clock read where the word has an end.
#[derive(Clone, Debug, Default)]
pub struct HealthSignal(Arc<Word>);

#[derive(Debug, Default)]
struct Word {
    /// A status; or, beyond [`LAST_STATUS`], the instant until which it is `Unhealthy`.
    said: AtomicU64,
    clock: Clock,
}

const LAST_STATUS: u64 = HealthStatus::Unhealthy as u64;

impl HealthSignal {
    /// A signal that says `Unknown`.
    pub fn new() -> Self {
        Self::default()
    }

    /// A signal that says `Unknown`, and takes the ends of what it says from `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        let said = AtomicU64::default();
        Self(Arc::new(Word { said, clock }))
    }

    /// Says `status` from now on.
    pub fn publish(&self, status: HealthStatus) {
        self.0.said.store(status as u64, Ordering::Relaxed);
    }

    /// Says `Unhealthy` until `end`, and from then on `Degraded` without anybody's doing: who sends no
    /// traffic to what is unhealthy will try it again.
    pub fn publish_unhealthy_until(&self, end: Instant) {
        let end = end.as_nanos().max(LAST_STATUS + 1);
        self.0.said.store(end, Ordering::Relaxed);
    }

    /// What was said last, as it is by now.
    pub fn status(&self) -> HealthStatus {
        match self.0.said.load(Ordering::Relaxed) {
            0 => HealthStatus::Unknown,
            1 => HealthStatus::Healthy,
            2 => HealthStatus::Degraded,
            LAST_STATUS => HealthStatus::Unhealthy,
            end if self.0.clock.now().as_nanos() < end => HealthStatus::Unhealthy,
            _ => HealthStatus::Degraded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_says_what_was_published_last_to_every_clone() {
        let signal = HealthSignal::new();
        let reader = signal.clone();
        assert_eq!(reader.status(), HealthStatus::Unknown);
        for status in [
            HealthStatus::Healthy,
            HealthStatus::Degraded,
            HealthStatus::Unhealthy,
        ] {
            signal.publish(status);
            assert_eq!(reader.status(), status);
        }
    }

    #[test]
    fn unhealthy_with_an_end_serves_from_that_instant_on() {
        let time = crate::clock::ManualClock::new();
        let signal = HealthSignal::with_clock(time.clock());
        let nano = std::time::Duration::from_nanos(1);
        let wait = std::time::Duration::from_secs(5);
        signal.publish_unhealthy_until(time.now().saturating_add(wait));
        time.advance(wait.saturating_sub(nano));
        assert_eq!(signal.status(), HealthStatus::Unhealthy);
        time.advance(nano);
        assert_eq!(signal.status(), HealthStatus::Degraded);
        signal.publish_unhealthy_until(Instant::ORIGIN);
        assert_eq!(signal.status(), HealthStatus::Degraded);
        signal.publish(HealthStatus::Unhealthy);
        time.advance(wait);
        assert_eq!(signal.status(), HealthStatus::Unhealthy);
    }

    #[test]
    fn degraded_serves() {
        assert!(HealthStatus::Degraded.serves());
        assert!(!HealthStatus::Unhealthy.serves());
    }
}
