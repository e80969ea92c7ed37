//! The circuit: admit, open, probe under lease, ramp up, close. One machine for a dependency as a
//! whole (`buttress-breaker`) and for one endpoint among its peers (`buttress-route`).
//!
//! It does no I/O, reads no clock, knows no trip rule and takes no lock: `now` is passed in, and
//! whoever owns it decides when to [`Circuit::trip`].
//!
//! ```text
//!            trip                       open time over, next admit
//!  Closed ─────────▶ Open ◀─────────┬─────────────┐ ──────────────▶ HalfOpen
//!    ▲                              │             └─ probes fail ─── │
//!    │                           trouble                             │
//!    └──────── last step over ── Ramping ◀──────── probes succeed ───┘
//! ```
//!
//! - **Generations.** Every transition begins a new one. A [`Ticket`] carries the generation in
//!   which its call was admitted; an outcome of an earlier one is [`Settled::Stale`] and changes
//!   nothing.
//! - **Leases.** A probe is a lease with a deadline. One that is dropped gives its place back at
//!   once, one that never ends gives it back at the deadline: no sequence of events can wedge the
//!   circuit (`tests/circuit_model.rs`). A success counts however late it comes, and so does an
//!   answer that had begun well and lasts beyond the deadline; a failure after the deadline does not.
//! - **Slow in flight.** An owner that knows what is slow says so by [`Circuit::overdue`] and
//!   [`Circuit::overdue_in_ramp`]: a hang is bad when it is too long, and not when it ends.
//! - **Ramp.** After half-open a rising share of calls passes ([`Ramp`]); trouble opens the circuit
//!   again. Without one it closes at once.
//! - **Attempts.** The open time grows until the circuit has proved healthy: by a full ramp, or, where
//!   there is none, by a [`HealthyRun`]. Closing alone proves nothing.
//! - **By hand.** [`Circuit::transition_to`] sets any state that may follow ([`State::may_become`]).

mod admit;
mod backoff;
mod by_hand;
mod overdue;
mod probes;
mod probing;
mod progress;
mod ramp;
mod saved;
mod settings;
mod settle;
mod state;
mod ticket;
mod transition;

pub use backoff::{Backoff, Jitter};
pub use probing::Probing;
pub use ramp::{Ramp, Step};
pub use saved::Saved;
pub use settings::{HalfOpenLimit, HealthyRun, Settings};
pub use state::{IllegalTransition, State};
pub use ticket::{Admission, Settled, Ticket};
pub use transition::{Cause, Evidence, Transition};

use std::time::Duration;

use crate::clock::Instant;
use crate::rng::Rng;
use probes::Probes;
use progress::Progress;

/// The shortest open time, and the shortest step of a ramp.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest lease, and the longest step of a ramp: what has to run out by itself, so that nothing
/// waits for it for good.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The state machine. See the module's documentation.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Circuit {
    // First, side by side in memory, what each call reads.
    generation: u64,
    phase: Phase,
    attempt: u32,
    since: Instant,
    settings: Settings,
}

#[derive(Clone, Debug)]
enum Phase {
    Closed {
        /// How many calls have ended well.
        good: u64,
    },
    Open {
        until: Instant,
    },
    HalfOpen {
        probes: Probes,
        limit: Option<Limit>,
    },
    Ramping(Progress),
    ForcedOpen,
    ForcedClosed,
    Observing,
}

/// The end of half-open, as it was when that began.
#[derive(Clone, Copy, Debug)]
struct Limit {
    at: Instant,
    /// For how long it opens then; `None` if it recovers.
    open_for: Option<Duration>,
}

impl Limit {
    /// From when on calls are admitted that come after the limit.
    fn admits_at(&self) -> Instant {
        self.at.saturating_add(self.open_for.unwrap_or_default())
    }
}

impl Circuit {
    /// A closed circuit.
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            phase: Phase::Closed { good: 0 },
            generation: 0,
            attempt: 0,
            since: now,
        }
    }

    /// A circuit that starts in `state`, or closed if that may not follow closed
    /// ([`State::may_become`]).
    pub fn starting(state: State, settings: Settings, now: Instant, rng: &Rng) -> Self {
        let mut circuit = Self::new(settings, now);
        let _ = circuit.transition_to(state, now, rng);
        circuit.generation = 0;
        circuit
    }

    /// The present state.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
            Phase::Ramping(_) => State::Ramping,
            Phase::ForcedOpen => State::ForcedOpen,
            Phase::ForcedClosed => State::ForcedClosed,
            Phase::Observing => State::Observing,
        }
    }

    /// The present generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When the present state was entered.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// How often in a row the circuit has opened without proving healthy in between. What a healthy run
    /// proves is seen at the next trip.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The share of calls that passes, of a ramping circuit.
    pub fn share(&self) -> Option<f64> {
        match (&self.phase, &self.settings.ramp) {
            (Phase::Ramping(progress), Some(ramp)) => progress.share(ramp),
            _ => None,
        }
    }

    /// Replaces the settings. State, generation and leases stay; an open circuit keeps its time, a
    /// half-open one its limit, and one that has no ramp any more closes with the next admission.
    pub fn reconfigure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// How long the circuit stays open yet; zero if it is in any other state.
    pub fn remaining(&self, now: Instant) -> Duration {
        match self.phase {
            Phase::Open { until } => until.saturating_since(now),
            _ => Duration::ZERO,
        }
    }
}
