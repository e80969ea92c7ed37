//! What an endpoint is before anything has come of it.

use std::sync::Arc;

use buttress_core::clock::Instant;

use super::Gate;
use super::shown::share;
use crate::config::Config;
use crate::evidence::Score;
use crate::shared::Shared;
use crate::state::State;

/// Shared by all that are made at a time: of thousands that come at once most of the memory is that of what they will
/// have shown some day, and each takes its own when there is something to keep.
#[derive(Debug)]
pub(crate) struct Blank {
    config: Arc<Config>,
    /// When it was made.
    pub(super) since: Instant,
    /// It is new among others.
    rises: bool,
    pub(super) gate: Gate,
    pub(super) given: f32,
    pub(super) score: Score,
}

impl Blank {
    /// `rises`: it is new among others.
    pub(crate) fn new(config: Arc<Config>, shared: &Shared, rises: bool) -> Self {
        let since = shared.clock.now();
        let state = state(&config, rises, since);
        Self {
            since,
            rises,
            gate: Gate::of(&state),
            given: share(&state),
            score: Score::unknown(shared.peers.latency()),
            config,
        }
    }

    pub(super) fn state(&self) -> State {
        state(&self.config, self.rises, self.since)
    }
}

fn state(config: &Arc<Config>, rises: bool, since: Instant) -> State {
    let mut state = State::new(Arc::clone(config), since);
    if rises {
        state.rise(since);
    }
    state
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use buttress_core::circuit::Ramp;
    use buttress_core::clock::ManualClock;

    use super::*;
    use crate::slot::Slot;

    #[test]
    fn who_has_shown_nothing_shows_the_same_before_and_after_somebody_asks() {
        let config = Config::default().clock(ManualClock::new().clock());
        let ramp = config.circuit.clone().ramp(Some(Ramp::default()));
        let config = Arc::new(config.circuit(ramp));
        let shared = Arc::new(Shared::new(&config));
        for (rises, gate) in [(false, Gate::Open), (true, Gate::Rising)] {
            let blank = Arc::new(Blank::new(Arc::clone(&config), &shared, rises));
            let slot = Arc::new(Slot::new("a".into(), &shared, &blank));
            let shows = || {
                let score = slot.score.load(Ordering::Relaxed);
                (slot.gate(), score, slot.given().to_bits())
            };
            let before = shows();
            assert!(slot.is_blank() && before.0 == gate);
            slot.refresh(blank.since);
            assert!(slot.is_blank(), "a pick gives it no memory");
            assert_eq!(shows(), before);
            slot.with_state(|_| ());
            slot.refresh(blank.since);
            assert!(!slot.is_blank());
            assert_eq!(shows(), before);
            let new = Arc::new(Slot::new("b".into(), &shared, &blank));
            new.begin(blank.since);
            new.refresh(blank.since.saturating_add(Duration::from_secs(1)));
            assert!(!new.is_blank(), "a silence is something");
        }
    }
}
