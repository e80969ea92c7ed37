//! A second look at an endpoint that is in and shunned.

use std::time::Duration;

use buttress_core::circuit::Ticket;
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;

use super::{Call, State};
use crate::config::Config;
use crate::evidence::{INDISTINCT, Score};
use crate::peers::Peers;
use crate::snapshot::EndpointState;
use crate::tally::ProbeResult;

/// A look went well if it took less than so many times what the pool does.
const WELL: f64 = 2.0;
/// An endpoint that costs so many times what its peers do is shunned, and will be for long. Whoever is just outside
/// the noise band is back in it before a look has said anything, and copies for each of them would load a healthy pool.
const SHUNNED: f64 = 2.0;
/// An endpoint of which nothing new has been heard for so long is looked at again, and after each look
/// that went ill once more.
const QUIET: Duration = Duration::from_secs(1);
/// The same of one that failed what it was asked last: the rules wait for more, and nobody but copies shows it.
const QUIET_IF_FAILING: Duration = Duration::from_millis(50);
/// The next look at one that failed, after one that went well.
const PAUSE: Duration = Duration::from_millis(100);
/// So many times what its peers take a copy may last.
const LASTS: f64 = 20.0;
/// Looks that went well are followed by the next ones for so long.
const GOES_ON: Duration = Duration::from_secs(5);

/// The looks at an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecondLook {
    /// Not before.
    next: Instant,
    /// How many went well in a row.
    well: u32,
    /// How long the last of these took, in nanoseconds.
    took: f64,
}

impl SecondLook {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            next: now,
            well: 0,
            took: 0.0,
        }
    }

    /// Whoever has shown that it is well is looked at until it is pardoned, or costs no more than what the looks
    /// show: the middle of a pool may be what was slow. Unless the last look is long ago.
    fn goes_on(&self, now: Instant, cost: f64, noise_band: f64) -> bool {
        let news = cost > (1.0 + noise_band) * (self.took + INDISTINCT);
        self.well > 0 && news && now.saturating_since(self.next) < GOES_ON
    }
}

/// For how long a copy may be waited for: as many times what its peers take, and at least as long.
pub(crate) fn lasts(at_least: Duration, config: &Config, peers: &Peers) -> Duration {
    let usual = Duration::from_secs_f64(peers.latency() / 1e9);
    let lasts = at_least.max(usual.mul_f64(LASTS));
    lasts.min(config.circuit.probe_deadline)
}

fn is_shunned(cost: f64, peers: &Peers) -> bool {
    cost >= SHUNNED * (peers.latency() + INDISTINCT)
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
        let cost = self.score(now, peers).idle(silence);
        if self.look.goes_on(now, cost, self.config.noise_band) {
            return Some(self.look.next);
        }
        let quiet_until = self.evidence.as_of().saturating_add(self.quiet());
        let is_due = self.is_in_doubt(peers, now) || is_shunned(cost, peers);
        is_due.then(|| self.look.next.max(quiet_until))
    }

    /// For how long nothing has to be heard before a look.
    const fn quiet(&self) -> Duration {
        if self.evidence.has_failed() {
            QUIET_IF_FAILING
        } else {
            QUIET
        }
    }

    /// After so many looks in a row that went well it is pardoned.
    fn looks_needed(&self) -> u32 {
        let needed = self.config.circuit.probing.needed();
        if self.evidence.has_failed() {
            self.relapse.needed(needed)
        } else {
            needed
        }
    }

    /// It is let back in, and has failed so seldom that what it has shown since says little: it is looked at first.
    pub(super) fn doubt(&mut self, now: Instant) {
        let shown = self.config.circuit.probing.needed();
        if self.relapse.needed(shown) > shown {
            self.evidence.doubt_anew(now);
            self.look.well = shown;
        }
    }

    /// Whether copies look at the endpoint, which shows this `score`, or should.
    pub(super) fn is_looked_at(&self, score: Score, peers: &Peers, now: Instant) -> bool {
        let cost = score.idle(0.0);
        self.look.goes_on(now, cost, self.config.noise_band)
            || self.is_in_doubt(peers, now)
            || is_shunned(cost, peers)
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
        let lasts = lasts(QUIET, &self.config, peers);
        // One at a time.
        self.look.next = now.saturating_add(lasts.saturating_add(QUIET));
        Some((Ticket::ordinary(self.circuit.generation()), lasts))
    }

    /// What a copy saw. As many looks that went well in a row as probes are needed say that what the
    /// endpoint showed before is over.
    ///
    /// One that began before the endpoint was thrown out, or taken out, says nothing of what it is now.
    pub(super) fn looked(&mut self, call: &Call<'_>, now: Instant, peers: &Peers) {
        let of_now = call.ticket.generation() == self.circuit.generation();
        if !of_now || self.endpoint_state() != EndpointState::Active {
            self.tally.probed(ProbeResult::Expired);
            return;
        }
        if call.outcome == Outcome::Ignored {
            self.look_was_void(call.retry_after, now);
            return;
        }
        let latency = call.latency.unwrap_or(call.took).as_nanos() as f64;
        let usual = peers.latency() + INDISTINCT;
        let well = call.outcome == Outcome::Success && latency + INDISTINCT < WELL * usual;
        self.tally.probed(if well {
            ProbeResult::Success
        } else {
            ProbeResult::Failure
        });
        if !well {
            let failed = matches!(call.outcome, Outcome::Failure(_));
            let quiet = if failed { QUIET_IF_FAILING } else { QUIET };
            self.look = SecondLook::new(now.saturating_add(quiet));
            return;
        }
        let needed = self.looks_needed();
        // Who failed has to go well for a while, and not only often. Often enough takes long enough.
        let pause = if self.evidence.has_failed() && needed == self.config.circuit.probing.needed()
        {
            PAUSE
        } else {
            Duration::ZERO
        };
        (self.look.next, self.look.took) = (now.saturating_add(pause), latency);
        self.look.well += 1;
        if self.look.well >= needed {
            self.look = SecondLook::new(now);
            self.evidence.pardon(now);
            self.rise(now);
        }
    }

    /// A look was answered by a limit: that says nothing, and asks to be left alone.
    fn look_was_void(&mut self, asked: Option<Duration>, now: Instant) {
        self.tally.probed(ProbeResult::Void);
        let asked = asked
            .unwrap_or_default()
            .min(self.config.circuit.open_for.cap());
        self.look.next = now.saturating_add(asked.max(QUIET));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use buttress_core::circuit::Ticket;

    use super::*;
    use crate::shared::Shared;

    /// An endpoint that was slow, and what the pool shows.
    fn slow() -> (State, Shared) {
        let config = Config::default();
        let shared = Shared::new(&config);
        let mut state = State::new(Arc::new(config), Instant::ORIGIN);
        (0..10).for_each(|_| (state.evidence).success(QUIET, Instant::ORIGIN));
        (state, shared)
    }

    /// As many looks as pardon, all of which went well.
    fn look(state: &mut State, ticket: &Ticket, shared: &Shared) {
        let call = Call {
            ticket,
            outcome: Outcome::Success,
            latency: None,
            took: Duration::from_millis(1),
            stalled: None,
            called: true,
            limited: false,
            copy: true,
            in_place_of_copy: false,
            retry_after: None,
        };
        for _ in 0..state.config.circuit.probing.needed() {
            state.looked(&call, Instant::ORIGIN, &shared.peers);
        }
    }

    #[test]
    fn looks_that_went_well_pardon_whoever_is_in() {
        let (mut state, shared) = slow();
        let ticket = Ticket::ordinary(state.circuit.generation());
        look(&mut state, &ticket, &shared);
        assert!(state.evidence.mean().is_none() && state.is_rising());
    }

    #[test]
    fn looks_from_before_an_endpoint_was_taken_out_change_nothing() {
        type TakeOut = fn(&mut State) -> bool;
        let out: [TakeOut; 3] = [
            |state| state.force_out(Instant::ORIGIN).is_some(),
            |state| state.drain().is_some(),
            // And is back, with another generation.
            |state| {
                state.force_out(Instant::ORIGIN);
                state.circuit.release(Instant::ORIGIN);
                true
            },
        ];
        for take_out in out {
            let (mut state, shared) = slow();
            let ticket = Ticket::ordinary(state.circuit.generation());
            assert!(take_out(&mut state));
            look(&mut state, &ticket, &shared);
            assert!(state.evidence.mean().is_some() && !state.is_rising());
        }
    }

    #[test]
    fn looks_go_on_until_they_pardon_even_where_the_middle_of_the_pool_is_as_slow() {
        let (mut state, shared) = slow();
        state.look.well = 1;
        let medians = crate::peers::Medians {
            latency: state.evidence.mean(),
            ..Default::default()
        };
        shared.peers.see(medians, Instant::ORIGIN);
        let due = state.second_look_due(Instant::ORIGIN, 0.0, &shared.peers);
        assert_eq!(due, Some(Instant::ORIGIN));
        let later = Instant::ORIGIN.saturating_add(GOES_ON);
        assert_eq!(state.second_look_due(later, 0.0, &shared.peers), None);
    }
}
