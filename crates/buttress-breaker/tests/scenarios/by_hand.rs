//! States that somebody sets.

use std::time::Duration;

use buttress_breaker::{
    Breaker, Evidence, KeyedBreaker, KeyedConfig, Limits, Ramp, Registry, Rule, State, Trip,
    TripRule, Window,
};
use buttress_core::clock::ManualClock;
use buttress_core::events::Received;
use buttress_core::outcome::Outcome;
use buttress_core::verdict::By;

use crate::support::{BAD, OPEN_FOR, calls, config, trip};
use crate::tools::{
    SECOND, counts, end, generation, half_failed, made, rejected, ruled, settings, to_probe, told,
    with,
};

const STATES: [State; 7] = State::ALL;

/// A breaker in `state`, with a ramp among its settings.
fn in_state(time: &ManualClock, state: State) -> Breaker {
    let settings = settings(1).ramp(Ramp::default());
    if matches!(state, State::HalfOpen | State::Ramping) {
        let breaker = to_probe(time, settings);
        breaker.handle().transition_to(state).unwrap();
        return breaker;
    }
    made(config(time).circuit(settings).start(state))
}

// Resilience4j: shouldForceOpenCircuitBreaker
#[test]
fn held_open_it_rejects_for_all_time_and_counts_that() {
    let time = ManualClock::new();
    let breaker = in_state(&time, State::ForcedOpen);
    for n in 0..10 {
        assert_eq!(rejected(&breaker), n);
        let refused = breaker.try_acquire().unwrap_err();
        assert_eq!(refused.reason, "forced_open");
        time.advance(OPEN_FOR * 1_000);
    }
    assert_eq!(breaker.state(), State::ForcedOpen);
}

// Resilience4j: shouldDisableCircuitBreaker. Its calls are counted here, and judged by nobody.
#[test]
fn held_closed_it_permits_all_judges_nothing_and_tells_nothing() {
    let time = ManualClock::new();
    let breaker = ruled(&time, half_failed(1, Window::Calls(10)));
    assert!(breaker.handle().force_closed());
    let mut events = breaker.handle().subscribe();
    for _ in 0..100 {
        end(&breaker, BAD);
        time.advance(SECOND);
    }
    assert_eq!(breaker.state(), State::ForcedClosed);
    assert_eq!(counts(&breaker), (0, 0));
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.consecutive_failures, snapshot.stale), (0, 0));
    assert_eq!(told(&mut events), []);
    assert_eq!(calls(&breaker).failure, 100);
}

// Resilience4j: shouldRecordMetricsInMetricsOnlyState and
// shouldPublishEachEventOnceInMetricOnlyState
#[test]
fn observing_it_counts_never_rejects_and_reports_each_time_once() {
    let time = ManualClock::new();
    let breaker = ruled(&time, half_failed(4, Window::Time(SECOND)));
    breaker.handle().observe();
    let mut events = breaker.handle().subscribe();
    for bad in 1..=20 {
        end(&breaker, BAD);
        assert_eq!(counts(&breaker), (bad, bad));
    }
    let reports = told(&mut events);
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].transition, None);
    assert_eq!(reports[0].verdict.rule, "failure_rate");
    time.advance(SECOND * 2);
    end(&breaker, Outcome::Success);
    (0..20).for_each(|_| end(&breaker, BAD));
    assert_eq!(
        told(&mut events).len(),
        1,
        "its evidence was gone in between"
    );
    assert_eq!(breaker.state(), State::Observing);
    assert_eq!(rejected(&breaker), 0);
}

/// Any failure at all among two calls.
#[derive(Debug)]
struct Spotless;

impl TripRule for Spotless {
    fn name(&self) -> &'static str {
        "spotless"
    }

    fn window(&self) -> Window {
        Window::Calls(100)
    }

    fn judge(&self, evidence: &Evidence) -> Option<Trip> {
        let bad = evidence.failures.bad;
        (bad > 0).then(|| Trip::new(evidence.failures.ratio(), 0.0))
    }
}

// Resilience4j: shouldPublishEachEventOnceInMetricOnlyState, where several thresholds are exceeded
#[test]
fn observing_it_reports_each_rule_by_itself_and_each_once() {
    let time = ManualClock::new();
    let rate = half_failed(4, Window::Time(SECOND));
    let rules = [rate, Rule::ConsecutiveFailures(8), Rule::custom(Spotless)];
    let breaker = made(config(&time).rules(rules));
    breaker.handle().observe();
    let mut events = breaker.handle().subscribe();
    let mut reports = |calls, outcome| {
        (0..calls).for_each(|_| end(&breaker, outcome));
        let told = told(&mut events).into_iter();
        told.map(|event| event.verdict.rule.into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(reports(3, BAD), ["spotless"]);
    assert_eq!(reports(3, BAD), ["failure_rate"]);
    assert_eq!(reports(3, BAD), ["consecutive_failures"]);
    assert_eq!(reports(20, BAD), [""; 0]);
    time.advance(SECOND * 2);
    assert_eq!(reports(4, Outcome::Success), [""; 0], "one goes on");
    assert_eq!(reports(7, BAD), ["failure_rate"]);
    assert_eq!(reports(1, BAD), ["consecutive_failures"]);
}

// Resilience4j: circuitBreakerDoesNotPublishStateTransitionEventsForInternalTransitions
#[test]
fn to_set_the_state_it_is_in_already_is_no_transition_and_tells_nothing() {
    for state in STATES {
        let time = ManualClock::new();
        let breaker = in_state(&time, state);
        time.advance(SECOND);
        let before = breaker.handle().snapshot();
        let mut events = breaker.handle().subscribe();
        assert_eq!(breaker.handle().transition_to(state), Ok(None));
        assert_eq!(told(&mut events), []);
        assert_eq!(breaker.handle().snapshot(), before);
        assert_eq!(before.state, state);
    }
}

// Resilience4j: shouldNotAllowTransitionFromClosedToHalfOpen
#[test]
fn an_illegal_transition_is_an_error_that_names_both_states_and_changes_nothing() {
    let mut refused = 0;
    for from in STATES {
        for to in STATES.into_iter().filter(|to| !from.may_become(*to)) {
            let time = ManualClock::new();
            let breaker = in_state(&time, from);
            let before = breaker.handle().snapshot();
            let mut events = breaker.handle().subscribe();
            let error = breaker.handle().transition_to(to).unwrap_err();
            assert_eq!((error.from, error.to), (from, to));
            assert_eq!(told(&mut events), []);
            assert_eq!(breaker.handle().snapshot(), before);
            refused += 1;
        }
    }
    assert!(!State::Closed.may_become(State::HalfOpen));
    assert!(refused > 5, "{refused}");
}

// Polly: ManualControl, Initialize_Twice
#[test]
fn one_control_drives_several_breakers_and_those_to_come() {
    let time = ManualClock::new();
    let breakers = keyed(&time);
    let [one, other] = [1, 2].map(|key| breakers.get(key));
    breakers.handle().force_open();
    for breaker in [&one, &other, &breakers.get(3)] {
        assert_eq!(breaker.try_acquire().unwrap_err().reason, "forced_open");
    }
    breakers.handle().release();
    for breaker in [&one, &other, &breakers.get(3), &breakers.get(4)] {
        end(breaker, Outcome::Success);
    }
}

// Polly: ManualControl, Initialize_DisposeRegistration
#[test]
fn a_breaker_that_is_gone_is_driven_no_more_and_hinders_no_other() {
    let time = ManualClock::new();
    let breakers = keyed(&time);
    let kept = breakers.get(1);
    end(&breakers.get(2), Outcome::Success);
    time.advance(IDLE * 2);
    breakers.handle().sweep();
    assert_eq!(breakers.handle().keys(), [1]);
    breakers.handle().force_open();
    assert_eq!(kept.state(), State::ForcedOpen);
    assert_eq!(breakers.handle().keys(), [1]);
}

// Polly: ManualControl, Initialize_DisposeRegistration, where somebody still uses what is disposed of
#[test]
fn a_breaker_taken_out_of_the_registry_is_driven_by_it_no_more_and_told_of_no_more() {
    let time = ManualClock::new();
    let registry = Registry::new();
    let [kept, gone] =
        ["kept", "gone"].map(|name| registry.get_or_create(name, || config(&time)).unwrap());
    let [mut common, mut own] = [registry.subscribe(), gone.handle().subscribe()];
    drop(registry.remove("gone"));
    for handle in registry.handles() {
        handle.force_open();
    }
    assert_eq!(
        (kept.state(), gone.state()),
        (State::ForcedOpen, State::Closed)
    );
    trip(&gone);
    let names = |events| told(events).into_iter().map(|event| event.name.to_string());
    assert_eq!(names(&mut common).collect::<Vec<_>>(), ["kept"]);
    assert_eq!(names(&mut own).collect::<Vec<_>>(), ["gone"]);
    let fresh = registry.get_or_create("gone", || config(&time)).unwrap();
    assert_eq!(fresh.state(), State::Closed, "not the one that was removed");
}

// Polly: ManualControl, isolated at construction
#[test]
fn a_breaker_may_be_made_held_open_and_is_as_any_other_once_released() {
    let time = ManualClock::new();
    let breaker = in_state(&time, State::ForcedOpen);
    assert_eq!(generation(&breaker), 0);
    assert!(breaker.try_acquire().is_err());
    assert!(breaker.handle().release());
    end(&breaker, Outcome::Success);
    trip(&breaker);
}

// opossum: circuit opens on health check failure
#[test]
fn a_failed_health_check_may_open_it_and_it_recovers_by_itself() {
    let time = ManualClock::new();
    let breaker = with(&time, settings(1));
    breaker.handle().transition_to(State::Open).unwrap();
    assert_eq!(
        breaker.try_acquire().unwrap_err().retry_after,
        Some(OPEN_FOR)
    );
    time.advance(OPEN_FOR);
    (0..2).for_each(|_| end(&breaker, Outcome::Success));
    assert_eq!(breaker.state(), State::Closed);
}

const IDLE: Duration = Duration::from_secs(60);

fn keyed(time: &ManualClock) -> KeyedBreaker<u32> {
    let config = KeyedConfig::default()
        .breaker(config(time))
        .limits(Limits::default().idle_after(IDLE));
    KeyedBreaker::new("tenants", config).unwrap()
}

#[test]
fn who_holds_the_breakers_of_all_keys_stands_in_the_verdict_of_each_and_of_those_to_come() {
    let time = ManualClock::new();
    let breakers = keyed(&time);
    let by = |key: u32| {
        let verdict = breakers.handle().get(key).unwrap().snapshot().verdict;
        verdict.unwrap().by.map(|by| by.who.clone())
    };
    let _ = breakers.get(1);
    let ann = breakers.handle().on_behalf_of(By::new("ann", "ticket 7"));
    ann.force_open();
    let _ = breakers.get(2);
    assert_eq!([by(1), by(2)], [Some("ann".into()), Some("ann".into())]);
    let overflow = breakers.handle().overflow().snapshot().verdict.unwrap();
    assert_eq!(&*overflow.by.unwrap().why, "ticket 7");

    breakers.handle().release();
    assert_eq!([by(1), by(2)], [None, None]);
    ann.get(1).unwrap().force_closed();
    assert_eq!(by(1).as_deref(), Some("ann"));
}

#[test]
fn who_sets_a_state_stands_in_the_verdict_and_nobody_where_they_do_not_say() {
    let time = ManualClock::new();
    let breaker = in_state(&time, State::Closed);
    let mut events = breaker.handle().subscribe();
    let handle = breaker.handle().on_behalf_of(By::new("ann", "ticket 7"));
    assert!(handle.force_open());
    assert!(breaker.handle().release());
    let mut next = || match events.try_recv() {
        Some(Received::Event(event)) => event.verdict,
        other => panic!("{other:?}"),
    };
    let by = next().by.unwrap();
    assert_eq!((&*by.who, &*by.why), ("ann", "ticket 7"));
    assert_eq!(next().by, None);
}
