//! What the endpoints of a pool share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::events::Events;
use buttress_core::rng::Rng;

use crate::config::Config;
use crate::ledger::Ledger;
use crate::snapshot::Event;

/// The median latency of a pool that has shown none.
const DEFAULT_REFERENCE: Duration = Duration::from_millis(10);

/// The pool's name, its clock and generator, its budget, its events and its median.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pool: Arc<str>,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) ledger: Ledger,
    pub(crate) events: Events<Event>,
    /// The median latency of the pool, nanoseconds in `f64`'s bits.
    reference: AtomicU64,
    pub(crate) referenced_at: AtomicU64,
}

impl Shared {
    pub(crate) fn new(config: &Config) -> Self {
        let reference = DEFAULT_REFERENCE.as_secs_f64() * 1e9;
        Self {
            pool: Arc::clone(&config.pool),
            clock: config.clock.clone(),
            rng: config.rng.clone(),
            ledger: Ledger::new(config.max_ejected),
            events: Events::new(),
            reference: AtomicU64::new(reference.to_bits()),
            referenced_at: AtomicU64::new(0),
        }
    }

    pub(crate) fn reference(&self) -> f64 {
        f64::from_bits(self.reference.load(Ordering::Relaxed))
    }

    pub(crate) fn set_reference(&self, nanos: f64) {
        self.reference.store(nanos.to_bits(), Ordering::Relaxed);
    }
}
