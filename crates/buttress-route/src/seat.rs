//! An endpoint's seat in the list that is picked from: what a pick reads first, side by side in memory, and
//! without the service.

use std::sync::Arc;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use crate::endpoint::About;
use crate::slot::{Gate, Slot};

/// What a pick reads of each endpoint it looks at. A word wide: of a large list hardly any is in a cache, and what it leads
/// to is fetched after it.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) slot: Arc<Slot>,
}

/// What else is said of the endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// How much it bears beside the others; at 0 nothing.
    pub(crate) weight: u32,
    /// Where it was in the list that was given.
    pub(crate) place: u32,
    /// Of its identity, the same in every process.
    pub(crate) hash: u64,
    pub(crate) about: About,
}

impl Seat {
    /// What a request costs here, in a pool with so many in flight at an endpoint.
    #[inline]
    pub(crate) fn cost(&self, now: Instant, pool_load: f64) -> f64 {
        self.slot.cost(now, self.slot.load_factor(), pool_load)
    }

    /// Whether it takes ordinary traffic, by what it shows of late.
    #[inline]
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.slot.bring_up_to_date(now);
        self.was_open()
    }

    /// Whether it took ordinary traffic when that was last looked at.
    #[inline]
    pub(crate) fn was_open(&self) -> bool {
        self.slot.takes_traffic()
    }

    /// What a request costs here by what was shown last, if it may be given this one: who rises may by chance.
    #[inline]
    pub(crate) fn bid(&self, now: Instant, pool_load: f64, rng: &Rng) -> Option<f64> {
        // Almost all are.
        if self.slot.gate() == Gate::Open {
            return Some(self.cost(now, pool_load));
        }
        self.bid_if_rising(now, pool_load, rng)
    }

    /// The same where whoever rises has to take it: chance has nothing to say.
    #[cold]
    pub(crate) fn bid_at_need(&self, now: Instant, pool_load: f64) -> Option<f64> {
        (self.was_open()).then(|| self.cost_now(now, pool_load))
    }

    /// What a request costs here by what was shown last, if it takes any.
    pub(crate) fn cost_now(&self, now: Instant, pool_load: f64) -> f64 {
        match self.slot.gate() {
            Gate::Rising => self.cost_rising(now, pool_load),
            _ => self.cost(now, pool_load),
        }
    }

    /// What is in flight here, by its weight.
    #[inline]
    pub(crate) fn load(&self) -> f64 {
        let load = f64::from(self.slot.in_flight()) * self.slot.load_factor();
        match self.slot.gate() {
            Gate::Rising => load / self.slot.given(),
            _ => load,
        }
    }

    #[cold]
    fn bid_if_rising(&self, now: Instant, pool_load: f64, rng: &Rng) -> Option<f64> {
        let is_given = self.slot.gate() == Gate::Rising && rng.unit() < self.slot.given();
        is_given.then(|| self.cost_rising(now, pool_load))
    }

    /// It bears as if of so much less weight.
    fn cost_rising(&self, now: Instant, pool_load: f64) -> f64 {
        let factor = self.slot.load_factor() / self.slot.given();
        self.slot.cost(now, factor, pool_load)
    }
}

/// Tells each of `seats`, of these weights, how heavily a request weighs there. Who has no weight bears nothing, and
/// is not counted.
pub(crate) fn level(seats: &[Seat], weights: &[u32]) {
    let bearing = || weights.iter().filter(|weight| **weight > 0);
    let total: f64 = bearing().map(|weight| f64::from(*weight)).sum();
    let mean = total / bearing().count().max(1) as f64;
    for (seat, weight) in seats.iter().zip(weights) {
        #[expect(clippy::cast_possible_truncation, reason = "to seven digits")]
        let factor = (mean / f64::from(*weight)) as f32;
        (seat.slot).set_load_factor(if *weight > 0 { factor } else { 1.0 });
    }
}

/// Whether all that bear anything bear alike.
pub(crate) fn are_alike(weights: &[u32]) -> bool {
    weights.windows(2).all(|pair| pair.first() == pair.last())
}
