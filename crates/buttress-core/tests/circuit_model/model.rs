//! What a circuit should be doing.

use std::time::Duration;

use buttress_core::circuit::{Probing, Ramp, Saved, Settings, State, Step, Ticket};
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;
use buttress_core::rng::Rng;

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

pub(super) struct Given {
    pub(super) ticket: Ticket,
    pub(super) generation: u64,
    /// When a probe's lease began and when it runs out.
    pub(super) lease: Option<(Instant, Instant)>,
    pub(super) settled: bool,
    /// Its answer had begun well while the lease was live.
    pub(super) answered: bool,
    /// It was answered and its lease has run out, which has been counted.
    pub(super) reaped: bool,
    /// Its place has been taken back.
    pub(super) gone: bool,
    /// It was in flight for too long, which has been counted.
    pub(super) slow: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    Counted,
    Stale,
    Probe,
    Ramp,
}

impl Given {
    fn is_live(&self, now: Instant) -> bool {
        !self.settled && self.lease.is_some_and(|(_, expires)| expires > now)
    }

    fn is_reapable(&self, now: Instant) -> bool {
        let over = self.lease.is_some_and(|(_, expires)| expires <= now);
        over && self.answered && !self.settled && !self.reaped
    }

    /// When it has been in flight for longer than `after`, if it is then and nothing has been heard of it.
    fn slow_at(&self, after: Duration) -> Option<Instant> {
        let (since, expires) = self.lease.filter(|_| !self.settled && !self.gone)?;
        let at = since.saturating_add(after.saturating_add(Duration::from_nanos(1)));
        (at < expires && !self.answered && !self.slow).then_some(at)
    }
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

    pub(super) fn probes_in_flight(&self, now: Instant) -> usize {
        let present = |given: &&Given| given.generation == self.generation;
        let live = self.tickets.iter().filter(present);
        live.filter(|given| given.is_live(now)).count()
    }

    pub(super) fn max_probes(&self) -> usize {
        self.settings.max_probes.get() as usize
    }

    /// How many probes may end badly; of how many, the rest have to end well.
    fn bearable(&self) -> (u32, u32) {
        match self.settings.probing {
            Probing::Successes(n) => (0, n.get()),
            Probing::Rate {
                probes,
                max_bad_ratio,
            } => {
                let n = probes.get();
                let borne = |bad: &u32| f64::from(*bad) <= max_bad_ratio * f64::from(n) + 1e-9;
                ((0..n).rev().find(borne).unwrap(), n)
            }
            _ => unreachable!(),
        }
    }

    fn probes_suffice(&self, more: u32) -> bool {
        let (bearable, of) = self.bearable();
        self.good() + more >= of - bearable
    }

    fn reapable(&self, now: Instant) -> u32 {
        let given = self.tickets.iter();
        let given = given.filter(|given| given.generation == self.generation);
        given.map(|given| u32::from(given.is_reapable(now))).sum()
    }

    fn reap(&mut self, now: Instant) {
        let present = self.generation;
        for given in &mut self.tickets {
            if given.generation != present {
                continue;
            }
            if given.is_reapable(now) {
                given.reaped = true;
                self.ended.push(true);
            }
            given.gone |= given.lease.is_some() && !given.is_live(now);
        }
    }

    fn step(&self) -> Option<(Ramp, Step)> {
        let ramp = self.settings.ramp.clone()?;
        let step = *ramp.steps.get(self.step)?;
        Some((ramp, step))
    }

    pub(super) fn is_on_a_step(&self) -> bool {
        self.step().is_some()
    }

    fn is_step_over(&self, now: Instant) -> bool {
        self.step().is_none_or(|(_, step)| {
            let lasted = now.saturating_since(self.step_since) >= step.lasts;
            lasted && self.good() >= step.successes
        })
    }

    fn go_on_ramping(&mut self, now: Instant) {
        if self.settings.ramp.is_none() {
            self.enter(State::Closed, now, None);
        } else if self.is_step_over(now) {
            let last = self.settings.ramp.as_ref().unwrap().steps.len() - 1;
            if self.step >= last {
                self.attempt = 0;
                self.enter(State::Closed, now, None);
            } else {
                self.begin_step(self.step + 1, now);
            }
        }
    }

    /// After how long a call passes the ramp, if not now.
    fn ramp_wait(&self, now: Instant) -> Option<Duration> {
        let (_, step) = self.step()?;
        let passed = |asked: &&(Instant, f64, bool)| asked.2;
        let (last, ..) = self.asked.iter().rev().find(passed)?;
        let saved = self
            .asked
            .iter()
            .fold(0.0, |saved: f64, (_, share, passed)| {
                let saved = saved + share;
                if *passed {
                    (saved - 1.0).max(0.0)
                } else {
                    saved
                }
            });
        let next = last.saturating_add(step.lasts / step.successes.clamp(1, 10));
        let passes = saved + step.share >= 1.0 - 1e-6 || now >= next;
        (!passes).then(|| next.saturating_since(now))
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

    pub(super) fn answered(&mut self, i: usize, now: Instant) {
        let given = &mut self.tickets[i];
        let present = given.generation == self.generation;
        given.answered |= present && given.is_live(now) && !given.slow;
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

    /// One moment after the other up to `now`: which probes become slow, and which leases run out.
    pub(super) fn overdue(&mut self, after: Duration, asked: Option<Duration>, now: Instant) {
        while self.state == State::HalfOpen {
            let generation = self.generation;
            let present = |given: &&Given| given.generation == generation;
            let waiting = self.tickets.iter().filter(present);
            let next = waiting.filter_map(|given| given.slow_at(after)).min();
            let ended = |at: &Instant| self.limit.is_some_and(|(limit, _)| limit <= *at);
            let Some(at) = next.filter(|at| *at <= now && !ended(at)) else {
                return;
            };
            self.reap(at);
            if self.probes_suffice(0) {
                return;
            }
            let slow = |given: &&mut Given| given.generation == generation;
            for given in self.tickets.iter_mut().filter(slow) {
                if given.slow_at(after).is_some_and(|slow_at| slow_at <= at) {
                    given.slow = true;
                    self.ended.push(false);
                }
            }
            if self.bad() > self.bearable().0 {
                let asked = asked.map(|asked| asked.saturating_add(now.saturating_since(at)));
                self.open(asked, at);
            }
        }
    }

    pub(super) fn overdue_in_ramp(&mut self, calls: u32, asked: Option<Duration>, at: Instant) {
        if self.state == State::Ramping {
            self.ended.extend((0..calls).map(|_| false));
            if self.is_troubled() {
                self.open(asked, at);
            }
        }
    }

    fn settle_probe(&mut self, outcome: Outcome, asked: Option<Duration>, now: Instant) {
        self.ended.extend(verdict(outcome));
        if self.bad() > self.bearable().0 {
            self.open(asked, now);
        } else if self.probes_suffice(0) {
            self.recover(now);
        }
    }

    fn settle_ramp(&mut self, outcome: Outcome, asked: Option<Duration>, now: Instant) {
        let Some(good) = verdict(outcome).filter(|_| self.settings.ramp.is_some()) else {
            return;
        };
        self.ended.push(good);
        if self.is_troubled() {
            self.open(asked, now);
        } else {
            self.go_on_ramping(now);
        }
    }

    fn is_troubled(&self) -> bool {
        let Some(ramp) = &self.settings.ramp else {
            return false;
        };
        let row = self.ended.iter().rev().take_while(|good| !**good).count();
        let (bad, all) = (self.bad(), self.ended.len());
        let often = f64::from(bad) / all as f64 >= ramp.bad_ratio;
        let row_long = row >= ramp.bad_in_a_row.get() as usize;
        row_long || (all >= ramp.min_calls.get() as usize && often)
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
