//! The call of which nothing comes, as almost all are: a good answer while nothing is the matter.

use buttress_core::circuit;
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;

use super::run::Run;
use super::{Call, State};
use crate::evidence::Score;
use crate::peers::Peers;

impl State {
    /// Does what [`State::settle`] would of a good answer that decides nothing; `false`, and nothing is
    /// done, where more may come of it.
    #[inline]
    pub(crate) fn settle_quietly(&mut self, call: &Call<'_>, peers: &Peers, now: Instant) -> bool {
        let latency = call.latency.unwrap_or(call.took);
        let quiet = call.outcome == Outcome::Success
            && !(call.copy || call.ticket.is_probe())
            && call.ticket.generation() == self.circuit.generation()
            && self.is_untroubled(now)
            && self.windows.good(latency, peers, now);
        if quiet {
            self.circuit.succeeded(1);
            self.tally.outcome(call.outcome);
            self.evidence.success(latency, now);
            self.relapse.good();
            self.run = Run::default();
            self.recent.record(false);
        }
        quiet
    }

    /// Whether time changes what the endpoint shows by the fading of its evidence alone: it is in, goes on as it did,
    /// costs what others do, and nobody else has a word on it. `score`: what it shows.
    pub(crate) fn is_calm(&self, score: Score, peers: &Peers, now: Instant) -> bool {
        self.is_untroubled(now)
            && self.signals.is_empty()
            && self.config.reported_load.is_none()
            && !self.is_relieved()
            && self.steady_latency().is_some()
            && !self.is_looked_at(score, peers, now)
    }

    /// Whether the endpoint is in, and nobody has to be asked about it.
    #[inline]
    fn is_untroubled(&self, now: Instant) -> bool {
        self.circuit.state() == circuit::State::Closed
            && !(self.warned || self.held || self.draining || self.weightless || self.spared)
            && self.rising.is_none()
            && !self.evidence.has_failed()
            && (self.signals.is_empty() || now < self.ask_at)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use buttress_core::circuit::Ticket;
    use buttress_core::outcome::FailureKind;
    use buttress_core::rng::Rng;
    use proptest::prelude::*;

    use super::*;
    use crate::budget::Budget;
    use crate::config::Config;
    use crate::levels::Rank;
    use crate::policy::Policy;
    use crate::shared::Shared;
    use crate::slot::{Blank, Slot};

    fn endpoint(policy: Policy) -> (Arc<Slot>, State) {
        let config = Config::default().policy(policy).rng(Rng::seeded(1));
        let shared = Arc::new(Shared::new(&config));
        (shared.ledger).resize(Budget::new([Rank::default(); 4].into_iter(), 0.5, 1.4));
        let config = Arc::new(config);
        let blank = Arc::new(Blank::new(Arc::clone(&config), &shared, false));
        let slot = Arc::new(Slot::new("a".into(), &shared, &blank));
        (slot, State::new(config, Instant::ORIGIN))
    }

    fn outcome(n: u8) -> Outcome {
        match n {
            0 => Outcome::Failure(FailureKind::Answer),
            1 => Outcome::Abandoned,
            2 => Outcome::Slow,
            3 => Outcome::Ignored,
            _ => Outcome::Success,
        }
    }

    proptest! {
        /// Two endpoints see the same calls, one of them without the short way.
        #[test]
        fn the_short_way_leads_where_the_long_one_does(
            calls in proptest::collection::vec((0..12_u8, 1..100_000_u64, 0..50_u64), 1..200),
            by_cost: bool,
        ) {
            let policy = || if by_cost { Policy::ExpectedCost } else { Policy::RoundRobin };
            let ((slot, mut long), (other, mut short)) = (endpoint(policy()), endpoint(policy()));
            let mut now = Instant::ORIGIN;
            for (kind, latency, gap) in calls {
                now = now.saturating_add(Duration::from_millis(gap));
                let took = Duration::from_micros(latency);
                let ticket = Ticket::ordinary(0);
                let call = Call {
                    ticket: &ticket,
                    outcome: outcome(kind),
                    latency: (kind != 1).then_some(took),
                    took,
                    stalled: None,
                    called: true,
                    limited: kind == 3,
                    copy: false,
                    in_place_of_copy: false,
                    retry_after: None,
                };
                long.settle(&call, &slot, now);
                if !short.settle_quietly(&call, other.peers(), now) {
                    short.settle(&call, &other, now);
                }
                prop_assert_eq!(format!("{long:?}"), format!("{short:?}"));
            }
        }
    }
}
