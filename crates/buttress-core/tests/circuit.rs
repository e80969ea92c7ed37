//! What a circuit makes of its probes, of what it is asked for and of what it was told, one case at a
//! time.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_core::circuit::{
    Admission, Backoff, Cause, Circuit, HalfOpenLimit, HealthyRun, Jitter, Probing, Saved,
    Settings, Settled, State, Ticket,
};
use buttress_core::clock::Instant;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::rng::Rng;

const SECOND: Duration = Duration::from_secs(1);

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
fn answers_that_had_begun_well_admit_whoever_asks_after_the_end_of_half_open() {
    let limit = HalfOpenLimit::new(Duration::from_secs(60), State::Open);
    let settings = Settings::default()
        .successes_to_close(NonZeroU32::MIN)
        .half_open_limit(limit)
        .ramp(None);
    let rng = Rng::seeded(1);
    let mut circuit = Circuit::starting(State::Open, settings, Instant::ORIGIN, &rng);
    let probing = Instant::ORIGIN.saturating_add(Duration::from_secs(60));
    let probe = admitted(&mut circuit, probing);
    circuit.answered(&probe, probing);
    let just_after = probing.saturating_add(limit.after);
    assert!(circuit.would_admit(just_after), "its lease ended in time");
    assert_eq!(circuit.expire(just_after), None);
    assert!(!admitted(&mut circuit, just_after).is_probe());
}

#[test]
fn answers_that_suffice_by_settings_made_since_admit_although_no_place_is_free() {
    let (mut circuit, first, deadline) = probing();
    circuit.answered(&first, deadline.saturating_sub(Duration::from_secs(1)));
    let second = admitted(&mut circuit, deadline);
    assert!(second.is_probe() && !circuit.would_admit(deadline));
    let settings = Settings::default().successes_to_close(NonZeroU32::MIN);
    circuit.reconfigure(settings.ramp(None));
    assert!(circuit.would_admit(deadline));
    assert!(!admitted(&mut circuit, deadline).is_probe());
}

#[test]
fn a_probe_that_hangs_opens_the_circuit_when_it_is_slow_and_not_when_it_ends() {
    let (mut circuit, probe, deadline) = probing();
    let rng = Rng::seeded(1);
    let since = deadline.saturating_sub(Settings::default().probe_deadline);
    let slow = since.saturating_add(SECOND);
    assert_eq!(circuit.overdue(SECOND, None, slow, &rng), None, "not yet");
    let hour_later = slow.saturating_add(SECOND * 3_600);
    let opened = circuit.overdue(SECOND, None, hour_later, &rng).unwrap();
    assert_eq!((opened.from, opened.to), (State::HalfOpen, State::Open));
    let moment = Duration::from_nanos(1);
    assert_eq!(opened.at, slow.saturating_add(moment), "as of then");
    assert!(circuit.would_admit(hour_later), "that time is over");
    let settled = circuit.settle(&probe, Outcome::Success, None, hour_later, &rng);
    assert_eq!(settled, Settled::Stale);
}

#[test]
fn a_probe_that_became_slow_in_flight_counts_once_and_keeps_its_place_to_its_end() {
    let two = NonZeroU32::new(2).unwrap();
    let probing = Probing::Rate {
        probes: NonZeroU32::new(4).unwrap(),
        max_bad_ratio: 0.25,
    };
    let settings = Settings::default()
        .max_probes(two)
        .probing(probing)
        .ramp(None);
    let rng = Rng::seeded(1);
    let mut circuit = Circuit::starting(State::Open, settings, Instant::ORIGIN, &rng);
    let now = Instant::ORIGIN.saturating_add(SECOND * 60);
    let (hung, answered) = (admitted(&mut circuit, now), admitted(&mut circuit, now));
    circuit.answered(&answered, now);
    let later = now.saturating_add(SECOND * 2);
    for _ in 0..3 {
        assert_eq!(circuit.overdue(SECOND, None, later, &rng), None, "borne");
        assert!(!circuit.would_admit(later), "both places are taken");
    }
    circuit.answered(&hung, later);
    let settled = circuit.settle(&hung, Outcome::Success, None, later, &rng);
    assert_eq!(settled, Settled::Probe(None));
    let settled = circuit.settle(&answered, Outcome::Slow, None, later, &rng);
    let Settled::Probe(Some(opened)) = settled else {
        panic!("two of four were bad");
    };
    assert!(matches!(opened.cause, Cause::Probes(evidence) if evidence.samples == 2));
}

#[test]
fn a_probe_is_not_slow_in_the_moment_in_which_its_lease_ends() {
    let (mut circuit, _, deadline) = probing();
    let before = format!("{circuit:?}");
    let moment = Duration::from_nanos(1);
    let lease = Settings::default().probe_deadline;
    let opened = circuit.overdue(
        lease.saturating_sub(moment),
        None,
        deadline,
        &Rng::seeded(1),
    );
    assert_eq!(opened, None);
    assert_eq!(format!("{circuit:?}"), before);
}

#[test]
fn calls_of_the_ramp_that_hang_open_the_circuit_as_those_that_end_badly_do() {
    let rng = Rng::seeded(1);
    let settings = Settings::default();
    let mut circuit = Circuit::starting(State::Open, settings, Instant::ORIGIN, &rng);
    let now = Instant::ORIGIN;
    circuit.transition_to(State::Ramping, now, &rng).unwrap();
    assert_eq!(circuit.overdue_in_ramp(2, None, now, &rng), None);
    let opened = circuit.overdue_in_ramp(1, None, now, &rng).unwrap();
    assert!(matches!(opened.cause, Cause::Ramp(evidence) if evidence.samples == 3));
    assert_eq!(circuit.overdue_in_ramp(9, None, now, &rng), None);
}

#[test]
fn an_answer_that_begins_after_its_lease_has_run_out_is_not_believed_before_it_ends() {
    let (mut circuit, first, deadline) = probing();
    circuit.answered(&first, deadline);
    let settled = circuit.settle(&first, Outcome::Abandoned, None, deadline, &Rng::seeded(1));
    assert_eq!(settled, Settled::Stale);
}

/// What the end of half-open was put down to, after probes that ended like this: how much of what,
/// against which bound, in how many calls.
fn put_down_to(probing: Probing, ended_well: &[bool]) -> (State, f64, f64, u32) {
    let settings = Settings::default().probing(probing).ramp(None);
    let rng = Rng::seeded(1);
    let mut circuit = Circuit::starting(State::Open, settings, Instant::ORIGIN, &rng);
    let now = Instant::ORIGIN.saturating_add(Duration::from_secs(60));
    for well in ended_well {
        let probe = admitted(&mut circuit, now);
        let failure = Outcome::Failure(FailureKind::Answer);
        let outcome = if *well { Outcome::Success } else { failure };
        if let Settled::Probe(Some(end)) = circuit.settle(&probe, outcome, None, now, &rng) {
            let Cause::Probes(evidence) = end.cause else {
                panic!("put down to {:?}", end.cause);
            };
            return (
                end.to,
                evidence.observed,
                evidence.threshold,
                evidence.samples,
            );
        }
    }
    panic!("still half-open");
}

#[test]
fn successes_that_were_counted_elsewhere_prove_health_as_those_that_were_settled() {
    let run = HealthyRun::new(Duration::ZERO, 10);
    let settings = Settings::default().ramp(None).healthy_run(run);
    let rng = Rng::seeded(1);
    let attempt_after = |successes| {
        let saved = Saved::new(State::Closed, Duration::ZERO, 4);
        let mut circuit = Circuit::new(settings.clone(), Instant::ORIGIN);
        circuit.restore(&saved, Duration::ZERO, Instant::ORIGIN);
        circuit.succeeded(successes);
        circuit.trip(Instant::ORIGIN, &rng, None).unwrap();
        circuit.attempt()
    };
    assert_eq!([attempt_after(9), attempt_after(10)], [5, 1]);
}

#[test]
fn the_end_of_half_open_tells_of_what_the_probes_showed() {
    let two = Probing::Successes(NonZeroU32::new(2).unwrap());
    let closed = put_down_to(two, &[true, true]);
    assert_eq!(closed, (State::Closed, 2.0, 2.0, 2));
    let reopened = put_down_to(two, &[true, false]);
    assert_eq!(reopened, (State::Open, 1.0, 1.0, 1));
    let one_of_four = Probing::Rate {
        probes: NonZeroU32::new(4).unwrap(),
        max_bad_ratio: 0.25,
    };
    let closed = put_down_to(one_of_four, &[true, false, true, true]);
    assert_eq!(closed, (State::Closed, 0.25, 0.25, 4));
    let reopened = put_down_to(one_of_four, &[false, true, true, false]);
    assert_eq!(reopened, (State::Open, 0.5, 0.25, 4));
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
