//! The states of a circuit, and which may follow which by hand.

use std::error::Error;
use std::fmt;

/// What a circuit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum State {
    /// Traffic flows.
    Closed,
    /// Nothing passes until the open time is over.
    Open,
    /// A few probes pass.
    HalfOpen,
    /// Closed, with traffic still rising: a share of it passes.
    Ramping,
    /// Held open by hand.
    ForcedOpen,
    /// Held closed by hand: traffic flows whatever its outcomes, and nothing is judged.
    ForcedClosed,
    /// Held closed by hand, with open eyes: traffic flows, the rules are judged, and what they would
    /// have done is reported.
    Observing,
}

impl State {
    /// Every state, in the order of [`State::index`].
    pub const ALL: [Self; 7] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::Ramping,
        Self::ForcedOpen,
        Self::ForcedClosed,
        Self::Observing,
    ];

    /// The name of every state, in the order of [`State::index`].
    pub const NAMES: &'static [&'static str] = &[
        "closed",
        "open",
        "half_open",
        "ramping",
        "forced_open",
        "forced_closed",
        "observing",
    ];

    /// The index of this state in [`State::ALL`] and of its name in [`State::NAMES`].
    pub const fn index(self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
            Self::Ramping => 3,
            Self::ForcedOpen => 4,
            Self::ForcedClosed => 5,
            Self::Observing => 6,
        }
    }

    /// The name used in labels, log lines and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Ramping => "ramping",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::Observing => "observing",
        }
    }

    /// Whether all traffic flows.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Closed | Self::ForcedClosed | Self::Observing)
    }

    /// Whether the state is entered and left by hand alone.
    pub const fn is_by_hand(self) -> bool {
        matches!(
            self,
            Self::ForcedOpen | Self::ForcedClosed | Self::Observing
        )
    }

    /// Whether this state may be left for `to` by hand; always for itself, which changes nothing.
    ///
    /// | from \ to | closed | open | half-open | ramping | forced open, forced closed, observing |
    /// |---|---|---|---|---|---|
    /// | closed | – | yes | no | no | yes |
    /// | open | yes | – | yes | yes | yes |
    /// | half-open | yes | yes | – | yes | yes |
    /// | ramping | yes | yes | no | – | yes |
    /// | forced open | yes | yes | no | yes | yes |
    /// | forced closed | yes | no | no | no | yes |
    /// | observing | yes | no | no | no | yes |
    ///
    /// Probing follows being open and nothing else; a ramp leads up, never down from traffic that
    /// flows; and what was told to let everything pass is closed before it opens.
    pub const fn may_become(self, to: Self) -> bool {
        use State::{Closed, ForcedClosed, ForcedOpen, HalfOpen, Observing, Open, Ramping};
        match (self, to) {
            (_, Closed | ForcedOpen | ForcedClosed | Observing) => true,
            (_, Open) => !matches!(self, ForcedClosed | Observing),
            (_, HalfOpen) => matches!(self, Open | HalfOpen),
            (_, Ramping) => matches!(self, Open | HalfOpen | ForcedOpen | Ramping),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change of state that was asked for by hand and makes no sense. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IllegalTransition {
    /// The present state, which stays.
    pub from: State,
    /// The state that was asked for.
    pub to: State,
}

impl fmt::Display for IllegalTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "a circuit that is {from} cannot be set to {to}")?;
        f.write_str(match to {
            State::HalfOpen => "; only one that is open can",
            State::Ramping if from.may_become(*to) => "; its settings have no ramp",
            State::Ramping => "; only one through which traffic does not flow can",
            _ => "; set it to closed first",
        })
    }
}

impl Error for IllegalTransition {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_says_whether_it_was_set_by_hand_and_whether_calls_pass_as_ever() {
        let by_hand = State::ALL.map(State::is_by_hand);
        let closed = State::ALL.map(State::is_closed);
        assert_eq!(by_hand, [false, false, false, false, true, true, true]);
        assert_eq!(closed, [true, false, false, false, false, true, true]);
    }

    #[test]
    fn every_state_stands_at_its_index_under_its_name() {
        for (index, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state.index(), index);
            assert_eq!(State::NAMES.get(index), Some(&state.as_str()));
        }
        assert_eq!(State::NAMES.len(), State::ALL.len());
    }

    #[test]
    fn an_illegal_transition_says_what_would_be_right() {
        let text = |from, to| IllegalTransition { from, to }.to_string();
        assert_eq!(
            text(State::Closed, State::HalfOpen),
            "a circuit that is closed cannot be set to half_open; only one that is open can"
        );
        assert!(text(State::Observing, State::Open).ends_with("set it to closed first"));
        assert!(text(State::Open, State::Ramping).ends_with("have no ramp"));
        assert!(text(State::Closed, State::Ramping).ends_with("traffic does not flow can"));
    }
}
