//! The circuit does what a naive model of it does, whatever happens to it in whatever order, and no
//! order of events keeps traffic away for ever.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test reports by panicking"
)]

use std::time::Duration;

use buttress_core::circuit::{
    Admission, Backoff, Circuit, Jitter, Settings, Settled, State, Ticket, Transition,
};
use buttress_core::clock::Instant;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::rng::Rng;
use proptest::prelude::*;

#[path = "circuit_model/model.rs"]
mod model;
#[path = "circuit_model/ops.rs"]
mod ops;

use model::{Given, Meaning, Model};
use ops::{Op, op, outcome, settings};

/// The circuit and its model, driven side by side.
struct Pair {
    circuit: Circuit,
    model: Model,
    rng: Rng,
    now: Instant,
    told: Duration,
    longest_open: Duration,
    longest_probe: Duration,
}

impl Pair {
    fn new(settings: Settings, seed: u64) -> Self {
        let now = Instant::from_nanos(3_600_000_000_000);
        Self {
            longest_open: settings.open_for.cap(),
            longest_probe: settings.probe_deadline,
            circuit: Circuit::new(settings.clone(), now),
            model: Model::new(settings, now),
            rng: Rng::seeded(seed),
            now,
            told: Duration::ZERO,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Admit => self.admit(),
            Op::Answered(i) => self.answered(i),
            Op::Settle(i, outcome) => self.settle(i, outcome),
            Op::Advance(by) => self.now = self.now.saturating_add(by),
            Op::AdvanceAsTold { short } => {
                let by = self.told.saturating_sub(Duration::from_nanos(short.into()));
                self.now = self.now.saturating_add(by);
            }
            Op::Trip(at_least) => self.trip(at_least),
            Op::ForceOpen => {
                let transition = self.circuit.force_open(self.now);
                self.moved_by_hand(transition, State::ForcedOpen);
            }
            Op::ForceClosed => {
                let transition = self.circuit.force_closed(self.now);
                self.moved_by_hand(transition, State::ForcedClosed);
            }
            Op::Release => {
                let transition = self.circuit.release(self.now);
                if transition.is_some() {
                    self.model.attempt = 0;
                }
                self.moved_by_hand(transition, State::Closed);
            }
            Op::Reconfigure(settings) => self.reconfigure(settings),
        }
        self.agree();
        self.traffic_flows_again();
    }

    fn admit(&mut self) {
        let expected = self.model.admits(self.now);
        assert_eq!(self.circuit.would_admit(self.now), expected);
        let closes = self.model.closes_on_admission(self.now);
        let (admission, transition) = self.circuit.admit(self.now, &self.rng);
        self.model.reap(self.now);
        if closes {
            self.expect_transition(transition, State::Closed);
        } else if self.model.state == State::Open && expected {
            self.expect_transition(transition, State::HalfOpen);
        } else {
            assert_eq!(transition, None);
        }
        match admission {
            Admission::Admitted(ticket) => {
                assert!(expected, "admitted against the model");
                self.given(ticket);
            }
            Admission::Rejected(wait) => {
                assert!(!expected, "rejected against the model");
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
            lease: ticket.is_probe().then_some(deadline),
            ticket,
            settled: false,
            answered: false,
            reaped: false,
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

    fn settle(&mut self, i: usize, outcome: Outcome) {
        if self.model.tickets.is_empty() {
            return;
        }
        let i = i % self.model.tickets.len();
        let (meaning, to) = self.model.settle(i, outcome, self.now);
        let ticket = &self.model.tickets[i].ticket;
        let settled = self
            .circuit
            .settle(ticket, outcome, None, self.now, &self.rng);
        let (seen, transition) = match settled {
            Settled::Counted => (Meaning::Counted, None),
            Settled::Stale => (Meaning::Stale, None),
            Settled::Probe(transition) | Settled::Ramp(transition) => (Meaning::Probe, transition),
        };
        assert_eq!(seen, meaning);
        match to {
            Some(State::Open) => self.opened(transition, None),
            Some(to) => self.expect_transition(transition, to),
            None => assert_eq!(transition, None),
        }
    }

    fn trip(&mut self, at_least: Option<Duration>) {
        let transition = self.circuit.trip(self.now, &self.rng, at_least);
        if self.model.state == State::Closed {
            self.opened(transition, at_least);
        } else {
            assert_eq!(transition, None, "only a closed circuit trips");
        }
    }

    fn opened(&mut self, transition: Option<Transition>, at_least: Option<Duration>) {
        let open_for = transition.unwrap().open_for.unwrap();
        if self.model.is_proven(self.now) {
            self.model.attempt = 0;
        }
        let backoff = &self.model.settings.open_for;
        let doubled = backoff.base() * 2_u32.pow(self.model.attempt.min(10));
        let full = doubled.min(backoff.cap());
        let asked = at_least.unwrap_or_default().min(backoff.cap());
        let upward = *backoff == backoff.clone().jitter(Jitter::Upward);
        let at_most = if upward {
            (full + full / 4).min(backoff.cap())
        } else {
            full
        };
        assert!(
            open_for <= at_most.max(asked),
            "{open_for:?} of {full:?}, asked {asked:?}"
        );
        let at_least = match () {
            () if upward => full,
            () if *backoff == backoff.clone().jitter(Jitter::None) => full,
            () if *backoff == backoff.clone().jitter(Jitter::Equal) => full / 2,
            () => Duration::ZERO,
        };
        assert!(
            open_for >= at_least.max(asked),
            "{open_for:?} of {full:?}, asked {asked:?}"
        );
        self.model.attempt += 1;
        self.model.open_until = self.now.saturating_add(open_for);
        self.expect_transition(transition, State::Open);
    }

    fn moved_by_hand(&mut self, transition: Option<Transition>, to: State) {
        if self.model.state == to {
            assert_eq!(transition, None);
        } else {
            self.expect_transition(transition, to);
        }
    }

    fn expect_transition(&mut self, transition: Option<Transition>, to: State) {
        let transition = transition.expect("a transition");
        let expected = (self.model.state, to, self.now);
        assert_eq!((transition.from, transition.to, transition.at), expected);
        assert_eq!(transition.open_for.is_some(), to == State::Open);
        self.model.enter(to, self.now);
    }

    fn reconfigure(&mut self, settings: Settings) {
        self.longest_open = self.longest_open.max(settings.open_for.cap());
        self.longest_probe = self.longest_probe.max(settings.probe_deadline);
        self.circuit.reconfigure(settings.clone());
        self.model.settings = settings;
    }

    fn agree(&self) {
        let (circuit, model) = (&self.circuit, &self.model);
        assert_eq!(circuit.state(), model.state);
        assert_eq!(circuit.generation(), model.generation);
        assert_eq!(circuit.attempt(), model.attempt);
        assert_eq!(circuit.since(), model.since);
    }

    /// Whatever has happened, and whatever never ends.
    fn traffic_flows_again(&self) {
        let mut later = self.circuit.clone();
        let patience = self.longest_open.saturating_add(self.longest_probe);
        let (admission, _) = later.admit(self.now.saturating_add(patience), &self.rng);
        let admitted = matches!(admission, Admission::Admitted(_));
        assert_eq!(admitted, self.model.state != State::ForcedOpen, "wedged");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_circuit_does_what_its_model_does_and_never_wedges(
        settings in settings(),
        seed: u64,
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        let mut pair = Pair::new(settings, seed);
        for op in ops {
            pair.apply(op);
        }
    }

    #[test]
    fn an_outcome_of_an_earlier_generation_changes_nothing(
        settings in settings(),
        seed: u64,
        ops in proptest::collection::vec(op(), 1..60),
        outcome in outcome(),
    ) {
        let mut pair = Pair::new(settings, seed);
        for op in ops {
            pair.apply(op);
        }
        let before = format!("{:?}", pair.circuit);
        let old = |given: &&Given| given.generation != pair.model.generation;
        for given in pair.model.tickets.iter().filter(old) {
            let settled = pair.circuit.settle(&given.ticket, outcome, None, pair.now, &pair.rng);
            prop_assert_eq!(settled, Settled::Stale);
        }
        prop_assert_eq!(format!("{:?}", pair.circuit), before);
    }
}

#[test]
fn a_probe_that_never_ends_gives_its_place_back_at_its_deadline_and_not_before() {
    let open_for = Backoff::constant(Duration::from_secs(5));
    let settings = Settings::default().open_for(open_for).ramp(None);
    let rng = Rng::seeded(1);
    let mut circuit = Circuit::new(settings.clone(), Instant::ORIGIN);
    circuit.trip(Instant::ORIGIN, &rng, None).unwrap();
    let probing = Instant::ORIGIN.saturating_add(Duration::from_secs(5));
    let (Admission::Admitted(hung), _) = circuit.admit(probing, &rng) else {
        panic!("the first probe was rejected");
    };
    let deadline = probing.saturating_add(settings.probe_deadline);
    let just_before = deadline.saturating_sub(Duration::from_nanos(1));
    assert!(!circuit.would_admit(just_before));
    assert!(circuit.would_admit(deadline));
    let settled = circuit.settle(
        &hung,
        Outcome::Failure(FailureKind::Deadline),
        None,
        deadline,
        &rng,
    );
    assert_eq!(settled, Settled::Stale);
}

/// A half-open circuit that two good probes close, its first probe, and when its lease runs out.
fn probing() -> (Circuit, Ticket, Instant) {
    let open_for = Backoff::constant(Duration::from_secs(5));
    let settings = Settings::default().open_for(open_for).ramp(None);
    let mut circuit = Circuit::new(settings.clone(), Instant::ORIGIN);
    circuit
        .trip(Instant::ORIGIN, &Rng::seeded(1), None)
        .unwrap();
    let now = Instant::ORIGIN.saturating_add(Duration::from_secs(5));
    let probe = admitted(&mut circuit, now);
    (circuit, probe, now.saturating_add(settings.probe_deadline))
}

fn admitted(circuit: &mut Circuit, now: Instant) -> Ticket {
    let (Admission::Admitted(ticket), _) = circuit.admit(now, &Rng::seeded(1)) else {
        panic!("rejected");
    };
    ticket
}

#[test]
fn good_answers_that_outlast_their_leases_close_the_circuit() {
    let (mut circuit, first, deadline) = probing();
    let second = admitted(&mut circuit, deadline);
    let later = deadline.saturating_add(Duration::from_secs(3_600));
    let rng = Rng::seeded(1);
    let settled = circuit.settle(&first, Outcome::Success, None, later, &rng);
    assert_eq!(settled, Settled::Probe(None));
    let settled = circuit.settle(&first, Outcome::Success, None, later, &rng);
    assert_eq!(settled, Settled::Stale, "one probe counted twice");
    let Settled::Probe(Some(closed)) = circuit.settle(&second, Outcome::Success, None, later, &rng)
    else {
        panic!("two good probes did not close the circuit");
    };
    assert_eq!(closed.to, State::Closed);
}

#[test]
fn answers_that_begin_well_and_never_end_close_the_circuit_at_their_deadlines() {
    let (mut circuit, first, deadline) = probing();
    circuit.answered(&first, deadline.saturating_sub(Duration::from_secs(1)));
    let second = admitted(&mut circuit, deadline);
    assert!(second.is_probe());
    circuit.answered(&second, deadline);
    let later = deadline.saturating_add(Duration::from_secs(30));
    let (admission, transition) = circuit.admit(later, &Rng::seeded(1));
    assert_eq!(transition.unwrap().to, State::Closed);
    assert!(matches!(admission, Admission::Admitted(ticket) if !ticket.is_probe()));
}

#[test]
fn an_answer_that_begins_after_its_lease_has_run_out_is_not_believed_before_it_ends() {
    let (mut circuit, first, deadline) = probing();
    circuit.answered(&first, deadline);
    let settled = circuit.settle(&first, Outcome::Abandoned, None, deadline, &Rng::seeded(1));
    assert_eq!(settled, Settled::Stale);
}

#[test]
fn what_the_upstream_asks_for_is_honoured_up_to_the_cap() {
    let open_for = Backoff::exponential(Duration::from_secs(5), Duration::from_secs(60));
    let settings = Settings::default().open_for(open_for.jitter(Jitter::None));
    let open_for = |asked: u64| {
        let mut circuit = Circuit::new(settings.clone(), Instant::ORIGIN);
        let asked = Some(Duration::from_secs(asked));
        let transition = circuit.trip(Instant::ORIGIN, &Rng::seeded(1), asked);
        transition.unwrap().open_for.unwrap().as_secs()
    };
    assert_eq!([open_for(1), open_for(20), open_for(86_400)], [5, 20, 60]);
}
