//! One after the other.

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use super::{End, Router, View};

/// Begins somewhere, so that many routers do not march in step.
#[derive(Debug)]
pub(super) struct RoundRobin {
    next: usize,
}

impl RoundRobin {
    pub(super) fn new(rng: &Rng) -> Self {
        Self {
            next: rng.below(1 << 20),
        }
    }
}

impl Router for RoundRobin {
    fn send(&mut self, _: usize, view: View<'_>) -> Option<usize> {
        self.next += 1;
        let place = self.next.checked_rem(view.members.len())?;
        view.members.get(place).copied()
    }

    fn ended(&mut self, _: usize, _: usize, _: End, _: Duration, _: Instant) -> Option<usize> {
        None
    }

    fn members(&mut self, _: &[usize], _: Instant) {}
}
