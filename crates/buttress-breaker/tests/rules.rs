//! Each rule opens the circuit when it should, and says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use buttress_breaker::{Breaker, Config, Permit, Rule, State, Window};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::{FailureKind, Outcome};
use support::{BAD, calls, config};

const LATE: Outcome = Outcome::Failure(FailureKind::Deadline);
const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_nanos(1);

fn breaker(time: &ManualClock, rule: Rule) -> Breaker {
    Breaker::new("test", config(time).rules([rule])).unwrap()
}

fn slow(slower_than: Duration, min_calls: u32, window: Window) -> Rule {
    Rule::SlowRate {
        slower_than,
        ratio: 0.5,
        min_calls,
        window,
    }
}

fn end(breaker: &Breaker, outcome: Outcome) {
    breaker.try_acquire().unwrap().record(outcome);
}

fn begin(breaker: &Breaker, n: usize) -> Vec<Permit> {
    (0..n).map(|_| breaker.try_acquire().unwrap()).collect()
}

fn held(breaker: &Breaker) -> (u64, u64) {
    let counts = breaker.handle().snapshot().windows[0].counts;
    (counts.total, counts.bad)
}

#[test]
fn a_call_is_refused_that_comes_in_the_very_moment_in_which_hangs_open_the_circuit() {
    const WIDTH: u64 = 1 << 19;
    // Such a call is slow when the bucket of as many nanoseconds in which it began is.
    let slower_than = Duration::from_nanos(16 * WIDTH);
    let time = ManualClock::new();
    let breaker = breaker(&time, slow(slower_than, 2, Window::Calls(10)));
    let _hung = begin(&breaker, 2);
    let left = WIDTH - time.clock().now().as_nanos() % WIDTH;
    time.advance((Duration::from_nanos(left) + slower_than).saturating_sub(TICK));
    let _just_before = breaker.try_acquire().unwrap();
    time.advance(TICK);
    assert!(breaker.try_acquire().is_err());
}

fn verdict(breaker: &Breaker) -> String {
    breaker.handle().snapshot().verdict.unwrap().to_string()
}

/// Lets time pass until a call that has just begun is past `threshold`, and so is its bucket.
fn outlast(time: &ManualClock, threshold: Duration) {
    time.advance(threshold + threshold / 16);
}

#[test]
fn deadlines_alone_are_timeouts_and_other_calls_fill_the_window() {
    let time = ManualClock::new();
    let window = Window::Calls(3);
    let breaker = breaker(&time, Rule::Timeouts { n: 2, window });
    for outcome in [LATE, BAD, BAD, LATE, Outcome::Success] {
        end(&breaker, outcome);
    }
    assert_eq!((breaker.state(), held(&breaker)), (State::Closed, (3, 1)));
    end(&breaker, LATE);
    assert_eq!(
        verdict(&breaker),
        "opened for 5.0s: timeouts 2 (limit 2, 3 calls)"
    );
}

#[test]
fn slow_successes_alone_open_a_circuit() {
    let time = ManualClock::new();
    let breaker = breaker(&time, slow(SECOND, 2, Window::Calls(10)));
    for age in [SECOND, SECOND + TICK] {
        let call = breaker.try_acquire().unwrap();
        time.advance(age);
        call.record(Outcome::Success);
    }
    assert_eq!((calls(&breaker).success, calls(&breaker).slow), (1, 1));
    assert_eq!(
        verdict(&breaker),
        "opened for 5.0s: slow_rate 0.5 (limit 0.5, 2 calls)"
    );
}

#[test]
fn a_slow_failure_is_slow_and_counts_once_where_the_two_are_added() {
    for (name, ratio, both) in [("slow", 0.5, false), ("both", 0.6, true)] {
        let time = ManualClock::new();
        let (slower_than, min_calls, window) = (SECOND, 4, Window::Calls(10));
        let rule = if both {
            Rule::FailureOrSlowRate {
                slower_than,
                ratio,
                min_calls,
                window,
            }
        } else {
            Rule::SlowRate {
                slower_than,
                ratio,
                min_calls,
                window,
            }
        };
        let breaker = breaker(&time, rule);
        for (age, outcome) in [(SECOND * 2, BAD), (SECOND, Outcome::Success), (SECOND, BAD)] {
            let call = breaker.try_acquire().unwrap();
            time.advance(age);
            call.record(outcome);
        }
        assert_eq!(held(&breaker), (3, if both { 2 } else { 1 }), "{name}");
    }
}

#[test]
fn a_hang_of_every_call_opens_the_circuit_when_the_threshold_passes_and_not_at_the_timeout() {
    let time = ManualClock::new();
    let breaker = breaker(&time, slow(SECOND, 20, Window::Time(SECOND * 10)));
    let mut hanging = Vec::new();
    // A call every 10 ms, and none of them ever returns.
    let refused = (0..200).find(|_| {
        time.advance(Duration::from_millis(10));
        match breaker.try_acquire() {
            Ok(permit) => hanging.push(permit),
            Err(_) => return true,
        }
        false
    });
    // The twentieth call began after 200 ms, is slow after 1.2 s, and its bucket 62.5 ms later.
    let after = Duration::from_millis(10) * (refused.unwrap() + 1);
    assert!(
        (SECOND * 12 / 10..SECOND * 13 / 10).contains(&after),
        "{after:?}"
    );
    assert!(verdict(&breaker).contains("slow_rate 1 (limit 0.5,"));
}

#[test]
fn a_call_that_became_slow_in_flight_is_not_counted_again_at_its_end() {
    for outcome in [
        Some(Outcome::Success),
        Some(BAD),
        Some(Outcome::Ignored),
        None,
    ] {
        let time = ManualClock::new();
        let breaker = breaker(&time, slow(SECOND, 5, Window::Time(SECOND * 10)));
        let hanging = begin(&breaker, 3);
        outlast(&time, SECOND);
        assert_eq!(held(&breaker), (3, 3));
        for permit in hanging {
            match outcome {
                Some(outcome) => permit.record(outcome),
                None => drop(permit),
            }
        }
        assert_eq!(held(&breaker), (3, 3), "{outcome:?}");
    }
}

#[test]
fn a_slow_call_that_fails_later_still_counts_for_the_rules_about_failures() {
    let time = ManualClock::new();
    let rules = [
        slow(SECOND, 5, Window::Calls(9)),
        Rule::FailureRate {
            ratio: 0.9,
            min_calls: 5,
            window: Window::Calls(9),
        },
    ];
    let breaker = Breaker::new("test", config(&time).rules(rules)).unwrap();
    let hanging = begin(&breaker, 1);
    outlast(&time, SECOND);
    for permit in hanging {
        permit.record(BAD);
    }
    let windows = breaker.handle().snapshot().windows;
    let bad: Vec<_> = windows.iter().map(|held| held.counts.bad).collect();
    assert_eq!(bad, [1, 1]);
}

#[test]
fn each_of_several_thresholds_is_watched_by_itself() {
    let time = ManualClock::new();
    let rules = [
        slow(SECOND * 3, 9, Window::Time(SECOND * 60)),
        slow(SECOND, 9, Window::Time(SECOND * 60)),
    ];
    let breaker = Breaker::new("test", config(&time).rules(rules)).unwrap();
    let bad = || {
        let windows = breaker.handle().snapshot().windows;
        [windows[0].counts.bad, windows[1].counts.bad]
    };
    let hanging = begin(&breaker, 2);
    outlast(&time, SECOND);
    assert_eq!(bad(), [0, 2]);
    outlast(&time, SECOND * 2);
    assert_eq!(bad(), [2, 2]);
    drop(hanging);
    assert_eq!(bad(), [2, 2]);
}

#[test]
fn who_leaves_a_hang_is_seen_and_who_leaves_early_is_not() {
    let time = ManualClock::new();
    let breaker = breaker(&time, slow(SECOND, 5, Window::Calls(9)));
    let (patient, hasty) = (
        breaker.try_acquire().unwrap(),
        breaker.try_acquire().unwrap(),
    );
    time.advance(SECOND);
    drop(hasty);
    assert_eq!(held(&breaker), (0, 0));
    time.advance(TICK);
    drop(patient);
    assert_eq!(held(&breaker), (1, 1));
    assert_eq!(calls(&breaker).abandoned, 2);
}

#[test]
fn calls_of_an_earlier_generation_become_slow_for_nobody() {
    let time = ManualClock::new();
    let breaker = breaker(&time, slow(SECOND, 2, Window::Calls(9)));
    let before = begin(&breaker, 5);
    breaker.handle().force_open();
    breaker.handle().release();
    let after = begin(&breaker, 1);
    outlast(&time, SECOND);
    assert_eq!(held(&breaker), (1, 1));
    drop((before, after));
    assert_eq!((held(&breaker), breaker.state()), ((1, 1), State::Closed));
}

#[test]
fn a_hang_that_nobody_looked_at_for_a_century_is_counted_when_it_was_slow() {
    let time = ManualClock::new();
    for window in [Window::Calls(9), Window::Time(SECOND * 10)] {
        let breaker = breaker(&time, slow(SECOND, 5, window));
        let hanging = begin(&breaker, 3);
        time.advance(Duration::from_secs(100 * 365 * 24 * 3_600));
        let expected = if window == Window::Calls(9) {
            (3, 3)
        } else {
            (0, 0)
        };
        assert_eq!(held(&breaker), expected);
        drop(hanging);
        assert_eq!(held(&breaker), expected);
    }
}

#[test]
fn a_threshold_changed_under_way_counts_each_call_once() {
    let time = ManualClock::new();
    let config = |after| config(&time).rules([slow(after, 9, Window::Time(SECOND * 60))]);
    let breaker = Breaker::new("test", config(SECOND)).unwrap();
    let first = breaker.try_acquire().unwrap();
    outlast(&time, SECOND);
    let second = breaker.try_acquire().unwrap();
    breaker.handle().reconfigure(config(SECOND * 2)).unwrap();
    assert_eq!(held(&breaker), (1, 1));
    time.advance(SECOND * 3);
    drop((first, second));
    assert_eq!(held(&breaker), (2, 2));
}

#[test]
fn by_default_slow_is_what_the_shortest_threshold_calls_so() {
    let time = ManualClock::new();
    let rules = [
        slow(SECOND * 2, 9, Window::Calls(9)),
        slow(SECOND, 9, Window::Calls(9)),
    ];
    let config: Config = config(&time).rules(rules);
    let breaker = Breaker::new("test", config).unwrap();
    let call = breaker.try_acquire().unwrap();
    time.advance(SECOND + TICK);
    call.record(Outcome::Success);
    assert_eq!(calls(&breaker).slow, 1);
}

#[test]
fn a_success_at_the_very_end_of_a_bucket_belongs_to_the_next() {
    let time = ManualClock::new();
    let window = Window::Time(SECOND * 16);
    let rule = Rule::FailureRate {
        ratio: 0.5,
        min_calls: 9,
        window,
    };
    let breaker = breaker(&time, rule);
    let into = Duration::from_nanos(time.now().as_nanos() % 1_000_000_000);
    time.advance(SECOND.saturating_sub(into));
    end(&breaker, Outcome::Success);
    time.advance(SECOND);
    end(&breaker, Outcome::Success);
    assert_eq!(held(&breaker), (2, 0));
    // Sixteen buckets: the first one has left, the second one is the oldest.
    time.advance(SECOND * 15);
    assert_eq!(held(&breaker), (1, 0));
}

#[test]
fn the_state_is_that_of_now_although_no_call_has_ended() {
    let time = ManualClock::new();
    let breaker = breaker(&time, slow(SECOND, 4, Window::Calls(10)));
    let _hang = [(); 4].map(|()| breaker.try_acquire().unwrap());
    time.advance(SECOND);
    assert_eq!(breaker.state(), State::Closed);
    outlast(&time, SECOND);
    assert_eq!(breaker.state(), State::Open);
}
