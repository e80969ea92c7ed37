//! What is told of a change of state.

use std::time::Duration;

use super::State;
use crate::clock::Instant;

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transition {
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// When.
    pub at: Instant,
    /// How long the circuit stays open, if `to` is [`State::Open`].
    pub open_for: Option<Duration>,
    /// Why.
    pub cause: Cause,
}

/// Why a state was left.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The owner's rules fired: [`super::Circuit::trip`].
    Tripped,
    /// The open time is over.
    OpenTime,
    /// The probes have shown enough: how many ended well of how many that have to, how many badly, or
    /// which share did.
    Probes(Evidence),
    /// It was half-open for as long as it may be.
    HalfOpenLimit,
    /// The ramp is over, or was cut short: how many calls ended well in its last step; how many badly in
    /// a row, or which share did.
    Ramp(Evidence),
    /// Somebody said so.
    ByHand,
    /// A process before this one had it so.
    Restored,
}

/// What a decision of the circuit's own rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Evidence {
    /// What was observed: a count or a share.
    pub observed: f64,
    /// What is asked for, or borne.
    pub threshold: f64,
    /// How many calls that rests on.
    pub samples: u32,
}

impl Evidence {
    pub(super) const fn new(observed: f64, threshold: f64, samples: u32) -> Self {
        Self {
            observed,
            threshold,
            samples,
        }
    }
}
