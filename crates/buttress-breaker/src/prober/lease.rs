//! The place of one probe.

use std::sync::Weak;

use buttress_core::circuit::Ticket;
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;

use crate::breaker::Breaker;
use crate::shared::Shared;

/// A probe's place, which does not keep the breaker alive. Dropped it is given back.
pub(super) struct Lease {
    pub(super) of: Weak<Shared>,
    pub(super) generation: u64,
    pub(super) ticket: Option<Ticket>,
    pub(super) started: Instant,
}

impl Lease {
    pub(super) fn settle(&mut self, outcome: Outcome) {
        if let (Some(ticket), Some(shared)) = (self.ticket.take(), self.of.upgrade()) {
            Breaker::from(shared)
                .probed(ticket, self.started)
                .record(outcome);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
    }
}
