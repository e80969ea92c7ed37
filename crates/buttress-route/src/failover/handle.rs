//! Failover, for whoever operates or reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use buttress_core::config::ConfigError;

use super::config::Config;
use super::reason::{Failed, GivenUp};
use super::shared::Shared;

/// The handle of a [`super::FailoverLayer`]: what it does, and a hand on it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FailoverHandle {
    shared: Arc<Shared>,
}

/// Failover at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailoverSnapshot {
    /// The pool's name.
    pub pool: Arc<str>,
    /// Whether requests are sent again.
    pub enabled: bool,
    /// Attempts after the first, by what was wrong with the one before: name and count. Those that found
    /// no other endpoint are among them.
    pub resent: Vec<(&'static str, u64)>,
    /// Requests that another attempt answered well.
    pub recovered: u64,
    /// Failures that clients were answered with, by why they were not tried again.
    pub given_up: Vec<(&'static str, u64)>,
    /// How many may be sent again at once now.
    pub budget: u64,
}

impl FailoverHandle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What it has done so far.
    pub fn snapshot(&self) -> FailoverSnapshot {
        let counts = &self.shared.counts;
        FailoverSnapshot {
            pool: Arc::clone(&self.shared.pool),
            enabled: self.shared.is_enabled(),
            resent: named(&Failed::NAMES, &counts.resent),
            recovered: counts.recovered.load(Ordering::Relaxed),
            given_up: named(&GivenUp::NAMES, &counts.given_up),
            budget: self.shared.left(),
        }
    }

    /// Replaces the configuration; counts and what is left of the budget stay. The pool's name and the
    /// clock stay as they were.
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        self.shared.reconfigure(config)
    }

    /// The configuration in force.
    pub fn config(&self) -> Config {
        Config::clone(&self.shared.config())
    }
}

impl FailoverSnapshot {
    /// All attempts after the first.
    pub fn resends(&self) -> u64 {
        self.resent.iter().map(|(_, count)| count).sum()
    }
}

fn named(names: &[&'static str], counts: &[AtomicU64]) -> Vec<(&'static str, u64)> {
    let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
    names.iter().copied().zip(counts).collect()
}
