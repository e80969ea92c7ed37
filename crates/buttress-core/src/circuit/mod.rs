//! The circuit: admit, open, probe under lease, close. One machine for a dependency as a whole
//! (`buttress-breaker`) and for one endpoint among its peers (`buttress-route`).
//!
//! It does no I/O, reads no clock, knows no trip rule and takes no lock: `now` is passed in, and
//! whoever owns it decides when to [`Circuit::trip`].
//!
//! ```text
//!            trip                        open time over, next admit
//!  Closed ─────────▶ Open ◀───────────┐ ─────────────────────────▶ HalfOpen
//!    ▲                                └──────── a probe fails ──────── │
//!    └───────────────── enough probes succeed ────────────────────────┘
//! ```
//!
//! - **Generations.** Every transition begins a new one. A [`Ticket`] carries the generation in
//!   which its call was admitted; an outcome of an earlier one is [`Settled::Stale`] and changes
//!   nothing.
//! - **Leases.** A probe is a lease with a deadline. One that is dropped gives its place back at
//!   once, one that never ends gives it back at the deadline: no sequence of events can wedge the
//!   circuit (`tests/circuit_model.rs`). A success counts however late it comes, and so does an
//!   answer that had begun well and lasts beyond the deadline; a failure after the deadline does not.
//! - **By hand.** A circuit can be forced open or closed; released, it starts closed.

mod backoff;
mod probes;
mod settings;

pub use backoff::{Backoff, Jitter};
pub use settings::Settings;

use std::time::Duration;

use crate::clock::Instant;
use crate::outcome::Outcome;
use crate::rng::Rng;
use probes::Probes;

/// What a circuit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Traffic flows.
    Closed,
    /// Nothing passes until the open time is over.
    Open,
    /// A few probes pass.
    HalfOpen,
    /// Held open by hand.
    ForcedOpen,
    /// Held closed by hand: traffic flows whatever its outcomes.
    ForcedClosed,
}

impl State {
    /// Every state, in the order of [`State::index`].
    pub const NAMES: &'static [&'static str] = &[
        "closed",
        "open",
        "half_open",
        "forced_open",
        "forced_closed",
    ];

    /// The index of this state's name in [`State::NAMES`].
    pub const fn index(self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
            Self::ForcedOpen => 3,
            Self::ForcedClosed => 4,
        }
    }

    /// The name used in labels, log lines and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }

    /// Whether ordinary traffic flows.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Closed | Self::ForcedClosed)
    }
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// The right to make one call, and what is needed to judge its outcome later.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an admitted call must be settled"]
pub struct Ticket {
    generation: u64,
    lease: Option<u64>,
}

impl Ticket {
    /// A ticket for an ordinary call of `generation`; for owners that admit closed traffic without
    /// taking their lock.
    pub const fn ordinary(generation: u64) -> Self {
        Self {
            generation,
            lease: None,
        }
    }

    /// The generation in which the call was admitted.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the call is a probe.
    pub const fn is_probe(&self) -> bool {
        self.lease.is_some()
    }
}

/// The answer of [`Circuit::admit`].
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// The call may be made.
    Admitted(Ticket),
    /// It may not; another attempt makes sense after this long.
    Rejected(Duration),
}

/// What an outcome meant to the circuit.
#[derive(Debug, PartialEq, Eq)]
pub enum Settled {
    /// An ordinary call of the present generation: the owner's trip rules should see it.
    Counted,
    /// A call of an earlier generation, or a probe that outlived its lease and did not end well: for
    /// statistics only.
    Stale,
    /// A probe; `Some` if it changed the state.
    Probe(Option<Transition>),
}

/// The state machine. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Circuit {
    settings: Settings,
    phase: Phase,
    generation: u64,
    /// How often in a row the circuit has opened without closing in between.
    attempt: u32,
    since: Instant,
}

#[derive(Clone, Debug)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen(Probes),
    ForcedOpen,
    ForcedClosed,
}

impl Circuit {
    /// A closed circuit.
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            phase: Phase::Closed,
            generation: 0,
            attempt: 0,
            since: now,
        }
    }

    /// The present state.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen(_) => State::HalfOpen,
            Phase::ForcedOpen => State::ForcedOpen,
            Phase::ForcedClosed => State::ForcedClosed,
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

    /// How often in a row the circuit has opened without closing in between.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether [`Circuit::admit`] would admit at `now`, changing nothing.
    pub fn would_admit(&self, now: Instant) -> bool {
        match &self.phase {
            Phase::Closed | Phase::ForcedClosed => true,
            Phase::Open { until } => now >= *until,
            Phase::HalfOpen(probes) => {
                probes.has_room(now, &self.settings) || probes.would_close(now, &self.settings)
            }
            Phase::ForcedOpen => false,
        }
    }

    /// Asks to make a call. The first admission after the open time makes the circuit half-open; one
    /// after the leases of enough answered probes have run out closes it.
    pub fn admit(&mut self, now: Instant) -> (Admission, Option<Transition>) {
        let transition = match &mut self.phase {
            Phase::Open { until } if now >= *until => {
                Some(self.enter(Phase::HalfOpen(Probes::default()), now, None))
            }
            Phase::HalfOpen(probes) => {
                let enough = probes.reap(now) && probes.suffice(&self.settings);
                enough.then(|| self.close(now))
            }
            _ => None,
        };
        (self.admit_in_phase(now), transition)
    }

    fn admit_in_phase(&mut self, now: Instant) -> Admission {
        let generation = self.generation;
        match &mut self.phase {
            Phase::Closed | Phase::ForcedClosed => {
                Admission::Admitted(Ticket::ordinary(generation))
            }
            Phase::Open { until } => Admission::Rejected(until.saturating_since(now)),
            Phase::HalfOpen(probes) => match probes.lease(now, &self.settings) {
                Ok(lease) => Admission::Admitted(Ticket {
                    generation,
                    lease: Some(lease),
                }),
                Err(wait) => Admission::Rejected(wait),
            },
            Phase::ForcedOpen => Admission::Rejected(self.settings.open_for.base()),
        }
    }

    /// The answer to an admitted call has begun, and well; all that is open is its end. A probe whose
    /// lease runs out after that has succeeded, since some answers have no end.
    pub fn answered(&mut self, ticket: &Ticket, now: Instant) {
        if ticket.generation == self.generation
            && let (Phase::HalfOpen(probes), Some(lease)) = (&mut self.phase, ticket.lease)
        {
            probes.answered(lease, now);
        }
    }

    /// The outcome of an admitted call.
    pub fn settle(
        &mut self,
        ticket: &Ticket,
        outcome: Outcome,
        now: Instant,
        rng: &Rng,
    ) -> Settled {
        if ticket.generation != self.generation {
            return Settled::Stale;
        }
        match (&mut self.phase, ticket.lease) {
            (Phase::Closed, None) => Settled::Counted,
            (Phase::HalfOpen(probes), Some(lease)) => match probes.give_back(lease, outcome, now) {
                Some(outcome) => Settled::Probe(self.judge_probe(outcome, now, rng)),
                None => Settled::Stale,
            },
            _ => Settled::Stale,
        }
    }

    fn judge_probe(&mut self, outcome: Outcome, now: Instant, rng: &Rng) -> Option<Transition> {
        let Phase::HalfOpen(probes) = &mut self.phase else {
            return None;
        };
        match outcome {
            Outcome::Success => {
                probes.succeeded();
                probes.suffice(&self.settings).then(|| self.close(now))
            }
            // Slow was what someone complained of, or the slow threshold would not be set.
            Outcome::Failure(_) | Outcome::Slow => Some(self.open(now, rng, None)),
            Outcome::Ignored | Outcome::Abandoned => None,
        }
    }

    /// Opens a closed circuit: a rule of the owner's has fired. `at_least` is what the upstream
    /// asked for (`Retry-After`), honoured up to the cap of the backoff. In any other state it does
    /// nothing.
    pub fn trip(
        &mut self,
        now: Instant,
        rng: &Rng,
        at_least: Option<Duration>,
    ) -> Option<Transition> {
        matches!(self.phase, Phase::Closed).then(|| self.open(now, rng, at_least))
    }

    /// Holds the circuit open until [`Circuit::release`]. `None` if it was already.
    pub fn force_open(&mut self, now: Instant) -> Option<Transition> {
        (self.state() != State::ForcedOpen).then(|| self.enter(Phase::ForcedOpen, now, None))
    }

    /// Holds the circuit closed until [`Circuit::release`]. `None` if it was already.
    pub fn force_closed(&mut self, now: Instant) -> Option<Transition> {
        (self.state() != State::ForcedClosed).then(|| self.enter(Phase::ForcedClosed, now, None))
    }

    /// Ends a forced state, or any other: the circuit starts afresh, closed. `None` if it was.
    pub fn release(&mut self, now: Instant) -> Option<Transition> {
        (self.state() != State::Closed).then(|| self.close(now))
    }

    /// Replaces the settings. State, generation and leases stay; an open circuit keeps its time.
    pub fn reconfigure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    fn open(&mut self, now: Instant, rng: &Rng, at_least: Option<Duration>) -> Transition {
        let open_for = self.settings.open_for.duration(self.attempt, rng);
        let asked = at_least
            .unwrap_or_default()
            .min(self.settings.open_for.cap());
        let open_for = open_for.max(asked);
        self.attempt = self.attempt.saturating_add(1);
        let until = now.saturating_add(open_for);
        self.enter(Phase::Open { until }, now, Some(open_for))
    }

    fn close(&mut self, now: Instant) -> Transition {
        self.attempt = 0;
        self.enter(Phase::Closed, now, None)
    }

    fn enter(&mut self, phase: Phase, now: Instant, open_for: Option<Duration>) -> Transition {
        let from = self.state();
        self.phase = phase;
        self.generation = self.generation.wrapping_add(1);
        self.since = now;
        Transition {
            from,
            to: self.state(),
            at: now,
            open_for,
        }
    }
}
