//! What a router could do that knew everything.

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use super::{End, Router, View};
use crate::host::Host;

/// Sends to the host that fails least and, of those, will answer first; chance among equals.
#[derive(Debug)]
pub(super) struct Oracle {
    rng: Rng,
}

impl Oracle {
    pub(super) const fn new(rng: Rng) -> Self {
        Self { rng }
    }

    fn cost<C>(host: &Host<C>) -> (f64, f64) {
        let (failing, alone) = host.idle_cost();
        (failing, alone * (1.0 + host.queue_ahead()))
    }
}

impl Router for Oracle {
    fn send(&mut self, _: usize, view: View<'_>) -> Option<usize> {
        let mut best = None;
        let mut equals = 0;
        for &member in view.members {
            let cost = Self::cost(view.hosts.get(member)?);
            match best {
                Some((_, least)) if cost > least => continue,
                Some((_, least)) if cost == least => equals += 1,
                _ => equals = 1,
            }
            // Each of so many equals is kept as likely.
            if self.rng.below(equals) == 0 {
                best = Some((member, cost));
            }
        }
        best.map(|it| it.0)
    }

    fn ended(&mut self, _: usize, _: usize, _: End, _: Duration, _: Instant) -> Option<usize> {
        None
    }

    fn members(&mut self, _: &[usize], _: Instant) {}
}
