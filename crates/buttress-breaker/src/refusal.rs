//! Why a call is not admitted, before anybody is told.
//!
//! A [`Rejected`] is made for its reader, of 48 bytes, and where it is made in one function and moved in
//! another it is waited for until all its words are in memory. This is a third as large, and turns into
//! one where that is to lie.

use std::time::Duration;

use buttress_core::circuit::State;
use buttress_core::reject::Rejected;

use crate::gate::nanos;

/// A rejection that nobody has been told of yet. It has been counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    reason: Reason,
    /// When another attempt makes sense, in nanoseconds, or [`UNKNOWN`].
    wait: u64,
}

const UNKNOWN: u64 = u64::MAX;

/// What stood against the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    CircuitOpen,
    ProbesBusy,
    Ramping,
    ForcedOpen,
    /// The breaker's own prober is at it.
    Probing,
    /// The inner service was not ready in time.
    NotReady,
}

impl Refusal {
    /// For `reason`; another attempt makes sense after `wait`.
    #[inline]
    pub(crate) fn new(reason: Reason, wait: Option<Duration>) -> Self {
        let wait = wait.map_or(UNKNOWN, |wait| nanos(wait).min(UNKNOWN - 1));
        Self { reason, wait }
    }

    /// By an open circuit; another attempt makes sense after so many nanoseconds.
    #[inline]
    pub(crate) const fn open_for(wait: u64) -> Self {
        let reason = Reason::CircuitOpen;
        Self { reason, wait }
    }
}

impl Reason {
    /// Why a circuit in `state` rejects.
    pub(crate) const fn of(state: State) -> Self {
        match state {
            State::HalfOpen => Self::ProbesBusy,
            State::Ramping => Self::Ramping,
            State::ForcedOpen => Self::ForcedOpen,
            _ => Self::CircuitOpen,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::ProbesBusy => "probes_busy",
            Self::Ramping => "ramping",
            Self::ForcedOpen => "forced_open",
            Self::Probing => "probing",
            Self::NotReady => "not_ready",
        }
    }
}

impl From<Refusal> for Rejected {
    #[inline]
    fn from(refusal: Refusal) -> Self {
        let rejected = Self::new("breaker", refusal.reason.as_str());
        match refusal.wait {
            UNKNOWN => rejected,
            wait => rejected.retry_after(Duration::from_nanos(wait)),
        }
    }
}
