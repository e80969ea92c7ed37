//! Open: for how long.

use super::*;

#[test]
fn each_time_in_a_row_is_longer_until_it_is_healthy_for_a_while() {
    let time = ManualClock::new();
    let table = [1, 2, 3].map(|n| SECOND * n);
    let run = HealthyRun::new(SECOND * 30, 3);
    let settings = settings()
        .open_for(Backoff::by_attempt(table))
        .successes_to_close(of(1))
        .healthy_run(run);
    let breaker = with(&time, settings);
    let open_for = || {
        trip(&breaker);
        let wait = breaker.handle().snapshot().retry_after.unwrap();
        time.advance(wait);
        end(&breaker, Outcome::Success);
        assert_eq!(breaker.state(), State::Closed);
        wait.as_secs()
    };
    assert_eq!(
        [open_for(), open_for(), open_for(), open_for()],
        [1, 2, 3, 3]
    );
    time.advance(SECOND * 30);
    assert_eq!(open_for(), 3, "time alone proves nothing");
    (0..3).for_each(|_| end(&breaker, Outcome::Success));
    assert_eq!(open_for(), 3, "nor do successes alone");
    (0..3).for_each(|_| end(&breaker, Outcome::Success));
    time.advance(SECOND * 30);
    assert_eq!(open_for(), 1);
}

#[test]
fn what_the_upstream_asks_for_is_honoured_from_closed_and_from_a_probe_within_bounds() {
    let time = ManualClock::new();
    let backoff =
        Backoff::exponential(OPEN_FOR, SECOND * 60).jitter(buttress_breaker::Jitter::None);
    let breaker = with(&time, settings().open_for(backoff));
    let asking = |seconds: u64| {
        let wait = SECOND * u32::try_from(seconds).unwrap();
        breaker.try_acquire().unwrap().record_after(BAD, wait);
    };
    let left = || breaker.handle().snapshot().retry_after.unwrap();
    asking(20);
    assert_eq!(breaker.state(), State::Closed, "to be asked is no rule");
    asking(1);
    assert_eq!(left(), SECOND * 20);
    time.advance(left());
    asking(86_400);
    assert_eq!(left(), SECOND * 60, "never for longer than the cap");
    time.advance(left());
    asking(1);
    assert_eq!(left(), SECOND * 20, "never for less than the open time");
}

#[test]
fn the_remaining_time_only_falls_and_there_is_none_in_any_other_state() {
    let time = ManualClock::new();
    let breaker = with(&time, settings());
    let left = || breaker.handle().snapshot().retry_after;
    assert_eq!(left(), None);
    trip(&breaker);
    for gone in 0..5 {
        assert_eq!(left(), Some(OPEN_FOR.saturating_sub(SECOND * gone)));
        let rejected = breaker.try_acquire().unwrap_err();
        assert_eq!(rejected.retry_after, left());
        time.advance(SECOND);
    }
    assert_eq!(left(), None);
    let _probe = breaker.try_acquire().unwrap();
    assert_eq!(left(), None);
}

#[test]
fn absurd_durations_saturate() {
    let time = ManualClock::new();
    let forever = Backoff::exponential(Duration::MAX, Duration::MAX);
    let breaker = with(&time, settings().open_for(forever));
    trip(&breaker);
    time.advance(Duration::from_secs(100 * 365 * 24 * 3_600));
    assert!(breaker.try_acquire().is_err());
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn outcomes_that_arrive_in_it_neither_end_nor_lengthen_it() {
    let time = ManualClock::new();
    let breaker = with(&time, settings());
    let early: Vec<_> = (0..4).map(|_| breaker.try_acquire().unwrap()).collect();
    trip(&breaker);
    let mut events = breaker.handle().subscribe();
    time.advance(SECOND);
    for (permit, outcome) in early.into_iter().zip([BAD, Outcome::Success, BAD, BAD]) {
        permit.record(outcome);
    }
    assert_eq!(
        breaker.handle().snapshot().retry_after,
        Some(OPEN_FOR.saturating_sub(SECOND))
    );
    assert_eq!(told(&mut events), []);
}

#[test]
fn why_it_opened_is_known_until_it_opens_again() {
    let time = ManualClock::new();
    let breaker = with(&time, settings());
    let opened_by = || {
        let verdict = breaker.handle().snapshot().opened_by;
        assert_eq!(verdict, breaker.handle().opened_by());
        verdict.map(|verdict| verdict.rule.into_owned())
    };
    assert_eq!(opened_by(), None);
    trip(&breaker);
    assert_eq!(opened_by().unwrap(), "consecutive_failures");
    time.advance(OPEN_FOR);
    for state in [State::HalfOpen, State::Closed] {
        end(&breaker, Outcome::Success);
        assert_eq!(breaker.state(), state);
        assert_eq!(opened_by().unwrap(), "consecutive_failures");
    }
    trip(&breaker);
    time.advance(OPEN_FOR);
    end(&breaker, BAD);
    assert_eq!(opened_by().unwrap(), "probe");
}

#[test]
fn the_bad_word_on_its_health_ends_with_the_open_time_although_nobody_calls() {
    let time = ManualClock::new();
    let breaker = with(&time, settings());
    let health = breaker.handle().health();
    trip(&breaker);
    time.advance(OPEN_FOR.saturating_sub(Duration::from_nanos(1)));
    assert_eq!(health.status(), HealthStatus::Unhealthy);
    time.advance(Duration::from_nanos(1));
    assert_eq!(health.status(), HealthStatus::Degraded);
    end(&breaker, BAD);
    assert_eq!(health.status(), HealthStatus::Unhealthy);
    breaker.handle().force_open();
    time.advance(OPEN_FOR * 100);
    assert_eq!(
        health.status(),
        HealthStatus::Unhealthy,
        "by hand, for good"
    );
}
