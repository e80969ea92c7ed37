//! States set by hand.

use super::*;

#[test]
fn what_may_not_follow_is_an_error_and_changes_nothing() {
    let time = ManualClock::new();
    for from in State::ALL {
        for to in State::ALL {
            let breaker = with(&time, settings().ramp(Ramp::default()));
            let handle = breaker.handle();
            if matches!(from, State::HalfOpen | State::Ramping) {
                handle.transition_to(State::Open).unwrap();
            }
            handle.transition_to(from).unwrap();
            let before = handle.snapshot();
            let mut events = handle.subscribe();
            match handle.transition_to(to) {
                Ok(None) => assert_eq!((from, told(&mut events)), (to, vec![])),
                Ok(Some(changed)) => {
                    assert!(from.may_become(to) && from != to);
                    assert_eq!((changed.from, changed.to), (from, to));
                    assert_eq!(states(&mut events), [to]);
                }
                Err(illegal) => {
                    assert!(!from.may_become(to));
                    assert_eq!((illegal.from, illegal.to), (from, to));
                    assert_eq!(handle.snapshot(), before);
                    assert_eq!(told(&mut events), []);
                }
            }
        }
    }
}

#[test]
fn a_ramp_that_is_not_set_cannot_be_entered() {
    let time = ManualClock::new();
    let handle = with(&time, settings()).handle();
    handle.transition_to(State::Open).unwrap();
    let illegal = handle.transition_to(State::Ramping).unwrap_err();
    assert!(illegal.to_string().ends_with("its settings have no ramp"));
    assert_eq!(handle.snapshot().state, State::Open);
}

#[test]
fn a_forced_open_breaker_can_be_let_up_a_ramp() {
    let time = ManualClock::new();
    let breaker = with(&time, settings().ramp(Ramp::default()));
    breaker.handle().force_open();
    let changed = breaker.handle().transition_to(State::Ramping).unwrap();
    assert_eq!(changed.unwrap().from, State::ForcedOpen);
    let passed = (0..100).filter(|_| breaker.try_acquire().is_ok()).count();
    assert_eq!(passed, 5);
}

#[test]
fn an_open_time_that_was_left_by_hand_has_no_late_effect() {
    let time = ManualClock::new();
    let breaker = with(&time, settings());
    trip(&breaker);
    breaker.handle().release();
    let mut events = breaker.handle().subscribe();
    time.advance(OPEN_FOR * 2);
    assert!(!breaker.try_acquire().unwrap().is_probe());
    assert_eq!(told(&mut events), []);
}

#[test]
fn a_breaker_starts_as_it_is_told_to() {
    let time = ManualClock::new();
    let start = |state| {
        let config = config(&time).circuit(settings()).start(state);
        Breaker::new("test", config).unwrap()
    };
    let admits = [
        (State::Closed, true, HealthStatus::Healthy),
        (State::Open, false, HealthStatus::Unhealthy),
        (State::ForcedOpen, false, HealthStatus::Unhealthy),
        (State::ForcedClosed, true, HealthStatus::Healthy),
        (State::Observing, true, HealthStatus::Healthy),
    ];
    for (state, admits, health) in admits {
        let breaker = start(state);
        assert_eq!(breaker.state(), state);
        assert_eq!(breaker.try_acquire().is_ok(), admits, "{state}");
        assert_eq!(breaker.handle().health().status(), health);
        assert_eq!(breaker.handle().snapshot().generation, 0);
    }
    let open = start(State::Open);
    let wait = open.try_acquire().unwrap_err().retry_after;
    assert_eq!(wait, Some(OPEN_FOR));
    time.advance(OPEN_FOR);
    assert!(open.try_acquire().unwrap().is_probe());
}
