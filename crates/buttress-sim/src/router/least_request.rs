//! Fewer calls in flight, of two drawn (Mitzenmacher 2001).

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use super::{End, PerHost, Router, View, two_of};

#[derive(Debug)]
pub(super) struct LeastRequest {
    rng: Rng,
    in_flight: PerHost<u32>,
}

impl LeastRequest {
    pub(super) const fn new(rng: Rng) -> Self {
        Self {
            rng,
            in_flight: PerHost::new(),
        }
    }

    /// The less busy of two of `members`; a tie goes to the one drawn first, which is by chance.
    pub(super) fn pick(&mut self, members: &[usize]) -> Option<usize> {
        let (one, other) = two_of(members, &self.rng)?;
        let busier = *self.in_flight.get(other) < *self.in_flight.get(one);
        let host = if busier { other } else { one };
        *self.in_flight.get(host) += 1;
        Some(host)
    }

    pub(super) fn done(&mut self, host: usize) {
        *self.in_flight.get(host) -= 1;
    }
}

impl Router for LeastRequest {
    fn send(&mut self, _: usize, view: View<'_>) -> Option<usize> {
        self.pick(view.members)
    }

    fn ended(&mut self, _: usize, host: usize, _: End, _: Duration, _: Instant) -> Option<usize> {
        self.done(host);
        None
    }

    fn members(&mut self, _: &[usize], _: Instant) {}
}
