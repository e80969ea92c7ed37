//! What all clones of a failover share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use buttress_core::clock::{Clock, Instant};
use buttress_core::config::ConfigError;

use super::budget::{Bucket, most};
use super::config::Config;
use super::reason::{Failed, GivenUp};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pool: Arc<str>,
    pub(super) clock: Clock,
    config: ArcSwap<Config>,
    enabled: AtomicBool,
    /// What each request needs of the configuration, without loading that: how long a body is held, and how full
    /// the bucket is when it is full.
    max_body: AtomicUsize,
    most: AtomicU64,
    bucket: Bucket,
    reconfiguring: Mutex<()>,
    pub(super) counts: Counts,
}

/// Counted where something failed, and nowhere else.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Attempts after the first, by what was wrong with the one before.
    pub(super) resent: [AtomicU64; 4],
    /// Failures that were answered with, by why they were not tried again.
    pub(super) given_up: [AtomicU64; 6],
    /// Requests that another attempt answered well.
    pub(super) recovered: AtomicU64,
}

impl Shared {
    pub(super) fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let clock = config.clock.clone();
        Ok(Self {
            pool: Arc::clone(&config.pool),
            enabled: AtomicBool::new(is_on(&config)),
            max_body: AtomicUsize::new(config.max_body),
            most: AtomicU64::new(most(&config.budget)),
            bucket: Bucket::full(&config.budget, clock.now()),
            reconfiguring: Mutex::new(()),
            counts: Counts::default(),
            config: ArcSwap::from_pointee(config),
            clock,
        })
    }

    #[inline]
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    pub(super) fn config(&self) -> arc_swap::Guard<Arc<Config>> {
        self.config.load()
    }

    pub(super) fn reconfigure(&self, mut config: Config) -> Result<(), ConfigError> {
        config.validate()?;
        let _one = (self.reconfiguring.lock()).unwrap_or_else(PoisonError::into_inner);
        config.pool = Arc::clone(&self.pool);
        config.clock = self.clock.clone();
        self.enabled.store(is_on(&config), Ordering::Relaxed);
        self.max_body.store(config.max_body, Ordering::Relaxed);
        self.most.store(most(&config.budget), Ordering::Relaxed);
        self.config.store(Arc::new(config));
        Ok(())
    }

    #[inline]
    pub(super) fn max_body(&self) -> usize {
        self.max_body.load(Ordering::Relaxed)
    }

    /// A request was answered well.
    #[inline]
    pub(super) fn earn(&self) {
        if !self.bucket.holds(self.most.load(Ordering::Relaxed)) {
            self.bucket.earn(&self.config().budget);
        }
    }

    /// Takes what it costs to send a request again, if that is there.
    pub(super) fn take(&self, config: &Config, now: Instant) -> Option<u64> {
        self.bucket.take(&config.budget, now)
    }

    /// What was taken was not used.
    pub(super) fn give_back(&self, taken: u64) {
        self.bucket.give_back(taken, &self.config().budget);
    }

    /// What was paid for was answered well, or failed.
    pub(super) fn learn(&self, well: bool) {
        self.bucket.learn(well);
    }

    pub(super) fn left(&self) -> u64 {
        self.bucket.left(&self.config().budget, self.clock.now())
    }
}

/// One attempt is what there is without any of this.
fn is_on(config: &Config) -> bool {
    config.enabled && config.attempts > 1
}

impl Counts {
    pub(super) fn resent(&self, failed: Failed) {
        count(self.resent.get(failed as usize));
    }

    pub(super) fn given_up(&self, why: GivenUp) {
        count(self.given_up.get(why as usize));
    }

    pub(super) fn recovered(&self) {
        count(Some(&self.recovered));
    }
}

fn count(of: Option<&AtomicU64>) {
    if let Some(of) = of {
        of.fetch_add(1, Ordering::Relaxed);
    }
}
