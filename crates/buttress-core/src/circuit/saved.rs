//! What a circuit leaves behind for the process after it.

use std::time::Duration;

use super::{Cause, Circuit, Phase, State, Transition};
use crate::clock::Instant;

/// What a restart should not forget of a circuit, as plain data: how long it has yet to stay open, and
/// how often it has opened.
///
/// It holds durations, not instants, so it does not matter which clock reads it. It is believed
/// only as far as that is harmless: no open time is longer than the cap of the circuit that takes it
/// over, whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Saved {
    /// The state.
    pub state: State,
    /// How long it has yet to stay open, in milliseconds, rounded up; 0 in any other state.
    #[cfg_attr(feature = "serde", serde(default))]
    pub remaining_ms: u64,
    /// How often in a row it has opened without proving healthy in between.
    #[cfg_attr(feature = "serde", serde(default))]
    pub attempt: u32,
}

/// More openings in a row than that are not believed.
const MAX_ATTEMPT: u32 = 1 << 16;

impl Saved {
    /// A circuit in `state`, open for `remaining` yet, at this attempt.
    pub fn new(state: State, remaining: Duration, attempt: u32) -> Self {
        let remaining_ms = remaining.as_nanos().div_ceil(1_000_000);
        Self {
            state,
            remaining_ms: u64::try_from(remaining_ms).unwrap_or(u64::MAX),
            attempt,
        }
    }

    /// How much of the open time is left when `passed` of it has gone by.
    pub(super) fn remaining(&self, cap: Duration, passed: Duration) -> Duration {
        let remaining = match self.state {
            State::Open => Duration::from_millis(self.remaining_ms),
            _ => Duration::ZERO,
        };
        remaining.min(cap).saturating_sub(passed)
    }
}

impl Circuit {
    /// What the process after this one should not forget.
    pub fn save(&self, now: Instant) -> Saved {
        Saved::new(self.state(), self.remaining(now), self.attempt)
    }

    /// Takes over what a process before this one saved `passed` ago. What was half-open or ramping is
    /// open, its time over: the next call probes.
    ///
    /// Only a closed circuit takes anything over: one that was set to anything else stays as it is.
    pub fn restore(&mut self, saved: &Saved, passed: Duration, now: Instant) -> Option<Transition> {
        if self.state() != State::Closed {
            return None;
        }
        self.attempt = saved.attempt.min(MAX_ATTEMPT);
        let held = |circuit: &mut Self, phase| Some(circuit.enter(phase, now, Cause::Restored));
        match saved.state {
            State::Closed => None,
            State::Open | State::HalfOpen | State::Ramping => {
                let remaining = saved.remaining(self.settings.open_for.cap(), passed);
                Some(self.stay_open(remaining, now, Cause::Restored))
            }
            State::ForcedOpen => held(self, Phase::ForcedOpen),
            State::ForcedClosed => held(self, Phase::ForcedClosed),
            State::Observing => held(self, Phase::Observing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_rounded_up_and_no_longer_than_the_cap() {
        let second = Duration::from_secs(1);
        let saved = Saved::new(State::Open, Duration::from_nanos(1), 3);
        assert_eq!(saved.remaining_ms, 1);
        let saved = Saved::new(State::Open, Duration::MAX, 3);
        assert_eq!(saved.remaining(second * 60, second), second * 59);
        assert_eq!(saved.remaining(second * 60, Duration::MAX), Duration::ZERO);
        let saved = Saved::new(State::Ramping, Duration::MAX, 3);
        assert_eq!(saved.remaining(second, Duration::ZERO), Duration::ZERO);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn it_reads_as_names_and_whole_numbers_and_takes_what_is_missing_for_nothing() {
        let saved = Saved::new(State::HalfOpen, Duration::ZERO, 2);
        let json = serde_json::to_string(&saved).unwrap();
        assert_eq!(
            json,
            r#"{"state":"half_open","remaining_ms":0,"attempt":2}"#
        );
        assert_eq!(serde_json::from_str::<Saved>(&json).unwrap(), saved);
        let short: Saved = serde_json::from_str(r#"{"state":"open","more":[]}"#).unwrap();
        assert_eq!(short, Saved::new(State::Open, Duration::ZERO, 0));
        assert!(serde_json::from_str::<Saved>(r#"{"state":"ajar"}"#).is_err());
    }
}
