//! Probes and calls of the ramp that do not end.

use super::*;

const MOMENT: Duration = Duration::from_nanos(1);
/// Calls in flight are seen to be slow within a sixteenth of the threshold.
const SEEN: Duration = Duration::from_millis(1_063);

/// Calls are slow after a second, and no rule asks for that.
fn slow_after_a_second(time: &ManualClock, settings: Settings) -> Breaker {
    let config = config(time).circuit(settings).slow_after(SECOND);
    let breaker = Breaker::new("test", config).unwrap();
    trip(&breaker);
    time.advance(OPEN_FOR);
    breaker
}

/// All calls pass, and so many bad ones in a row open it.
fn ramping(time: &ManualClock, bad_in_a_row: u32) -> Breaker {
    let ramp = Ramp::new([Step::new(0.999_999, SECOND * 60, 1)]).bad_in_a_row(of(bad_in_a_row));
    let settings = settings().successes_to_close(of(1)).ramp(ramp);
    let breaker = slow_after_a_second(time, settings);
    end(&breaker, Outcome::Success);
    assert_eq!(breaker.state(), State::Ramping);
    breaker
}

#[test]
fn a_probe_that_hangs_opens_it_when_it_is_slow_and_not_when_it_ends() {
    let time = ManualClock::new();
    let breaker = slow_after_a_second(&time, settings());
    let hung = breaker.try_acquire().unwrap();
    time.advance(SECOND);
    assert_eq!(breaker.state(), State::HalfOpen);
    time.advance(MOMENT);
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.reason, "circuit_open");
    assert_eq!(rejected.retry_after, Some(OPEN_FOR));
    hung.record(Outcome::Success);
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.state, snapshot.stale), (State::Open, 1));
    let verdict = snapshot.verdict.unwrap().to_string();
    assert_eq!(verdict, "opened for 5.0s: probe 1 (limit 1, 1 calls)");
}

#[test]
fn the_time_in_which_nobody_came_is_not_added_to_that_in_which_it_is_open() {
    let time = ManualClock::new();
    let breaker = slow_after_a_second(&time, settings());
    let _hung = breaker.try_acquire().unwrap();
    time.advance(SECOND + MOMENT + OPEN_FOR);
    assert!(breaker.try_acquire().unwrap().is_probe());
    assert_eq!(breaker.handle().snapshot().attempt, 2);
}

#[test]
fn a_probe_whose_caller_leaves_after_too_long_was_slow() {
    let time = ManualClock::new();
    let breaker = slow_after_a_second(&time, settings());
    for (wait, state) in [(SECOND, State::HalfOpen), (SECOND + MOMENT, State::Open)] {
        let probe = breaker.try_acquire().unwrap();
        time.advance(wait);
        drop(probe);
        assert_eq!(breaker.state(), state, "left after {wait:?}");
    }
}

#[test]
fn calls_of_the_ramp_that_hang_open_it_when_they_are_slow_and_not_when_they_end() {
    let time = ManualClock::new();
    let breaker = ramping(&time, 2);
    let hung = [(); 2].map(|()| breaker.try_acquire().unwrap());
    time.advance(SECOND);
    assert_eq!(breaker.state(), State::Ramping);
    time.advance(SEEN.saturating_sub(SECOND));
    assert_eq!(breaker.state(), State::Open);
    for permit in hung {
        permit.record(Outcome::Success);
    }
    assert_eq!(breaker.handle().snapshot().stale, 2);
}

#[test]
fn a_call_of_the_ramp_that_became_slow_in_flight_counts_no_more_when_it_ends() {
    let time = ManualClock::new();
    let breaker = ramping(&time, 3);
    let hung = [(); 2].map(|()| breaker.try_acquire().unwrap());
    time.advance(SEEN);
    assert_eq!(breaker.state(), State::Ramping);
    for permit in hung {
        permit.record(Outcome::Success);
    }
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.state, snapshot.calls.slow), (State::Ramping, 2));
    end(&breaker, Outcome::Slow);
    assert_eq!(breaker.state(), State::Open, "the third");
}

#[test]
fn calls_of_the_ramp_whose_callers_leave_after_too_long_were_slow() {
    let time = ManualClock::new();
    let breaker = ramping(&time, 2);
    for (wait, state) in [
        (SECOND, State::Ramping),
        (SECOND, State::Ramping),
        (SECOND + MOMENT, State::Ramping),
        (SECOND + MOMENT, State::Open),
    ] {
        let call = breaker.try_acquire().unwrap();
        time.advance(wait);
        drop(call);
        assert_eq!(breaker.state(), state, "left after {wait:?}");
    }
    assert_eq!(breaker.handle().snapshot().calls.abandoned, 4);
}

#[test]
fn what_the_ramp_watches_is_forgotten_when_it_is_over_and_the_rules_watch_their_own() {
    let time = ManualClock::new();
    let rule = Rule::SlowRate {
        slower_than: SECOND * 4,
        ratio: 1.0,
        min_calls: 2,
        window: Window::Calls(2),
    };
    let ramp = Ramp::new([Step::new(0.999_999, SECOND * 60, 1)]).bad_in_a_row(of(9));
    let settings = settings().successes_to_close(of(1)).ramp(ramp);
    let config = config(&time).rules([rule]).slow_after(SECOND);
    let breaker = Breaker::new("test", config.circuit(settings)).unwrap();
    breaker.handle().transition_to(State::Open).unwrap();
    time.advance(OPEN_FOR);
    end(&breaker, Outcome::Success);
    let of_the_ramp = [(); 5].map(|()| breaker.try_acquire().unwrap());
    time.advance(SECOND * 60);
    end(&breaker, Outcome::Success);
    end(&breaker, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
    let hung = [(); 2].map(|()| breaker.try_acquire().unwrap());
    time.advance(SECOND * 4);
    drop(of_the_ramp);
    assert_eq!(breaker.state(), State::Closed, "slow to the ramp alone");
    time.advance(SECOND);
    assert_eq!(breaker.state(), State::Open);
    drop(hung);
}
