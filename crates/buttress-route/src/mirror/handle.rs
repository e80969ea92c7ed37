//! A mirror, for whoever operates or reads it.

use std::sync::Arc;

use buttress_core::config::ConfigError;

use super::config::Config;
use super::shared::{RESULTS, Shared};

/// The handle of a [`super::MirrorLayer`]: what became of the copies, and a hand on them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MirrorHandle {
    shared: Arc<Shared>,
}

/// A mirror at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MirrorSnapshot {
    /// The mirror's name.
    pub mirror: Arc<str>,
    /// The share of the requests that is copied, 0 to 1.
    pub share: f64,
    /// Copies under way.
    pub in_flight: usize,
    /// What became of copies, name and count: `success`, `failure` (an error, a panic, a server's error), `late` (its
    /// time was over, or the mirror gone), `dropped` (no room for it).
    pub copies: Vec<(&'static str, u64)>,
}

impl MirrorHandle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What it has done so far.
    pub fn snapshot(&self) -> MirrorSnapshot {
        let counts = &self.shared.counts;
        MirrorSnapshot {
            mirror: Arc::clone(&self.shared.name),
            share: self.shared.config().share,
            in_flight: counts.in_flight(),
            copies: RESULTS.into_iter().zip(counts.results()).collect(),
        }
    }

    /// Replaces the configuration; counts and copies under way stay. Name, clock and generator stay as they were.
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        self.shared.reconfigure(config)
    }

    /// The configuration in force.
    pub fn config(&self) -> Config {
        Config::clone(&self.shared.config())
    }
}
