//! What a request holds of its endpoint, and gives back once.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::Ticket;
use buttress_core::classify::Head;
use buttress_core::clock::{Clock, Instant};
use buttress_core::outcome::Outcome;
use buttress_core::settle::Settle;
use http::StatusCode;
use http::header::RETRY_AFTER;

use crate::slot::Slot;
use crate::state::Call;

/// A request's place at its endpoint. Given back with the outcome on every exit there is.
#[derive(Debug)]
pub struct Permit {
    slot: Arc<Slot>,
    ticket: Ticket,
    picked_at: Instant,
    latency: Option<Duration>,
    called: bool,
    retry_after: Option<Duration>,
}

impl Permit {
    pub(crate) const fn new(slot: Arc<Slot>, ticket: Ticket, picked_at: Instant) -> Self {
        Self {
            slot,
            ticket,
            picked_at,
            latency: None,
            called: true,
            retry_after: None,
        }
    }

    /// The endpoint never became ready.
    pub(crate) const fn never_called(&mut self) {
        self.called = false;
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.slot.clock()
    }

    fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_since(self.picked_at)
    }
}

impl Settle for Permit {
    fn answered(&mut self) {
        if self.ticket.is_probe() {
            self.slot
                .probe_answered(&self.ticket, self.slot.clock().now());
        }
    }

    fn head(&mut self, head: &Head<'_>) {
        self.slot.heard();
        self.latency = Some(self.elapsed(self.slot.clock().now()));
        if head.status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = head
                .headers
                .get(RETRY_AFTER)
                .and_then(|it| it.to_str().ok());
            let seconds = seconds.and_then(|it| it.trim().parse().ok());
            self.retry_after = seconds.map(Duration::from_secs);
        }
    }

    fn settle(self, outcome: Outcome) {
        let now = self.slot.clock().now();
        let took = self.elapsed(now);
        let Self {
            slot,
            ticket,
            latency,
            called,
            retry_after,
            ..
        } = self;
        let call = Call {
            ticket,
            outcome,
            latency,
            took,
            called,
            retry_after,
        };
        slot.settle(&call, now);
    }
}
