//! What the windows hold, and when a rate is one.

use std::time::Duration;

use buttress_breaker::{Breaker, Rule, State, Window};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;

use crate::support::{BAD, OPEN_FOR, calls, config};
use crate::tools::{NANO, SECOND, counts, end, half_failed, made, ruled, settings};

/// A window of time is sixteen buckets.
const BUCKETS: u32 = 16;

/// Never fires.
fn watched(time: &ManualClock, window: Window) -> Breaker {
    let rule = Rule::FailureRate {
        ratio: 1.0,
        min_calls: 1_000_000,
        window,
    };
    ruled(time, rule)
}

// Resilience4j: shouldOpenAfterFailureRateThresholdExceeded
#[test]
fn a_rate_is_unknown_below_its_minimum_and_at_the_threshold_it_opens() {
    for window in [Window::Calls(10), Window::Time(SECOND)] {
        let time = ManualClock::new();
        let breaker = ruled(&time, half_failed(10, window));
        (0..9).for_each(|_| end(&breaker, BAD));
        assert_eq!(breaker.state(), State::Closed, "nine of nine");
        assert_eq!(breaker.handle().snapshot().verdict, None);

        let breaker = ruled(&time, half_failed(10, window));
        (0..4).for_each(|_| end(&breaker, BAD));
        (0..5).for_each(|_| end(&breaker, Outcome::Success));
        end(&breaker, BAD);
        assert_eq!(breaker.state(), State::Open, "five of ten");
        let verdict = breaker.handle().snapshot().verdict.unwrap();
        assert_eq!((verdict.observed, verdict.threshold), (0.5, 0.5));
        assert_eq!(
            (verdict.rule.as_ref(), verdict.samples),
            ("failure_rate", 10)
        );
    }
}

// Resilience4j: shouldClearSlidingTimeWindowMetrics
#[test]
fn after_a_pause_as_long_as_the_window_it_reads_as_empty_without_a_call() {
    let time = ManualClock::new();
    let breaker = watched(&time, Window::Time(SECOND * 10));
    (0..5).for_each(|_| end(&breaker, BAD));
    (0..5).for_each(|_| end(&breaker, Outcome::Success));
    assert_eq!(counts(&breaker), (10, 5));
    time.advance(SECOND * 10);
    assert_eq!(counts(&breaker), (0, 0));
}

// Resilience4j: LockFreeMetricsContentionTest
#[test]
fn fifty_threads_with_a_thousand_calls_each_lose_no_count() {
    const THREADS: u64 = 50;
    const EACH: u64 = 1_000;
    for window in [Window::Calls(1_000_000), Window::Time(SECOND)] {
        let time = ManualClock::new();
        let breaker = watched(&time, window);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for call in 0..EACH {
                        let outcome = if call % 4 == 0 { BAD } else { Outcome::Success };
                        end(&breaker, outcome);
                    }
                });
            }
        });
        let (all, bad) = (THREADS * EACH, THREADS * EACH / 4);
        assert_eq!(counts(&breaker), (all, bad));
        let calls = calls(&breaker);
        assert_eq!((calls.success, calls.failure), (all - bad, bad));
        assert_eq!(breaker.handle().snapshot().stale, 0);
    }
}

// Polly: RollingHealthMetrics
#[test]
fn what_is_as_old_as_the_window_is_gone_and_what_is_a_bucket_younger_is_not() {
    for span in [
        SECOND * 10,
        Duration::from_millis(100),
        Duration::from_millis(1),
    ] {
        for phase in 0..BUCKETS * 4 {
            let time = ManualClock::new();
            let breaker = watched(&time, Window::Time(span));
            time.advance(span / (BUCKETS * 4) * phase);
            end(&breaker, BAD);
            time.advance(span.saturating_sub(span / BUCKETS));
            assert_eq!(counts(&breaker), (1, 1), "{span:?} at {phase}");
            time.advance((span / BUCKETS).saturating_sub(NANO));
            assert!(counts(&breaker).0 <= 1);
            time.advance(NANO);
            assert_eq!(counts(&breaker), (0, 0), "{span:?} at {phase}");
        }
    }
}

// gobreaker: TestRollingWindowCircuitBreaker and TestRollingCountsGrow
#[test]
fn counts_go_with_the_bucket_that_brought_them_and_all_at_once_after_a_long_pause() {
    let time = ManualClock::new();
    let span = SECOND * 16;
    let breaker = watched(&time, Window::Time(span));
    for second in 0..16 {
        assert_eq!(counts(&breaker), (second, second));
        end(&breaker, BAD);
        time.advance(SECOND);
    }
    for left in (5..16).rev() {
        assert_eq!(counts(&breaker), (left, left));
        time.advance(SECOND);
    }
    time.advance(span * 1_000);
    assert_eq!(counts(&breaker), (0, 0));
    end(&breaker, BAD);
    assert_eq!(counts(&breaker), (1, 1));
}

// gobreaker: TestDistributedCircuitBreakerTimeSynchronization and its like
#[test]
fn breakers_made_at_different_times_agree_on_where_their_buckets_begin() {
    let time = ManualClock::new();
    let span = SECOND * 10;
    let early = watched(&time, Window::Time(span));
    time.advance(Duration::from_millis(1_234));
    let late = watched(&time, Window::Time(span));
    for step in 0..200 {
        for breaker in [&early, &late] {
            end(breaker, if step % 3 == 0 { BAD } else { Outcome::Success });
        }
        assert_eq!(counts(&early), counts(&late), "at step {step}");
        time.advance(Duration::from_millis(77));
    }
    time.advance(span.saturating_sub(Duration::from_millis(700)));
    assert_eq!(counts(&early), counts(&late));
    assert_ne!(counts(&early), (0, 0));
}

// gobreaker: TestIsExcludedAndIsSuccessfulCombination, the part on counts
#[test]
fn an_excluded_call_is_in_no_window_and_breaks_no_row() {
    let time = ManualClock::new();
    let row = Rule::ConsecutiveFailures(2);
    let breaker = made(config(&time).rules([half_failed(3, Window::Calls(3)), row]));
    for outcome in [BAD, Outcome::Ignored, Outcome::Ignored] {
        end(&breaker, outcome);
    }
    assert_eq!(counts(&breaker), (1, 1));
    assert_eq!(calls(&breaker).ignored, 2);
    end(&breaker, BAD);
    assert_eq!(breaker.state(), State::Open);
}

// go-zero: TestGoogleBreakerSelfProtection, TestGoogleBreakerMoreFallingBuckets and Recover
#[test]
fn few_calls_never_open_it_a_dead_dependency_sees_few_calls_and_a_live_one_all_again() {
    let time = ManualClock::new();
    let rate = half_failed(5, Window::Time(SECOND * 10));
    let breaker = made(config(&time).rules([rate]).circuit(settings(1)));
    (0..4).for_each(|_| end(&breaker, BAD));
    assert_eq!(breaker.state(), State::Closed);

    let call = |outcome| {
        time.advance(Duration::from_millis(10));
        let permit = breaker.try_acquire().ok();
        permit.map(|permit| permit.record(outcome)).is_some()
    };
    let reached = (0..1_000).filter(|_| call(BAD)).count();
    assert!(
        reached <= 3,
        "the one that opens it, and one for each open time"
    );

    time.advance(OPEN_FOR);
    assert_eq!((0..1_000).filter(|_| call(Outcome::Success)).count(), 1_000);
    assert_eq!(breaker.state(), State::Closed);
}
