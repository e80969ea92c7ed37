//! Ramping: traffic rises, or falls back.

use super::*;

/// Two steps of ten seconds and three successes.
fn ramp() -> Ramp {
    let step = |share| Step::new(share, SECOND * 10, 3);
    Ramp::new([step(0.1), step(0.5)])
        .bad_in_a_row(of(2))
        .bad_ratio(0.5, of(4))
}

fn ramping(time: &ManualClock) -> Breaker {
    let settings = settings()
        .open_for(Backoff::by_attempt([OPEN_FOR, OPEN_FOR * 2]))
        .successes_to_close(of(1))
        .ramp(ramp());
    let breaker = expired(time, settings);
    end(&breaker, Outcome::Success);
    assert_eq!(breaker.state(), State::Ramping);
    breaker
}

fn passing(breaker: &Breaker, calls: usize) -> usize {
    let ask = |_| breaker.try_acquire().map(|it| it.record(Outcome::Success));
    (0..calls).flat_map(ask).count()
}

#[test]
fn a_rising_share_of_calls_passes_until_all_do() {
    let time = ManualClock::new();
    let breaker = ramping(&time);
    let mut events = breaker.handle().subscribe();
    let health = breaker.handle().health();
    assert_eq!(health.status(), HealthStatus::Degraded);
    assert_eq!(breaker.handle().snapshot().share, Some(0.1));
    assert_eq!(passing(&breaker, 1_000), 100);
    time.advance(SECOND * 10);
    assert_eq!(passing(&breaker, 1_000), 500);
    assert_eq!(breaker.handle().snapshot().share, Some(0.5));
    time.advance(SECOND * 10);
    assert_eq!(passing(&breaker, 1_000), 1_000);
    assert_eq!(breaker.handle().snapshot().share, None);
    assert_eq!(health.status(), HealthStatus::Healthy);
    let closed = "closed: ramp 500 (limit 500, 500 calls)".to_owned();
    assert_eq!(told(&mut events), [(Some(State::Closed), closed)]);
    assert_eq!(breaker.handle().snapshot().rejected, 900 + 500 + 1);
}

#[test]
fn a_rejection_says_when_a_call_passes_at_the_latest_and_one_does_then() {
    let time = ManualClock::new();
    let breaker = ramping(&time);
    end(&breaker, Outcome::Success);
    time.advance(SECOND);
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.reason, "ramping");
    let wait = rejected.retry_after.unwrap();
    assert!(wait < SECOND * 10 / 3, "{wait:?}");
    time.advance(wait);
    assert!(breaker.try_acquire().is_ok());
}

#[test]
fn bad_calls_in_a_row_open_it_again_for_longer_with_less_patience_than_closed() {
    let time = ManualClock::new();
    let breaker = ramping(&time);
    let handle = breaker.handle();
    for outcome in [Outcome::Slow, Outcome::Ignored, BAD] {
        assert_eq!(breaker.state(), State::Ramping);
        while breaker.try_acquire().map(|it| it.record(outcome)).is_err() {}
    }
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.state, snapshot.attempt), (State::Open, 2));
    assert_eq!(snapshot.retry_after, Some(OPEN_FOR * 2));
    let verdict = snapshot.verdict.unwrap().to_string();
    assert_eq!(verdict, "opened for 10.0s: ramp 2 (limit 2, 2 calls)");
}

#[test]
fn a_share_of_bad_calls_opens_it_again_too() {
    let time = ManualClock::new();
    let breaker = ramping(&time);
    for outcome in [BAD, Outcome::Success, BAD, Outcome::Success] {
        assert_eq!(breaker.state(), State::Ramping);
        time.advance(SECOND * 2);
        while breaker.try_acquire().map(|it| it.record(outcome)).is_err() {
            time.advance(SECOND);
        }
    }
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_full_ramp_is_proof_of_health_and_one_cut_short_is_none() {
    let time = ManualClock::new();
    let breaker = ramping(&time);
    for _ in 0..3 {
        passing(&breaker, 100);
        time.advance(SECOND * 10);
    }
    assert_eq!(
        (breaker.state(), breaker.handle().snapshot().attempt),
        (State::Closed, 0)
    );
    let breaker = ramping(&time);
    breaker.handle().reconfigure(config(&time)).unwrap();
    assert!(breaker.try_acquire().is_ok());
    assert_eq!(
        (breaker.state(), breaker.handle().snapshot().attempt),
        (State::Closed, 1)
    );
}

#[test]
fn the_rules_of_the_closed_circuit_begin_with_nothing_after_it() {
    let time = ManualClock::new();
    let breaker = ramping(&time);
    end(&breaker, BAD);
    for _ in 0..3 {
        passing(&breaker, 100);
        time.advance(SECOND * 10);
    }
    let snapshot = breaker.handle().snapshot();
    assert_eq!(
        (snapshot.state, snapshot.consecutive_failures),
        (State::Closed, 0)
    );
}

#[test]
fn by_default_there_is_one() {
    let time = ManualClock::new();
    let config = Config::new()
        .rules([Rule::ConsecutiveFailures(2)])
        .clock(time.clock());
    let breaker = Breaker::new("test", config).unwrap();
    trip(&breaker);
    time.advance(SECOND * 60);
    (0..2).for_each(|_| end(&breaker, Outcome::Success));
    assert_eq!(breaker.state(), State::Ramping);
}
