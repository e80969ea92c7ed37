//! The circuit and its model, driven side by side and compared after each event.

use std::time::Duration;

use buttress_core::circuit::{
    Admission, Circuit, Ramp, Saved, Settings, Settled, State, Ticket, Transition,
};
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;
use buttress_core::rng::Rng;

use super::model::{Given, Meaning, Model};
use super::ops::Op;

const SECOND: Duration = Duration::from_secs(1);

/// The circuit and its model, after the same events.
pub(super) struct Pair {
    pub(super) circuit: Circuit,
    pub(super) model: Model,
    pub(super) rng: Rng,
    pub(super) now: Instant,
    told: Duration,
    patience: Patience,
    /// What the circuit said has changed in this step.
    moves: Vec<Transition>,
}

impl Pair {
    pub(super) fn new(settings: Settings, start: State, seed: u64) -> Self {
        let now = Instant::from_nanos(3_600_000_000_000);
        let rng = Rng::seeded(seed);
        Self {
            patience: Patience::default().with(&settings),
            circuit: Circuit::starting(start, settings.clone(), now, &rng),
            model: Model::new(settings, start, seed, now),
            rng,
            now,
            told: Duration::ZERO,
            moves: Vec::new(),
        }
    }

    pub(super) fn apply(&mut self, op: Op) {
        match op {
            Op::Admit => self.admit(),
            Op::Answered(i) => self.answered(i),
            Op::Overdue(after, asked) => {
                let opened = self.circuit.overdue(after, asked, self.now, &self.rng);
                self.moves.extend(opened);
                self.model.overdue(after, asked, self.now);
            }
            Op::OverdueInRamp(calls, asked) => {
                let opened = (self.circuit).overdue_in_ramp(calls, asked, self.now, &self.rng);
                self.moves.extend(opened);
                self.model.overdue_in_ramp(calls, asked, self.now);
            }
            Op::Settle(i, outcome, asked) => self.settle(i, outcome, asked),
            Op::Advance(by) => self.now = self.now.saturating_add(by),
            Op::AdvanceAsTold { short } => {
                let by = self.told.saturating_sub(Duration::from_nanos(short.into()));
                self.now = self.now.saturating_add(by);
            }
            Op::Trip(asked) => {
                let tripped = self.circuit.trip(self.now, &self.rng, asked);
                self.moves.extend(tripped);
                self.model.trip(asked, self.now);
            }
            Op::To(state) => self.by_hand(state),
            Op::Reconfigure(settings) => {
                self.patience = self.patience.with(&settings);
                self.circuit.reconfigure(settings.clone());
                self.model.settings = settings;
            }
            Op::Restart(passed) => {
                let saved = self.circuit.save(self.now);
                let expected = self.model.remaining(self.now);
                let expected = Saved::new(self.model.state, expected, self.model.attempt);
                assert_eq!(saved, expected);
                self.restart(&saved, passed);
            }
            Op::Forge(state, remaining, attempt) => {
                self.restart(&Saved::new(state, remaining, attempt), Duration::ZERO);
            }
        }
        self.agree();
        self.traffic_flows_again();
    }

    fn admit(&mut self) {
        let would = self.circuit.would_admit(self.now);
        self.moves.extend(self.circuit.expire(self.now));
        self.model.expire(self.now);
        let (admission, transition) = self.circuit.admit(self.now, &self.rng);
        self.moves.extend(transition);
        let expected = self.model.admit(self.now);
        assert_eq!(
            would,
            expected.is_ok(),
            "what it would do, and what it does"
        );
        match admission {
            Admission::Admitted(ticket) => {
                assert_eq!(expected, Ok(()));
                self.given(ticket);
            }
            Admission::Rejected(wait) => {
                let expected = expected.expect_err("rejected against the model");
                assert_eq!(wait, expected.unwrap_or(wait));
                self.told = wait;
                self.told_the_truth(wait);
            }
        }
    }

    fn given(&mut self, ticket: Ticket) {
        assert_eq!(ticket.generation(), self.model.generation);
        assert_eq!(ticket.is_probe(), self.model.state == State::HalfOpen);
        let deadline = self.now.saturating_add(self.model.settings.probe_deadline);
        self.model.tickets.push(Given {
            generation: ticket.generation(),
            lease: ticket.is_probe().then_some((self.now, deadline)),
            ticket,
            settled: false,
            answered: false,
            reaped: false,
            gone: false,
            slow: false,
        });
        let in_flight = self.model.probes_in_flight(self.now);
        assert!(in_flight <= self.model.max_probes(), "{in_flight} probes");
    }

    /// Who comes back after `wait` is admitted, if nobody else comes.
    fn told_the_truth(&self, wait: Duration) {
        if self.model.state != State::ForcedOpen {
            let then = self.now.saturating_add(wait);
            assert!(self.circuit.would_admit(then), "told {wait:?} in vain");
            assert!(!wait.is_zero(), "told to come back at once");
        }
    }

    fn answered(&mut self, i: usize) {
        if let Some(i) = i.checked_rem(self.model.tickets.len()) {
            self.model.answered(i, self.now);
            let ticket = &self.model.tickets[i].ticket;
            self.circuit.answered(ticket, self.now);
        }
    }

    fn settle(&mut self, i: usize, outcome: Outcome, asked: Option<Duration>) {
        let Some(i) = i.checked_rem(self.model.tickets.len()) else {
            return;
        };
        let meaning = self.model.settle(i, outcome, asked, self.now);
        let ticket = &self.model.tickets[i].ticket;
        let circuit = &mut self.circuit;
        let (seen, transition) = match circuit.settle(ticket, outcome, asked, self.now, &self.rng) {
            Settled::Counted => (Meaning::Counted, None),
            Settled::Stale => (Meaning::Stale, None),
            Settled::Probe(transition) => (Meaning::Probe, transition),
            Settled::Ramp(transition) => (Meaning::Ramp, transition),
        };
        assert_eq!(seen, meaning);
        self.moves.extend(transition);
    }

    fn by_hand(&mut self, to: State) {
        let from = self.model.state;
        let allowed = self.model.by_hand(to, self.now);
        match self.circuit.transition_to(to, self.now, &self.rng) {
            Ok(transition) => {
                assert!(allowed, "{from} became {to}");
                self.moves.extend(transition);
            }
            Err(illegal) => {
                assert!(!allowed, "{illegal}");
                assert_eq!((illegal.from, illegal.to), (from, to));
            }
        }
    }

    fn restart(&mut self, saved: &Saved, passed: Duration) {
        self.circuit = Circuit::new(self.model.settings.clone(), self.now);
        let restored = self.circuit.restore(saved, passed, self.now);
        self.moves.extend(restored);
        self.model.restart(saved, passed, self.now);
    }

    fn agree(&mut self) {
        let moves = |t: Transition| (t.from, t.to, t.at, t.open_for);
        let moves: Vec<_> = self.moves.drain(..).map(moves).collect();
        assert_eq!(moves, std::mem::take(&mut self.model.moves));
        assert!(
            moves.iter().all(|(from, to, ..)| from != to),
            "told of no change"
        );
        let (circuit, model) = (&self.circuit, &self.model);
        assert_eq!(circuit.state(), model.state);
        assert_eq!(circuit.generation(), model.generation);
        assert_eq!(circuit.attempt(), model.attempt);
        assert_eq!(circuit.since(), model.since);
        assert_eq!(circuit.remaining(self.now), model.remaining(self.now));
        assert_eq!(circuit.share().is_some(), self.is_on_a_step());
    }

    fn is_on_a_step(&self) -> bool {
        self.model.state == State::Ramping && self.model.is_on_a_step()
    }

    /// Whatever has happened, and whatever never ends, be it slow by then or not.
    fn traffic_flows_again(&self) {
        let then = self.now.saturating_add(self.patience.whole());
        for slow_after in [None, Some(SECOND), Some(Duration::ZERO)] {
            let mut later = self.circuit.clone();
            let rng = Rng::seeded(1);
            slow_after.and_then(|after| later.overdue(after, None, then, &rng));
            later.expire(then);
            let (admission, _) = later.admit(then, &rng);
            let admitted = matches!(admission, Admission::Admitted(_));
            assert_eq!(admitted, self.model.state != State::ForcedOpen, "wedged");
        }
    }
}

/// The longest open time, a probe's deadline or the end of half-open, and the longest wait in the ramp: each of any settings
/// there were, for a lease given by earlier ones may end in an open time of later ones.
#[derive(Clone, Copy, Default)]
struct Patience {
    open: Duration,
    half_open: Duration,
    ramp: Duration,
}

impl Patience {
    fn with(self, settings: &Settings) -> Self {
        let limit = settings.half_open_limit.as_ref().map(|limit| limit.after);
        let half_open = settings.probe_deadline.max(limit.unwrap_or_default());
        let ramp = settings.ramp.as_ref().map(Ramp::patience);
        Self {
            open: self.open.max(settings.open_for.cap()),
            half_open: self.half_open.max(half_open),
            ramp: self.ramp.max(ramp.unwrap_or_default()),
        }
    }

    fn whole(self) -> Duration {
        self.open + self.half_open + self.ramp
    }
}
