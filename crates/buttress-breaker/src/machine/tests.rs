//! The machine alone: what it shows, counts and tells.

use super::*;
use crate::rules::Window;
use buttress_core::outcome::FailureKind;
use buttress_core::verdict::Action;

const NOW: Instant = Instant::from_nanos(3_600_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn machine(state: State, rule: Rule, slow_after: Option<Duration>) -> Machine {
    let circuit = Circuit::starting(state, Settings::default(), NOW, &Rng::seeded(1));
    Machine::new(circuit, vec![rule], slow_after, NOW)
}

fn half_of_four() -> Rule {
    Rule::FailureRate {
        ratio: 0.5,
        min_calls: 4,
        window: Window::Calls(10),
    }
}

fn slower_than(slower_than: Duration) -> Rule {
    Rule::SlowRate {
        slower_than,
        ratio: 0.5,
        min_calls: 4,
        window: Window::Calls(10),
    }
}

fn fail(machine: &mut Machine) {
    settle(machine, Outcome::Failure(FailureKind::Answer), SECOND, NOW);
}

#[test]
fn successes_may_wait_in_the_gate_wherever_calls_pass_and_none_can_make_a_rule_fire() {
    for state in [State::Closed, State::Observing, State::ForcedClosed] {
        let machine = machine(state, half_of_four(), None);
        assert!(machine.face().quiet, "{state}");
    }
    for state in [State::Open, State::ForcedOpen] {
        let machine = machine(state, half_of_four(), None);
        assert!(!machine.face().quiet, "{state}");
    }
    for state in [State::Closed, State::Observing] {
        let mut machine = machine(state, half_of_four(), None);
        fail(&mut machine);
        fail(&mut machine);
        assert!(!machine.face().quiet, "{state}: two more would fire");
    }
}

#[test]
fn a_success_ends_at_once_what_an_observed_circuit_has_reported() {
    let mut machine = machine(State::Observing, Rule::ConsecutiveFailures(1), None);
    assert!(machine.face().quiet);
    fail(&mut machine);
    assert!(machine.has_untold() && !machine.face().quiet);
}

#[test]
fn what_is_slow_to_somebody_is_told_by_the_shortest_threshold_of_all() {
    let brisk = |rule, slow_after| machine(State::Closed, rule, slow_after).face().brisk;
    assert_eq!(brisk(half_of_four(), None), Duration::MAX);
    assert_eq!(brisk(half_of_four(), Some(SECOND)), SECOND);
    assert_eq!(brisk(slower_than(SECOND), None), SECOND);
    assert_eq!(brisk(slower_than(SECOND), Some(SECOND * 2)), SECOND);
    assert_eq!(brisk(slower_than(SECOND * 2), Some(SECOND)), SECOND);
}

fn settle(machine: &mut Machine, outcome: Outcome, age: Duration, now: Instant) {
    let rng = Rng::seeded(1);
    let Admission::Admitted(ticket) = machine.admit(now, &rng) else {
        panic!("rejected");
    };
    let sample = Sample {
        outcome,
        age,
        overdue: 0,
        asked: Duration::ZERO,
    };
    machine.settle(&ticket, &sample, now, &rng);
}

#[test]
fn a_success_is_slow_above_the_threshold_and_not_at_it() {
    let mut machine = machine(State::Closed, half_of_four(), Some(SECOND));
    settle(&mut machine, Outcome::Success, SECOND, NOW);
    assert_eq!((machine.calls.success, machine.calls.slow), (1, 0));
    let more = SECOND + Duration::from_nanos(1);
    settle(&mut machine, Outcome::Success, more, NOW);
    assert_eq!((machine.calls.success, machine.calls.slow), (1, 1));
}

#[test]
fn what_passes_a_circuit_that_is_held_closed_is_counted_and_is_no_evidence() {
    let mut machine = machine(State::ForcedClosed, half_of_four(), None);
    machine.absorb(5);
    assert_eq!(machine.calls.success, 5);
    assert!(
        machine
            .rules
            .counts(NOW)
            .iter()
            .all(|it| it.counts.total == 0)
    );
}

#[test]
fn a_rule_that_fires_under_observation_is_told_of_again_once_its_evidence_had_gone() {
    let rule = Rule::FailureRate {
        ratio: 0.5,
        min_calls: 1,
        window: Window::Time(SECOND * 10),
    };
    let mut machine = machine(State::Observing, rule, None);
    let (in_flight, rng) = (InFlight::new(&[]), Rng::seeded(1));
    let mut told_at = |now| {
        machine.look(now, &in_flight, &rng);
        settle(
            &mut machine,
            Outcome::Failure(FailureKind::Answer),
            SECOND,
            now,
        );
        std::iter::from_fn(|| machine.next_untold()).count()
    };
    assert_eq!([told_at(NOW), told_at(NOW)], [1, 0]);
    let later = NOW.saturating_add(SECOND * 20);
    let settled = later.saturating_add(SECOND * 20);
    assert_eq!([told_at(later), told_at(settled)], [1, 1]);
}

#[test]
fn a_threshold_that_is_configured_later_watches_the_calls_in_flight_from_then_on() {
    let mut machine = machine(State::Closed, half_of_four(), None);
    let (in_flight, rng) = (InFlight::new(&[]), Rng::seeded(1));
    let rule = Rule::SlowRate {
        slower_than: SECOND,
        ratio: 1.0,
        min_calls: 1,
        window: Window::Calls(1),
    };
    drop(machine.reconfigure(Settings::default(), vec![rule], None, NOW, &in_flight, &rng));
    in_flight.enter(NOW, machine.circuit.generation());
    machine.look(NOW.saturating_add(SECOND * 2), &in_flight, &rng);
    assert_eq!(machine.circuit.state(), State::Open);
}

#[test]
fn each_pair_of_states_is_counted_by_itself() {
    let mut machine = machine(State::Closed, half_of_four(), None);
    let states = [
        State::ForcedOpen,
        State::Closed,
        State::Observing,
        State::Closed,
    ];
    for to in states.into_iter().chain(states) {
        machine.by_hand(to, NOW, &Rng::seeded(1), None).unwrap();
    }
    let counts: Vec<_> = machine
        .transitions()
        .iter()
        .map(|it| (it.from, it.to, it.count))
        .collect();
    let expected = [
        (State::Closed, State::ForcedOpen, 2),
        (State::ForcedOpen, State::Closed, 2),
        (State::Closed, State::Observing, 2),
        (State::Observing, State::Closed, 2),
    ];
    assert_eq!(counts, expected);
}

#[test]
fn a_verdict_says_what_was_done_and_whether_by_hand() {
    let mut machine = machine(State::Closed, half_of_four(), None);
    let action = |machine: &Machine| machine.verdict.as_ref().map(|it| it.action.clone());
    machine
        .by_hand(State::Open, NOW, &Rng::seeded(1), None)
        .unwrap();
    assert_eq!(action(&machine), Some(Action::Forced));
    let later = NOW.saturating_add(SECOND * 60);
    settle(&mut machine, Outcome::Success, SECOND, later);
    assert_eq!(action(&machine), Some(Action::Probing));
    settle(&mut machine, Outcome::Success, SECOND, later);
    assert_eq!(action(&machine), Some(Action::Ramping));
}
