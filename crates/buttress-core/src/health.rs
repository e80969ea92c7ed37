//! What a room knows of a thing's health, and how it tells the others.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

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
/// router reads. Clones share the word; reading and publishing are one relaxed atomic each.
#[derive(Clone, Debug, Default)]
pub struct HealthSignal(Arc<AtomicU8>);

impl HealthSignal {
    /// A signal that says `Unknown`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says `status` from now on.
    pub fn publish(&self, status: HealthStatus) {
        self.0.store(status as u8, Ordering::Relaxed);
    }

    /// What was said last.
    pub fn status(&self) -> HealthStatus {
        match self.0.load(Ordering::Relaxed) {
            1 => HealthStatus::Healthy,
            2 => HealthStatus::Degraded,
            3 => HealthStatus::Unhealthy,
            _ => HealthStatus::Unknown,
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
    fn degraded_serves() {
        assert!(HealthStatus::Degraded.serves());
        assert!(!HealthStatus::Unhealthy.serves());
    }
}
