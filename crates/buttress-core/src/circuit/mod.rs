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
//! - **Ramp.** After half-open a rising share of calls passes ([`Ramp`]); trouble opens the circuit
//!   again. Without one it closes at once.
//! - **Attempts.** The open time grows until the circuit has proved healthy: by a full ramp, or, where
//!   there is none, by a [`HealthyRun`]. Closing alone proves nothing.
//! - **By hand.** [`Circuit::transition_to`] sets any state that may follow ([`State::may_become`]).

mod backoff;
mod probes;
mod ramp;
mod saved;
mod settings;
mod state;
mod ticket;
mod transition;

pub use backoff::{Backoff, Jitter};
pub use ramp::{Ramp, Step};
pub use saved::Saved;
pub use settings::{HalfOpenLimit, HealthyRun, Probing, Settings};
pub use state::{IllegalTransition, State};
pub use ticket::{Admission, Settled, Ticket};
pub use transition::{Cause, Evidence, Transition};

use std::time::Duration;

use crate::clock::Instant;
use crate::outcome::Outcome;
use crate::rng::Rng;
use probes::Probes;
use ramp::{Course, Progress};

/// The state machine. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Circuit {
    settings: Settings,
    phase: Phase,
    generation: u64,
    attempt: u32,
    since: Instant,
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

    /// Whether [`Circuit::expire`] and [`Circuit::admit`] would admit at `now`, changing nothing.
    pub fn would_admit(&self, now: Instant) -> bool {
        match &self.phase {
            Phase::Closed { .. } | Phase::ForcedClosed | Phase::Observing => true,
            Phase::Open { until } => now >= *until,
            Phase::HalfOpen { probes, limit } => match limit.filter(|limit| now >= limit.at) {
                Some(limit) => {
                    now >= limit.admits_at() || probes.would_suffice(limit.at, &self.settings)
                }
                None => {
                    probes.has_room(now, &self.settings)
                        || probes.would_suffice(now, &self.settings)
                }
            },
            Phase::Ramping(progress) => match &self.settings.ramp {
                Some(ramp) => progress.would_pass(ramp, now),
                None => true,
            },
            Phase::ForcedOpen => false,
        }
    }

    /// Ends half-open if it has lasted for as long as it may ([`HalfOpenLimit`]), as of then: if nobody
    /// asks for long after, the open time that followed is over as well. To be called before
    /// [`Circuit::admit`] where there may be such a limit.
    pub fn expire(&mut self, now: Instant) -> Option<Transition> {
        let Phase::HalfOpen { probes, limit } = &mut self.phase else {
            return None;
        };
        let limit = limit.filter(|limit| now >= limit.at)?;
        probes.reap(limit.at);
        if probes.suffice(&self.settings) {
            return None;
        }
        match limit.open_for {
            Some(open_for) => Some(self.open_for(open_for, limit.at, Cause::HalfOpenLimit)),
            None => Some(self.recover(now, Cause::HalfOpenLimit)),
        }
    }

    /// Asks to make a call. The first admission after the open time makes the circuit half-open; one
    /// after the leases of enough answered probes have run out ends that; one after the last step of the
    /// ramp closes it.
    pub fn admit(&mut self, now: Instant, rng: &Rng) -> (Admission, Option<Transition>) {
        let transition = self.go_on(now, rng);
        (self.admit_in_phase(now), transition)
    }

    /// What time alone has brought about.
    fn go_on(&mut self, now: Instant, rng: &Rng) -> Option<Transition> {
        match &mut self.phase {
            Phase::Open { until } if now >= *until => Some(self.probe(now, rng, Cause::OpenTime)),
            Phase::HalfOpen { probes, .. } => {
                probes.reap(now);
                let evidence = probes.evidence(&self.settings);
                probes
                    .suffice(&self.settings)
                    .then(|| self.recover(now, Cause::Probes(evidence)))
            }
            Phase::Ramping(progress) => match &self.settings.ramp {
                Some(ramp) => {
                    let course = progress.advance(ramp, now);
                    self.follow(course, None, now, rng)
                }
                None => Some(self.close(now, Cause::Ramp(Evidence::new(0.0, 0.0, 0)))),
            },
            _ => None,
        }
    }

    fn admit_in_phase(&mut self, now: Instant) -> Admission {
        let ordinary = Ticket::ordinary(self.generation);
        match &mut self.phase {
            Phase::Closed { .. } | Phase::ForcedClosed | Phase::Observing => {
                Admission::Admitted(ordinary)
            }
            Phase::Open { until } => Admission::Rejected(until.saturating_since(now)),
            Phase::HalfOpen { probes, limit } => match probes.lease(now, &self.settings) {
                Ok(lease) => Admission::Admitted(Ticket {
                    lease: Some(lease),
                    ..ordinary
                }),
                Err(wait) => {
                    let freed = now.saturating_add(wait);
                    let ends = limit.filter(|limit| limit.at <= freed);
                    let wait = |limit: Limit| limit.admits_at().saturating_since(now);
                    Admission::Rejected(ends.map_or(freed.saturating_since(now), wait))
                }
            },
            Phase::Ramping(progress) => {
                let ramp = self.settings.ramp.as_ref();
                match ramp.map_or(Ok(()), |ramp| progress.pass(ramp, now)) {
                    Ok(()) => Admission::Admitted(ordinary),
                    Err(wait) => Admission::Rejected(wait),
                }
            }
            Phase::ForcedOpen => Admission::Rejected(self.settings.open_for.base()),
        }
    }

    /// The answer to an admitted call has begun, and well; all that is open is its end. A probe whose
    /// lease runs out after that has succeeded, since some answers have no end.
    pub fn answered(&mut self, ticket: &Ticket, now: Instant) {
        if ticket.generation == self.generation
            && let (Phase::HalfOpen { probes, .. }, Some(lease)) = (&mut self.phase, ticket.lease)
        {
            probes.answered(lease, now);
        }
    }

    /// The outcome of an admitted call. `asked` is for how long the upstream asked to be left alone
    /// (`Retry-After`), honoured if this outcome opens the circuit, as by [`Circuit::trip`].
    pub fn settle(
        &mut self,
        ticket: &Ticket,
        outcome: Outcome,
        asked: Option<Duration>,
        now: Instant,
        rng: &Rng,
    ) -> Settled {
        if ticket.generation != self.generation {
            return Settled::Stale;
        }
        match (&mut self.phase, ticket.lease) {
            (Phase::Closed { good }, None) => {
                *good = good.saturating_add(u64::from(outcome == Outcome::Success));
                Settled::Counted
            }
            (Phase::Observing, None) => Settled::Counted,
            (Phase::HalfOpen { probes, .. }, Some(lease)) => {
                match probes.give_back(lease, outcome, now) {
                    Some(outcome) => Settled::Probe(self.judge_probe(outcome, asked, now, rng)),
                    None => Settled::Stale,
                }
            }
            (Phase::Ramping(progress), None) => {
                let ramp = self.settings.ramp.as_ref();
                let course = ramp.map_or(Course::On, |ramp| progress.settle(ramp, outcome, now));
                Settled::Ramp(self.follow(course, asked, now, rng))
            }
            _ => Settled::Stale,
        }
    }

    /// So many calls of a closed circuit have ended well that were not settled one by one.
    pub fn succeeded(&mut self, n: u64) {
        if let Phase::Closed { good } = &mut self.phase {
            *good = good.saturating_add(n);
        }
    }

    fn judge_probe(
        &mut self,
        outcome: Outcome,
        asked: Option<Duration>,
        now: Instant,
        rng: &Rng,
    ) -> Option<Transition> {
        let Phase::HalfOpen { probes, .. } = &mut self.phase else {
            return None;
        };
        probes.count(outcome);
        let cause = Cause::Probes(probes.evidence(&self.settings));
        if probes.condemn(&self.settings) {
            return Some(self.open(now, rng, asked, cause));
        }
        probes
            .suffice(&self.settings)
            .then(|| self.recover(now, cause))
    }

    /// Takes the ramp where its course leads.
    fn follow(
        &mut self,
        course: Course,
        asked: Option<Duration>,
        now: Instant,
        rng: &Rng,
    ) -> Option<Transition> {
        match course {
            Course::On => None,
            Course::Over(evidence) => {
                self.attempt = 0;
                Some(self.close(now, Cause::Ramp(evidence)))
            }
            Course::Trouble(evidence) => Some(self.open(now, rng, asked, Cause::Ramp(evidence))),
        }
    }

    /// Opens a closed circuit: a rule of the owner's has fired. `asked` is what the upstream asked
    /// for (`Retry-After`): longer than the open time it is honoured up to the cap of the backoff, shorter
    /// only where [`Settings::shortest_asked`] says so. In any other state it does nothing.
    pub fn trip(&mut self, now: Instant, rng: &Rng, asked: Option<Duration>) -> Option<Transition> {
        let closed = matches!(self.phase, Phase::Closed { .. });
        closed.then(|| self.open(now, rng, asked, Cause::Tripped))
    }

    /// Sets the state by hand. `None` if it was that already; an error, and nothing has changed, if it may
    /// not follow ([`State::may_become`]) or would be a ramp where none is set.
    ///
    /// Closed, it starts afresh: nothing is remembered of how often it has opened.
    pub fn transition_to(
        &mut self,
        to: State,
        now: Instant,
        rng: &Rng,
    ) -> Result<Option<Transition>, IllegalTransition> {
        let from = self.state();
        let no_ramp = to == State::Ramping && self.settings.ramp.is_none();
        if from == to {
            return Ok(None);
        }
        if no_ramp || !from.may_become(to) {
            return Err(IllegalTransition { from, to });
        }
        Ok(match to {
            State::Closed => self.release(now),
            State::Open => Some(self.open(now, rng, None, Cause::ByHand)),
            State::HalfOpen => Some(self.probe(now, rng, Cause::ByHand)),
            State::Ramping => {
                let ramping = Phase::Ramping(Progress::new(now));
                Some(self.enter(ramping, now, Cause::ByHand))
            }
            State::ForcedOpen => self.force_open(now),
            State::ForcedClosed => self.force_closed(now),
            State::Observing => self.observe(now),
        })
    }

    /// Holds the circuit open until [`Circuit::release`]. `None` if it was already.
    pub fn force_open(&mut self, now: Instant) -> Option<Transition> {
        self.hold(Phase::ForcedOpen, now)
    }

    /// Holds the circuit closed until [`Circuit::release`]. `None` if it was already.
    pub fn force_closed(&mut self, now: Instant) -> Option<Transition> {
        self.hold(Phase::ForcedClosed, now)
    }

    /// Holds the circuit closed until [`Circuit::release`], its outcomes counted. `None` if it was
    /// already.
    pub fn observe(&mut self, now: Instant) -> Option<Transition> {
        self.hold(Phase::Observing, now)
    }

    /// Ends a state set by hand, or any other: the circuit starts afresh, closed. `None` if it was.
    pub fn release(&mut self, now: Instant) -> Option<Transition> {
        let closed = self.hold(Phase::Closed { good: 0 }, now)?;
        self.attempt = 0;
        Some(closed)
    }

    fn hold(&mut self, phase: Phase, now: Instant) -> Option<Transition> {
        let same = std::mem::discriminant(&self.phase) == std::mem::discriminant(&phase);
        (!same).then(|| self.enter(phase, now, Cause::ByHand))
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

    /// What the process after this one should not forget.
    pub fn save(&self, now: Instant) -> Saved {
        Saved::new(self.state(), self.remaining(now), self.attempt)
    }

    /// Takes over what a process before this one saved `passed` ago. What was half-open or ramping is
    /// open, its time over: the next call probes.
    ///
    /// Only a closed circuit changes its state: one that was set to anything else stays that.
    pub fn restore(&mut self, saved: &Saved, passed: Duration, now: Instant) -> Option<Transition> {
        self.attempt = saved.attempt;
        if self.state() != State::Closed {
            return None;
        }
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

    fn open(
        &mut self,
        now: Instant,
        rng: &Rng,
        asked: Option<Duration>,
        cause: Cause,
    ) -> Transition {
        if self.is_proven(now) {
            self.attempt = 0;
        }
        let drawn = self.settings.open_for.duration(self.attempt, rng);
        let open_for = self.settings.open_time(drawn, asked);
        self.open_for(open_for, now, cause)
    }

    fn open_for(&mut self, open_for: Duration, now: Instant, cause: Cause) -> Transition {
        self.attempt = self.attempt.saturating_add(1);
        self.stay_open(open_for, now, cause)
    }

    fn stay_open(&mut self, open_for: Duration, now: Instant, cause: Cause) -> Transition {
        let until = now.saturating_add(open_for);
        Transition {
            open_for: Some(open_for),
            ..self.enter(Phase::Open { until }, now, cause)
        }
    }

    /// Whether a closed circuit has shown by now that it is healthy.
    fn is_proven(&self, now: Instant) -> bool {
        let run = self.settings.healthy_run;
        let lasted = now.saturating_since(self.since) >= self.settings.healthy_after();
        matches!(self.phase, Phase::Closed { good } if lasted && good >= run.successes.into())
    }

    fn probe(&mut self, now: Instant, rng: &Rng, cause: Cause) -> Transition {
        let limit = self.settings.half_open_limit.map(|limit| Limit {
            at: now.saturating_add(limit.after),
            open_for: (limit.then == State::Open)
                .then(|| self.settings.open_for.duration(self.attempt, rng)),
        });
        let probes = Probes::default();
        self.enter(Phase::HalfOpen { probes, limit }, now, cause)
    }

    /// The probes have ended well: traffic may rise, or flow where there is no ramp.
    fn recover(&mut self, now: Instant, cause: Cause) -> Transition {
        match self.settings.ramp {
            Some(_) => self.enter(Phase::Ramping(Progress::new(now)), now, cause),
            None => self.close(now, cause),
        }
    }

    fn close(&mut self, now: Instant, cause: Cause) -> Transition {
        self.enter(Phase::Closed { good: 0 }, now, cause)
    }

    fn enter(&mut self, phase: Phase, now: Instant, cause: Cause) -> Transition {
        let from = self.state();
        self.phase = phase;
        self.generation = self.generation.wrapping_add(1);
        self.since = now;
        Transition {
            from,
            to: self.state(),
            at: now,
            open_for: None,
            cause,
        }
    }
}
