//! Changes of state, and what is told of them.

use std::time::Duration;

use super::probes::Probes;
use super::progress::Progress;
use super::{Circuit, Limit, Phase, State};
use crate::clock::Instant;
use crate::rng::Rng;

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

impl Circuit {
    /// Opens a closed circuit: a rule of the owner's has fired. `asked` is what the upstream asked
    /// for (`Retry-After`): longer than the open time it is honoured up to the cap of the backoff, shorter
    /// only where [`super::Settings::shortest_asked`] says so. In any other state it does nothing.
    pub fn trip(&mut self, now: Instant, rng: &Rng, asked: Option<Duration>) -> Option<Transition> {
        let closed = matches!(self.phase, Phase::Closed { .. });
        closed.then(|| self.open(now, rng, asked, Cause::Tripped))
    }

    pub(super) fn open(
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

    pub(super) fn open_for(
        &mut self,
        open_for: Duration,
        now: Instant,
        cause: Cause,
    ) -> Transition {
        self.attempt = self.attempt.saturating_add(1);
        self.stay_open(open_for, now, cause)
    }

    pub(super) fn stay_open(
        &mut self,
        open_for: Duration,
        now: Instant,
        cause: Cause,
    ) -> Transition {
        let until = now.saturating_add(open_for);
        Transition {
            open_for: Some(open_for),
            ..self.enter(Phase::Open { until }, now, cause)
        }
    }

    /// Whether a closed circuit has shown by now that it is healthy.
    pub(super) fn is_proven(&self, now: Instant) -> bool {
        let run = self.settings.healthy_run;
        let lasted = now.saturating_since(self.since) >= self.settings.healthy_after();
        matches!(self.phase, Phase::Closed { good } if lasted && good >= run.successes.into())
    }

    pub(super) fn probe(&mut self, now: Instant, rng: &Rng, cause: Cause) -> Transition {
        let limit = self.settings.half_open_limit.map(|limit| Limit {
            at: now.saturating_add(limit.after),
            open_for: (limit.then == State::Open)
                .then(|| self.settings.open_for.duration(self.attempt, rng)),
        });
        let probes = Probes::default();
        self.enter(Phase::HalfOpen { probes, limit }, now, cause)
    }

    /// The probes have ended well: traffic may rise, or flow where there is no ramp.
    pub(super) fn recover(&mut self, now: Instant, cause: Cause) -> Transition {
        match self.settings.ramp {
            Some(_) => self.enter(Phase::Ramping(Progress::new(now)), now, cause),
            None => self.close(now, cause),
        }
    }

    pub(super) fn close(&mut self, now: Instant, cause: Cause) -> Transition {
        self.enter(Phase::Closed { good: 0 }, now, cause)
    }

    pub(super) fn enter(&mut self, phase: Phase, now: Instant, cause: Cause) -> Transition {
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
