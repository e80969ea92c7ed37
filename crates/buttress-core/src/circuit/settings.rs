//! How long a circuit stays open, and how it probes.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Backoff;
use crate::config::ConfigError;

/// What a [`super::Circuit`] is set to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// How long the circuit stays open, by how often in a row it has. Default: 5 s, doubling up to
    /// 60 s, each up to a quarter longer.
    pub open_for: Backoff,
    /// How many probes may be in flight at once. Default 1.
    pub max_probes: NonZeroU32,
    /// How many probes have to succeed, with none failing, to close the circuit. Default 2.
    pub successes_to_close: NonZeroU32,
    /// After how long a probe gives its place back although it has not ended. Default 30 s.
    pub probe_deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            open_for: Backoff::default(),
            max_probes: NonZeroU32::MIN,
            successes_to_close: NonZeroU32::MIN.saturating_add(1),
            probe_deadline: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// How long the circuit stays open.
    #[must_use]
    pub fn open_for(mut self, open_for: Backoff) -> Self {
        self.open_for = open_for;
        self
    }

    /// How many probes may be in flight at once.
    #[must_use]
    pub fn max_probes(mut self, max_probes: NonZeroU32) -> Self {
        self.max_probes = max_probes;
        self
    }

    /// How many probes have to succeed to close the circuit.
    #[must_use]
    pub fn successes_to_close(mut self, successes: NonZeroU32) -> Self {
        self.successes_to_close = successes;
        self
    }

    /// After how long a probe gives its place back although it has not ended.
    #[must_use]
    pub fn probe_deadline(mut self, deadline: Duration) -> Self {
        self.probe_deadline = deadline;
        self
    }

    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.probe_deadline.is_zero() {
            let problem =
                "0 would forfeit every probe at once; use at least the time a call may take";
            return Err(ConfigError::new("probe_deadline", problem));
        }
        self.open_for.validate()
    }
}
