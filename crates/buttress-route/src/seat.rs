//! An endpoint's seat in the list that is picked from: what a pick reads first, side by side in memory, and
//! without the service.

use std::sync::Arc;

use buttress_core::clock::Instant;

use crate::endpoint::About;
use crate::slot::{Gate, Slot};

#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) slot: Arc<Slot>,
    /// How much it bears beside the others; at 0 nothing.
    pub(crate) weight: u32,
    /// How heavily a request in flight weighs: the mean weight over this one's.
    pub(crate) load_factor: f64,
    /// Of its identity, the same in every process.
    pub(crate) hash: u64,
    pub(crate) about: Arc<About>,
    /// Where it was in the list that was given.
    pub(crate) place: usize,
}

impl Seat {
    /// What a request costs here, in a pool with so many in flight at an endpoint.
    #[inline]
    pub(crate) fn cost(&self, now: Instant, pool_load: f64) -> f64 {
        self.slot.cost(now, self.load_factor, pool_load)
    }

    /// Whether it takes ordinary traffic, by what it shows of late.
    #[inline]
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        if self.slot.is_stale(now) {
            self.slot.refresh(now);
        }
        self.slot.gate() == Gate::Open
    }
}

/// Tells each of `seats` how heavily a request weighs there. Who has no weight bears nothing, and is not counted.
pub(crate) fn level(seats: &mut [Seat]) {
    let bearing = || seats.iter().filter(|seat| seat.weight > 0);
    let total: f64 = bearing().map(|seat| f64::from(seat.weight)).sum();
    let mean = total / bearing().count().max(1) as f64;
    for seat in seats {
        seat.load_factor = if seat.weight > 0 {
            mean / f64::from(seat.weight)
        } else {
            1.0
        };
    }
}

/// Whether all that bear anything bear alike.
pub(crate) fn are_alike(seats: &[Seat]) -> bool {
    let mut weights = seats.iter().map(|seat| seat.weight);
    let first = weights.next();
    weights.all(|weight| Some(weight) == first)
}
