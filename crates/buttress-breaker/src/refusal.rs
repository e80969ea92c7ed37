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

/// What stood against the call: its name, by one word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason(&'static &'static str);

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
        let reason = Reason::CIRCUIT_OPEN;
        Self { reason, wait }
    }
}

impl Reason {
    const CIRCUIT_OPEN: Self = Self(&"circuit_open");
    const PROBES_BUSY: Self = Self(&"probes_busy");
    const RAMPING: Self = Self(&"ramping");
    const FORCED_OPEN: Self = Self(&"forced_open");
    /// The breaker's own prober is at it.
    pub(crate) const PROBING: Self = Self(&"probing");
    /// The inner service was not ready in time.
    pub(crate) const NOT_READY: Self = Self(&"not_ready");

    /// Why a circuit in `state` rejects.
    pub(crate) const fn of(state: State) -> Self {
        match state {
            State::HalfOpen => Self::PROBES_BUSY,
            State::Ramping => Self::RAMPING,
            State::ForcedOpen => Self::FORCED_OPEN,
            _ => Self::CIRCUIT_OPEN,
        }
    }
}

impl From<Refusal> for Rejected {
    #[inline]
    fn from(refusal: Refusal) -> Self {
        let rejected = Self::new("breaker", refusal.reason.0);
        match refusal.wait {
            UNKNOWN => rejected,
            wait => rejected.retry_after(Duration::from_nanos(wait)),
        }
    }
}
