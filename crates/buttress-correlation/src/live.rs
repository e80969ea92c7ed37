//! The configuration of a live layer, which a request reads without a lock.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use http::HeaderName;

use crate::Config;
use crate::counters::Counters;
use crate::name::kept;

/// What all services of a layer share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    config: ArcSwap<InForce>,
    /// How often the configuration was replaced; counted up after it.
    replaced: AtomicU64,
    pub(crate) counters: Counters,
}

/// A configuration, and what a request needs of it at hand.
#[derive(Debug)]
pub(crate) struct InForce {
    config: Config,
    /// [`Config::header`], for a response that outlives this.
    pub(crate) echo: &'static HeaderName,
}

impl InForce {
    fn new(config: Config) -> Self {
        config.mint.prepare();
        let echo = kept(&config.header);
        Self { config, echo }
    }
}

impl Default for InForce {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl Deref for InForce {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

impl Shared {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config: ArcSwap::from_pointee(InForce::new(config)),
            ..Self::default()
        }
    }

    pub(crate) fn replace(&self, config: Config) {
        self.config.store(Arc::new(InForce::new(config)));
        self.replaced.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn config(&self) -> Config {
        Config::clone(&self.config.load())
    }
}

/// The configuration as one service last saw it: whether it still is costs one load.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    shared: Arc<Shared>,
    config: Arc<InForce>,
    /// A configuration at least as new as after so many replacements.
    seen: u64,
}

impl Live {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let seen = shared.replaced.load(Ordering::Acquire);
        let config = shared.config.load_full();
        Self {
            shared,
            config,
            seen,
        }
    }

    /// The configuration in force, and the layer's counters.
    #[inline]
    pub(crate) fn now(&mut self) -> (&InForce, &Counters) {
        let replaced = self.shared.replaced.load(Ordering::Acquire);
        if replaced != self.seen {
            self.seen = replaced;
            self.config = self.shared.config.load_full();
        }
        (&self.config, &self.shared.counters)
    }
}
