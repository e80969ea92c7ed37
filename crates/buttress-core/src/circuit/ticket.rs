//! Asking to make a call, and telling how it ended.

use std::time::Duration;

use super::Transition;

/// The right to make one call, and what is needed to judge its outcome later.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an admitted call must be settled"]
pub struct Ticket {
    pub(super) generation: u64,
    /// That of a probe, or [`NO_LEASE`]: a ticket is part of what every call carries about.
    lease: u64,
}

/// Leases are numbered from 0: one a nanosecond for five centuries would come to this.
const NO_LEASE: u64 = u64::MAX;

impl Ticket {
    /// A ticket for an ordinary call of `generation`; for owners that admit closed traffic without
    /// taking their lock.
    pub const fn ordinary(generation: u64) -> Self {
        Self {
            generation,
            lease: NO_LEASE,
        }
    }

    /// A ticket for the probe of `generation` that has this lease.
    pub(super) const fn probe(generation: u64, lease: u64) -> Self {
        Self { generation, lease }
    }

    /// The generation in which the call was admitted.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the call is a probe.
    pub const fn is_probe(&self) -> bool {
        self.lease != NO_LEASE
    }

    pub(super) fn lease(&self) -> Option<u64> {
        self.is_probe().then_some(self.lease)
    }
}

/// The answer of [`super::Circuit::admit`].
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// The call may be made.
    Admitted(Ticket),
    /// It may not; another attempt makes sense after this long.
    Rejected(Duration),
}

/// What an outcome meant to the circuit.
#[derive(Debug, PartialEq)]
pub enum Settled {
    /// An ordinary call of the present generation: the owner's trip rules should see it.
    Counted,
    /// A call of an earlier generation, or a probe that outlived its lease and did not end well: for
    /// statistics only.
    Stale,
    /// A probe; `Some` if it changed the state.
    Probe(Option<Transition>),
    /// A call of the ramp; `Some` if it changed the state.
    Ramp(Option<Transition>),
}
