//! A breaker takes as much memory as it says, and a call takes none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use allocation_counter::measure;
use buttress_breaker::{Breaker, Config, Rule, Window};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use support::{BAD, config, trip};

const SECOND: Duration = Duration::from_secs(1);

/// The bytes that a breaker with `config` keeps.
fn taken(config: &Config) -> i64 {
    let mut breaker = None;
    let made = measure(|| breaker = Some(Breaker::new("test", config.clone()).unwrap()));
    drop(breaker);
    made.bytes_current
}

fn slow(window: Window) -> Rule {
    Rule::SlowRate {
        slower_than: SECOND,
        ratio: 0.5,
        min_calls: 5,
        window,
    }
}

#[test]
fn a_breaker_with_the_default_rules_takes_at_most_two_kibibytes() {
    let config = Config::default();
    let bytes = taken(&config);
    assert!((1..=2_048).contains(&bytes), "{bytes} bytes");
}

#[test]
fn calls_in_flight_are_paid_for_only_where_a_rule_asks_for_them() {
    let window = Window::Calls(100);
    let rate = |window| Rule::FailureRate {
        ratio: 0.5,
        min_calls: 5,
        window,
    };
    let without = taken(&Config::new().rules([rate(window)]));
    let with = taken(&Config::new().rules([slow(window)]));
    assert!((512..=768).contains(&(with - without)), "{without} {with}");
}

#[test]
fn a_call_allocates_nothing_however_it_ends() {
    let time = ManualClock::new();
    let rules = [slow(Window::Time(SECOND * 10)), slow(Window::Calls(50))];
    let breaker = Breaker::new("test", config(&time).rules(rules)).unwrap();
    let outcomes = [
        Outcome::Success,
        BAD,
        Outcome::Slow,
        Outcome::Ignored,
        Outcome::Abandoned,
    ];
    let calls = measure(|| {
        for outcome in outcomes.into_iter().cycle().take(100) {
            let permit = breaker.try_acquire().unwrap();
            time.advance(SECOND / 3);
            permit.record(outcome);
        }
    });
    assert_eq!(calls.count_total, 0);
}

#[test]
fn a_rejection_allocates_nothing() {
    let time = ManualClock::new();
    let breaker = support::breaker(&time);
    trip(&breaker);
    let rejections = measure(|| (0..10).for_each(|_| assert!(breaker.try_acquire().is_err())));
    assert_eq!(rejections.count_total, 0);
}
