//! What a router could do that knew who is faulty, and of what is in flight no more than anybody.

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use super::{End, Router, View};

/// One after the other of those that fail least and, of these, are quickest.
#[derive(Debug)]
pub(super) struct Informed {
    next: usize,
    best: Vec<usize>,
}

impl Informed {
    pub(super) fn new(rng: &Rng) -> Self {
        Self {
            next: rng.below(1 << 20),
            best: Vec::new(),
        }
    }
}

impl Router for Informed {
    fn send(&mut self, _: usize, view: View<'_>) -> Option<usize> {
        let mut least = (f64::INFINITY, f64::INFINITY);
        self.best.clear();
        for &member in view.members {
            let cost = view.hosts.get(member)?.idle_cost();
            if cost < least {
                least = cost;
                self.best.clear();
            }
            if cost == least {
                self.best.push(member);
            }
        }
        self.next += 1;
        let place = self.next.checked_rem(self.best.len())?;
        self.best.get(place).copied()
    }

    fn ended(&mut self, _: usize, _: usize, _: End, _: Duration, _: Instant) -> Option<usize> {
        None
    }

    fn members(&mut self, _: &[usize], _: Instant) {}
}
