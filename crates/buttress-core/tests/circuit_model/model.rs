//! What a circuit should be doing.

use std::time::Duration;

use buttress_core::circuit::{Saved, Settings, State};
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;
use buttress_core::rng::Rng;

mod probing;
mod ramping;

pub(super) use probing::Given;

/// What a circuit should be doing, told as plainly as possible: everything that ever happened is kept,
/// and counted afresh for each question. It draws the same numbers as the circuit, from a generator of its
/// own.
pub(super) struct Model {
    pub(super) settings: Settings,
    pub(super) state: State,
    pub(super) generation: u64,
    pub(super) attempt: u32,
    pub(super) since: Instant,
    pub(super) tickets: Vec<Given>,
    /// Every change of state that has yet to be compared: from, to, when, for how long it is open.
    pub(super) moves: Vec<Move>,
    open_until: Instant,
    /// When half-open ends, and for how long it is open then.
    limit: Option<(Instant, Option<Duration>)>,
    /// Of the present state, or of the present step of the ramp: what ended well, and what did not.
    ended: Vec<bool>,
    step: usize,
    step_since: Instant,
    /// Who asked in this step: when, at which share, and whether it passed.
    asked: Vec<(Instant, f64, bool)>,
    rng: Rng,
}

pub(super) type Move = (State, State, Instant, Option<Duration>);

#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    Counted,
    Stale,
    Probe,
    Ramp,
}

impl Model {
    pub(super) fn new(settings: Settings, start: State, seed: u64, now: Instant) -> Self {
        let mut model = Self {
            settings,
            state: State::Closed,
            generation: 0,
            attempt: 0,
            since: now,
            tickets: Vec::new(),
            moves: Vec::new(),
            open_until: now,
            limit: None,
            ended: Vec::new(),
            step: 0,
            step_since: now,
            asked: Vec::new(),
            rng: Rng::seeded(seed),
        };
        model.by_hand(start, now);
        model.moves.clear();
        model.generation = 0;
        model
    }

    fn enter(&mut self, to: State, now: Instant, open_for: Option<Duration>) {
        self.moves.push((self.state, to, now, open_for));
        self.state = to;
        self.generation += 1;
        self.since = now;
        self.ended.clear();
        self.begin_step(0, now);
        self.open_until = now.saturating_add(open_for.unwrap_or_default());
    }

    fn begin_step(&mut self, step: usize, now: Instant) {
        (self.step, self.step_since) = (step, now);
        self.asked.clear();
        self.ended.clear();
    }

    fn open(&mut self, asked: Option<Duration>, now: Instant) {
        if self.is_proven(now) {
            self.attempt = 0;
        }
        let drawn = self.draw();
        let cap = self.settings.open_for.cap();
        let open_for = match (asked, self.settings.shortest_asked) {
            (None, _) => drawn,
            (Some(asked), None) => drawn.max(asked.min(cap)),
            (Some(asked), Some(shortest)) => asked.min(cap).max(shortest.min(drawn)),
        };
        self.attempt = self.attempt.saturating_add(1);
        self.enter(State::Open, now, Some(open_for));
    }

    fn draw(&self) -> Duration {
        self.settings.open_for.duration(self.attempt, &self.rng)
    }

    fn probe(&mut self, now: Instant) {
        self.enter(State::HalfOpen, now, None);
        self.limit = self.settings.half_open_limit.map(|limit| {
            let open_for = (limit.then == State::Open).then(|| self.draw());
            (now.saturating_add(limit.after), open_for)
        });
    }

    fn recover(&mut self, now: Instant) {
        let ramps = self.settings.ramp.is_some();
        let to = if ramps { State::Ramping } else { State::Closed };
        self.enter(to, now, None);
    }

    /// Whether a closed circuit has proved healthy, for as long and by as many successes as is set.
    fn is_proven(&self, now: Instant) -> bool {
        let run = self.settings.healthy_run;
        let lasts = run.lasts.unwrap_or(self.settings.open_for.base());
        let lasted = now.saturating_since(self.since) >= lasts;
        self.state == State::Closed && lasted && self.good() >= run.successes
    }

    fn good(&self) -> u32 {
        self.ended.iter().map(|good| u32::from(*good)).sum()
    }

    fn bad(&self) -> u32 {
        self.ended.iter().map(|good| u32::from(!*good)).sum()
    }

    /// What time has brought about when somebody asks.
    pub(super) fn expire(&mut self, now: Instant) {
        let Some((at, open_for)) = self.limit.filter(|(at, _)| now >= *at) else {
            return;
        };
        if self.state != State::HalfOpen || self.probes_suffice(self.reapable(at)) {
            return;
        }
        match open_for {
            Some(open_for) => {
                self.attempt += 1;
                self.enter(State::Open, at, Some(open_for));
            }
            None => self.recover(now),
        }
    }

    /// Whether a call is admitted, and after how long another would be if not.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Option<Duration>> {
        match self.state {
            State::Open if now >= self.open_until => self.probe(now),
            State::HalfOpen => {
                self.reap(now);
                if self.probes_suffice(0) {
                    self.recover(now);
                }
            }
            State::Ramping => self.go_on_ramping(now),
            _ => {}
        }
        match self.state {
            State::Closed | State::ForcedClosed | State::Observing => Ok(()),
            State::Open => Err(Some(self.open_until.saturating_since(now))),
            State::HalfOpen if self.probes_in_flight(now) < self.max_probes() => Ok(()),
            State::HalfOpen => Err(None),
            State::Ramping => {
                let wait = self.ramp_wait(now);
                let share = self.step().map_or(1.0, |(_, step)| step.share);
                self.asked.push((now, share, wait.is_none()));
                wait.map_or(Ok(()), |wait| Err(Some(wait)))
            }
            _ => Err(Some(self.settings.open_for.base())),
        }
    }

    /// What settling ticket `i` with `outcome` should mean.
    pub(super) fn settle(
        &mut self,
        i: usize,
        outcome: Outcome,
        asked: Option<Duration>,
        now: Instant,
    ) -> Meaning {
        let given = &mut self.tickets[i];
        let twice = std::mem::replace(&mut given.settled, true);
        if given.generation != self.generation {
            return Meaning::Stale;
        }
        match (self.state, given.lease) {
            (State::Closed, None) => {
                self.ended
                    .extend((outcome == Outcome::Success).then_some(true));
                Meaning::Counted
            }
            (State::Observing, None) => Meaning::Counted,
            (State::Ramping, None) => {
                self.settle_ramp(outcome, asked, now);
                Meaning::Ramp
            }
            (State::HalfOpen, Some((_, expires))) if !twice => {
                let heard = match outcome {
                    _ if given.slow => Outcome::Ignored,
                    _ if expires > now => outcome,
                    Outcome::Success if !given.reaped => outcome,
                    Outcome::Ignored | Outcome::Abandoned if given.answered && !given.reaped => {
                        Outcome::Success
                    }
                    _ => return Meaning::Stale,
                };
                self.settle_probe(heard, asked, now);
                Meaning::Probe
            }
            _ => Meaning::Stale,
        }
    }

    pub(super) fn trip(&mut self, asked: Option<Duration>, now: Instant) {
        if self.state == State::Closed {
            self.open(asked, now);
        }
    }

    /// Sets the state by hand; whether that is allowed.
    pub(super) fn by_hand(&mut self, to: State, now: Instant) -> bool {
        // Columns: closed, open, half-open, ramping; the other three are always allowed.
        let table = match self.state {
            State::Closed => [true, true, false, false],
            State::Open | State::HalfOpen => [true, true, true, true],
            State::Ramping | State::ForcedOpen => [true, true, false, true],
            _ => [true, false, false, false],
        };
        if to == self.state {
            return true;
        }
        let no_ramp = to == State::Ramping && self.settings.ramp.is_none();
        if !table.get(to.index()).copied().unwrap_or(true) || no_ramp {
            return false;
        }
        match to {
            State::Open => self.open(None, now),
            State::HalfOpen => self.probe(now),
            State::Closed => {
                self.attempt = 0;
                self.enter(State::Closed, now, None);
            }
            to => self.enter(to, now, None),
        }
        true
    }

    /// What a process after this one should make of `saved`.
    pub(super) fn restart(&mut self, saved: &Saved, passed: Duration, now: Instant) {
        self.tickets.clear();
        (self.state, self.generation, self.since) = (State::Closed, 0, now);
        self.ended.clear();
        self.attempt = saved.attempt.min(1 << 16);
        let cap = self.settings.open_for.cap();
        match saved.state {
            State::Closed => {}
            State::Open => {
                let left = Duration::from_millis(saved.remaining_ms).min(cap);
                self.enter(State::Open, now, Some(left.saturating_sub(passed)));
            }
            State::HalfOpen | State::Ramping => {
                self.enter(State::Open, now, Some(Duration::ZERO));
            }
            held => self.enter(held, now, None),
        }
    }

    /// How long an open circuit stays so.
    pub(super) fn remaining(&self, now: Instant) -> Duration {
        match self.state {
            State::Open => self.open_until.saturating_since(now),
            _ => Duration::ZERO,
        }
    }
}

/// Whether a call ended well; `None` if that says nothing.
fn verdict(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::Success => Some(true),
        Outcome::Failure(_) | Outcome::Slow => Some(false),
        _ => None,
    }
}
