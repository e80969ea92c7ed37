//! What the endpoints of a pool share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use buttress_core::clock::Clock;
use buttress_core::events::Events;
use buttress_core::rng::Rng;

use crate::config::Config;
use crate::ledger::Ledger;
use crate::peers::Peers;
use crate::second_look::SecondLooks;
use crate::snapshot::Event;

/// The pool's name, its clock and generator, its budget, its events and what it shows as a whole.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pool: Arc<str>,
    /// Of the pools of this process, to take its own turns by.
    pub(crate) number: usize,
    pub(crate) clock: Clock,
    /// Whether it is looked at what endpoints report of their load. Beside the clock, which each answer reads.
    pub(crate) heeds_reports: AtomicBool,
    pub(crate) rng: Rng,
    pub(crate) ledger: Ledger,
    pub(crate) second_looks: SecondLooks,
    pub(crate) events: Events<Event>,
    pub(crate) peers: Peers,
}

impl Shared {
    pub(crate) fn new(config: &Config) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            pool: Arc::clone(&config.pool),
            clock: config.clock.clone(),
            heeds_reports: AtomicBool::new(config.reported_load.is_some()),
            rng: config.rng.clone(),
            ledger: Ledger::new(),
            second_looks: SecondLooks::new(),
            events: Events::new(),
            peers: Peers::new(),
        }
    }
}
