//! A second look at an endpoint that is in and shunned.

use std::time::Duration;

use buttress_core::circuit::Ticket;
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;

use super::{Call, State};
use crate::evidence::INDISTINCT;
use crate::peers::Peers;
use crate::snapshot::EndpointState;
use crate::tally::ProbeResult;

/// A look went well if it took less than so many times what the pool does.
const WELL: f64 = 2.0;
/// An endpoint of which nothing new has been heard for so long is looked at again, and after each look
/// that went ill once more.
const QUIET: Duration = Duration::from_secs(1);
/// So many times what its peers take, and no shorter than [`QUIET`], a look may last.
const LASTS: f64 = 20.0;

/// The looks at an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecondLook {
    /// Not before.
    next: Instant,
    /// How many went well in a row.
    well: u32,
}

impl SecondLook {
    pub(super) const fn new(now: Instant) -> Self {
        Self { next: now, well: 0 }
    }
}

impl State {
    /// When a copy should go and look, if the endpoint is in and shunned. `silence`: for how many nanoseconds
    /// requests have been there and nothing came back.
    pub(crate) fn second_look_due(
        &self,
        now: Instant,
        silence: f64,
        peers: &Peers,
    ) -> Option<Instant> {
        if self.warned || self.endpoint_state() != EndpointState::Active {
            return None;
        }
        let score = self.score(now, peers);
        let cost = f64::from(score.latency).max(silence) + f64::from(score.penalty);
        // Within the band it is sent its share, and beyond it next to nothing.
        let band = 1.0 + self.config.noise_band;
        if cost < band * (peers.latency() + INDISTINCT) {
            return None;
        }
        let quiet_until = self.evidence.as_of().saturating_add(QUIET);
        let looking = self.look.well > 0;
        Some(if looking {
            self.look.next
        } else {
            self.look.next.max(quiet_until)
        })
    }

    /// A copy goes and looks, if it still should; for how long it may.
    pub(crate) fn look_again(
        &mut self,
        now: Instant,
        silence: f64,
        peers: &Peers,
    ) -> Option<(Ticket, Duration)> {
        let due = self.second_look_due(now, silence, peers);
        due.filter(|due| *due <= now)?;
        let usual = Duration::from_secs_f64(peers.latency() / 1e9);
        let lasts = QUIET.max(usual.mul_f64(LASTS));
        let lasts = lasts.min(self.config.circuit.probe_deadline);
        // One at a time.
        self.look.next = now.saturating_add(lasts.saturating_add(QUIET));
        Some((Ticket::ordinary(self.circuit.generation()), lasts))
    }

    /// What a copy saw. As many looks that went well in a row as probes are needed say that what the
    /// endpoint showed before is over.
    pub(super) fn looked(&mut self, call: &Call<'_>, now: Instant, peers: &Peers) {
        let latency = call.latency.unwrap_or(call.took).as_nanos() as f64;
        let usual = peers.latency() + INDISTINCT;
        let well = call.outcome == Outcome::Success && latency + INDISTINCT < WELL * usual;
        self.tally.probed(if well {
            ProbeResult::Success
        } else {
            ProbeResult::Failure
        });
        if !well {
            self.look = SecondLook::new(now.saturating_add(QUIET));
            return;
        }
        self.look.next = now;
        self.look.well += 1;
        if self.look.well >= self.config.circuit.probing.needed() {
            self.look = SecondLook::new(now);
            self.evidence.pardon(now);
            self.rise(now);
        }
    }
}
