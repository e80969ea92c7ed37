//! What a circuit should be doing.

use buttress_core::circuit::{Settings, State, Ticket};
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;

/// What a circuit should be doing, told as plainly as possible: every ticket ever given is kept, and
/// probes in flight are counted afresh each time.
pub(super) struct Model {
    pub(super) settings: Settings,
    pub(super) state: State,
    pub(super) generation: u64,
    pub(super) attempt: u32,
    pub(super) since: Instant,
    pub(super) open_until: Instant,
    successes: u32,
    good_closed: u32,
    pub(super) tickets: Vec<Given>,
}

pub(super) struct Given {
    pub(super) ticket: Ticket,
    pub(super) generation: u64,
    /// When a probe's lease runs out.
    pub(super) lease: Option<Instant>,
    pub(super) settled: bool,
    /// Its answer had begun well while the lease was live.
    pub(super) answered: bool,
    /// It was answered and its lease has run out, which has been counted.
    pub(super) reaped: bool,
}

impl Given {
    fn is_live(&self, now: Instant) -> bool {
        !self.settled && self.lease.is_some_and(|expires| expires > now)
    }

    fn is_reapable(&self, now: Instant) -> bool {
        let over = self.lease.is_some_and(|expires| expires <= now);
        over && self.answered && !self.settled && !self.reaped
    }
}

impl Model {
    pub(super) fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            state: State::Closed,
            generation: 0,
            attempt: 0,
            since: now,
            open_until: now,
            successes: 0,
            good_closed: 0,
            tickets: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self, to: State, now: Instant) {
        self.state = to;
        self.generation += 1;
        self.since = now;
        self.successes = 0;
        self.good_closed = 0;
    }

    /// Whether a closed circuit has proved healthy, for as long and by as many successes as is set.
    pub(super) fn is_proven(&self, now: Instant) -> bool {
        let run = self.settings.healthy_run;
        let lasts = run.lasts.unwrap_or(self.settings.open_for.base());
        let lasted = now.saturating_since(self.since) >= lasts;
        self.state == State::Closed && lasted && self.good_closed >= run.successes
    }

    pub(super) fn probes_in_flight(&self, now: Instant) -> usize {
        let present = |given: &&Given| given.generation == self.generation;
        let live = self.tickets.iter().filter(present);
        live.filter(|given| given.is_live(now)).count()
    }

    pub(super) fn max_probes(&self) -> usize {
        self.settings.max_probes.get() as usize
    }

    pub(super) fn admits(&self, now: Instant) -> bool {
        match self.state {
            State::Closed | State::ForcedClosed => true,
            State::Open => now >= self.open_until,
            State::HalfOpen => {
                self.probes_in_flight(now) < self.max_probes() || self.closes_on_admission(now)
            }
            _ => false,
        }
    }

    fn reapable(&self, now: Instant) -> u32 {
        let given = self.tickets.iter();
        let given = given.filter(|given| given.generation == self.generation);
        given.map(|given| u32::from(given.is_reapable(now))).sum()
    }

    /// Whether answered probes whose leases have run out close the circuit.
    pub(super) fn closes_on_admission(&self, now: Instant) -> bool {
        let more = self.reapable(now);
        let enough = self.successes + more >= self.settings.probing.needed();
        self.state == State::HalfOpen && enough
    }

    pub(super) fn reap(&mut self, now: Instant) {
        if self.state == State::HalfOpen {
            self.successes += self.reapable(now);
            let present = self.generation;
            let given = self.tickets.iter_mut();
            for given in given.filter(|given| given.generation == present) {
                given.reaped |= given.is_reapable(now);
            }
        }
    }

    pub(super) fn answered(&mut self, i: usize, now: Instant) {
        let given = &mut self.tickets[i];
        given.answered |= given.generation == self.generation && given.is_live(now);
    }

    /// What settling ticket `i` with `outcome` should mean, and the state it should lead to.
    pub(super) fn settle(
        &mut self,
        i: usize,
        outcome: Outcome,
        now: Instant,
    ) -> (Meaning, Option<State>) {
        let given = &mut self.tickets[i];
        let twice = std::mem::replace(&mut given.settled, true);
        if given.generation != self.generation {
            return (Meaning::Stale, None);
        }
        match (self.state, given.lease) {
            (State::Closed, None) => {
                self.good_closed += u32::from(outcome == Outcome::Success);
                (Meaning::Counted, None)
            }
            (State::HalfOpen, Some(expires)) if !twice => {
                let heard = match outcome {
                    _ if expires > now => outcome,
                    Outcome::Success if !given.reaped => outcome,
                    Outcome::Ignored | Outcome::Abandoned if given.answered && !given.reaped => {
                        Outcome::Success
                    }
                    _ => return (Meaning::Stale, None),
                };
                (Meaning::Probe, self.judge(heard))
            }
            _ => (Meaning::Stale, None),
        }
    }

    fn judge(&mut self, outcome: Outcome) -> Option<State> {
        match outcome {
            Outcome::Success => {
                self.successes += 1;
                (self.successes >= self.settings.probing.needed()).then_some(State::Closed)
            }
            Outcome::Failure(_) | Outcome::Slow => Some(State::Open),
            _ => None,
        }
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    Counted,
    Stale,
    Probe,
}
