//! How much a map keeps.

use std::time::Duration;

use crate::config::ConfigError;

/// How much an [`Evicting`](super::Evicting) map keeps, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// At most so many keys have an entry of their own. Default 10,000; at least 1.
    pub cap: usize,
    /// An entry nobody has asked for during this time may go. Default 10 min; at least 1 ms.
    pub idle_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cap: 10_000,
            idle_after: Duration::from_secs(600),
        }
    }
}

impl Limits {
    /// At most so many keys have an entry of their own.
    #[must_use]
    pub const fn cap(mut self, cap: usize) -> Self {
        self.cap = cap;
        self
    }

    /// An entry nobody has asked for during this time may go.
    #[must_use]
    pub const fn idle_after(mut self, idle_after: Duration) -> Self {
        self.idle_after = idle_after;
        self
    }

    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.cap == 0 {
            let problem = "with 0 every key shares one entry; use 1 or more";
            return Err(ConfigError::new("limits.cap", problem));
        }
        if self.idle_after < Duration::from_millis(1) {
            let problem = format!(
                "{:?} forgets a key between two uses; use at least 1ms",
                self.idle_after
            );
            return Err(ConfigError::new("limits.idle_after", problem));
        }
        Ok(())
    }
}
