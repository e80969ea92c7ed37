//! What an endpoint is given that should be out, and for which the budget has no room.
//!
//! By its cost a suspect is asked for next to nothing ([`Policy::ExpectedCost`](crate::Policy::ExpectedCost)). Under the other
//! policies it is given as much of its share as it answers well. What its peers cannot bear is not put on them.

use super::State;
use crate::budget::{BUSY, PRESSED};
use crate::peers::Peers;

/// Whoever answers nothing well is given as much of its share, and is seen to recover.
const LEAST: f64 = 0.05;
/// What holds back that whoever is slow goes out.
pub(crate) const STILL_ANSWERS: &str = "still_answers";
/// The same of one that is unhealthy by the word of others, whatever it answers.
const WARNED: f64 = 0.1;
/// Whoever answers as well is no suspect any longer: so much less than all is inside the noise band.
const CLEARED: f64 = 0.95;
/// Of whoever is no suspect.
pub(super) const WHOLE: f64 = 1.0;

impl State {
    /// It is in because of this.
    pub(super) fn is_held_back(&mut self, by: &'static str) {
        self.lacks_room = matches!(by, "max_ejected" | "last_endpoint" | STILL_ANSWERS);
    }

    /// Whether it is given less for being a suspect.
    pub(crate) const fn is_given_less(&self) -> bool {
        self.as_suspect < WHOLE
    }

    /// The share of its requests that it is given as one.
    pub(crate) const fn as_suspect(&self) -> f64 {
        self.as_suspect
    }

    /// A good answer says that its rule was right no longer: the first one, or where it is given less as many as are kept,
    /// or as make it hardly later than its peers.
    pub(super) fn is_cleared(&self, peers: &Peers) -> bool {
        !self.may_be_given_less() || self.answers_well(peers) >= CLEARED
    }

    /// Looks at what a suspect is given: all of its share where its peers have more to do than they can.
    pub(crate) fn weigh_suspicion(&mut self, peers: &Peers) {
        let share = if self.is_suspect() && self.may_be_given_less() {
            let pressure = (peers.slowdown() - BUSY) / (PRESSED - BUSY);
            let share = self.bears(peers);
            share + (WHOLE - share) * pressure.clamp(0.0, 1.0)
        } else {
            WHOLE
        };
        self.as_suspect = share;
    }

    fn may_be_given_less(&self) -> bool {
        self.lacks_room && self.config.policy.gives_suspects_less()
    }

    fn bears(&self, peers: &Peers) -> f64 {
        let well = self.answers_well(peers).max(LEAST);
        if self.warned { well.min(WARNED) } else { well }
    }

    /// The share of its last answers that were good, or where it is slow of what its peers answer in the same time.
    fn answers_well(&self, peers: &Peers) -> f64 {
        let well = WHOLE - self.recent.share().0;
        if self.for_slowness {
            well * self.in_time(peers)
        } else {
            well
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use buttress_core::clock::Instant;

    use super::*;
    use crate::config::Config;
    use crate::peers::Medians;
    use crate::policy::Policy;

    /// Under this policy: who fails all, and what for it was held back.
    fn suspect(policy: Policy, by: &'static str) -> State {
        let config = Config::default().policy(policy);
        let mut state = State::new(Arc::new(config), Instant::ORIGIN);
        (0..16).for_each(|_| state.recent.record(true));
        state.spared = true;
        state.is_held_back(by);
        state
    }

    /// What it is given where answers take so many times what they do at ease.
    fn given(mut state: State, slowdown: f64) -> f64 {
        let peers = Peers::new();
        for tick in 0..10_000 {
            let medians = Medians {
                slowdown: Some(slowdown),
                ..Medians::default()
            };
            peers.see(
                medians,
                Instant::ORIGIN.saturating_add(Duration::from_millis(tick)),
            );
        }
        state.weigh_suspicion(&peers);
        state.given()
    }

    #[test]
    fn who_fails_all_is_given_little_and_what_its_peers_cannot_bear() {
        let suspect = || suspect(Policy::RoundRobin, "max_ejected");
        for (slowdown, share) in [
            (1.0, LEAST),
            (BUSY, LEAST),
            (3.0, 0.525),
            (PRESSED, 1.0),
            (9.0, 1.0),
        ] {
            let given = given(suspect(), slowdown);
            assert!((given - share).abs() < 1e-3, "{given} at {slowdown}");
        }
    }

    #[test]
    fn who_is_needed_or_no_worse_than_its_peers_or_asked_by_its_cost_is_given_all() {
        let whole = |policy, by| given(suspect(policy, by), 1.0) >= WHOLE;
        assert!(whole(Policy::RoundRobin, "capacity"));
        assert!(whole(Policy::RoundRobin, "peers_fail"));
        assert!(whole(Policy::ExpectedCost, "max_ejected"));
        assert!(!whole(Policy::PeakEwma, "last_endpoint"));
    }

    #[test]
    fn who_is_unhealthy_by_the_word_of_others_is_given_little_whatever_it_answers() {
        let mut state = suspect(Policy::Random, "max_ejected");
        (0..16).for_each(|_| state.recent.record(false));
        state.warned = true;
        assert!((given(state, 1.0) - WARNED).abs() < 1e-9);
    }
}
