//! What all clones of a mirror share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use buttress_core::clock::Clock;
use buttress_core::config::ConfigError;
use buttress_core::rng::Rng;
use buttress_core::spawn::Spawn;
use tokio::sync::watch;

use super::config::Config;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    pub(super) spawn: Spawn,
    /// The share of the requests, as the bits of a number from 0 to 1.
    share: AtomicU64,
    config: ArcSwap<Config>,
    reconfiguring: Mutex<()>,
    /// Its end is that of all copies under way.
    pub(super) ends: watch::Sender<()>,
    pub(super) counts: Arc<Counts>,
}

/// Held by copies under way as well, which keep nothing else of the mirror.
#[derive(Debug, Default)]
pub(super) struct Counts {
    in_flight: AtomicUsize,
    results: [AtomicU64; 4],
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copied {
    Success,
    Failure,
    Late,
    Dropped,
}

/// The names of [`Copied`], in its order.
pub(super) const RESULTS: [&str; 4] = ["success", "failure", "late", "dropped"];

/// The place of a copy. It counts as dropped unless something else is said.
#[derive(Debug)]
pub(super) struct Place {
    counts: Arc<Counts>,
    pub(super) result: Copied,
}

impl Shared {
    pub(super) fn new(config: Config, spawn: Spawn) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            name: Arc::clone(&config.name),
            clock: config.clock.clone(),
            rng: config.rng.clone(),
            spawn,
            share: AtomicU64::new(config.share.to_bits()),
            config: ArcSwap::from_pointee(config),
            reconfiguring: Mutex::new(()),
            ends: watch::Sender::new(()),
            counts: Arc::default(),
        })
    }

    pub(super) fn config(&self) -> arc_swap::Guard<Arc<Config>> {
        self.config.load()
    }

    pub(super) fn reconfigure(&self, mut config: Config) -> Result<(), ConfigError> {
        config.validate()?;
        let _one = (self.reconfiguring.lock()).unwrap_or_else(PoisonError::into_inner);
        config.name = Arc::clone(&self.name);
        config.clock = self.clock.clone();
        config.rng = self.rng.clone();
        self.share.store(config.share.to_bits(), Ordering::Relaxed);
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// Whether chance has it that a request is copied.
    #[inline]
    pub(super) fn draw(&self) -> bool {
        let share = f64::from_bits(self.share.load(Ordering::Relaxed));
        share > 0.0 && self.rng.unit() < share
    }
}

impl Counts {
    /// A place for one more copy, unless as many are under way.
    pub(super) fn take_place(self: &Arc<Self>, most: usize) -> Option<Place> {
        let one_more = |live: usize| (live < most).then(|| live + 1);
        let taken = (self.in_flight).fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        let Ok(_) = taken else {
            self.count(Copied::Dropped);
            return None;
        };
        Some(Place {
            counts: Arc::clone(self),
            result: Copied::Dropped,
        })
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn results(&self) -> [u64; 4] {
        self.results.each_ref().map(|it| it.load(Ordering::Relaxed))
    }

    fn count(&self, result: Copied) {
        if let Some(count) = self.results.get(result as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.counts.count(self.result);
    }
}
