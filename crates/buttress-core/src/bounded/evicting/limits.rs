//! How much a map keeps.

use std::time::Duration;

use crate::config::{ConfigError, require};

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
        require(
            self.cap > 0,
            "limits.cap",
            || "with 0 every key shares one entry; use 1 or more",
        )?;
        let idle = self.idle_after;
        require(
            idle >= Duration::from_millis(1),
            "limits.idle_after",
            || format!("{idle:?} forgets a key between two uses; use at least 1ms"),
        )
    }
}
