//! The adaptive rule: what is usual is learned from any start, and no outage teaches it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use buttress_breaker::{Breaker, Rule, State};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use proptest::prelude::*;
use support::{BAD, config};

const FLOOR: f64 = 0.05;
const CEILING: f64 = 0.5;
/// Calls that make a rate known at this floor.
const ENOUGH: u32 = 171;
const BASELINE: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(2);
/// A hundred a second.
const EVERY: Duration = Duration::from_millis(10);
const MINUTE: u32 = 6_000;

/// A dependency and the breaker before it, which is let back at once whenever it opens.
struct Guarded {
    time: ManualClock,
    breaker: Breaker,
}

impl Guarded {
    fn new() -> Self {
        let time = ManualClock::new();
        let rule = Rule::Adaptive {
            factor: 3.0,
            floor: FLOOR,
            ceiling: CEILING,
            min_calls: 20,
            window: WINDOW,
            baseline: BASELINE,
        };
        let breaker = Breaker::new("test", config(&time).rules([rule])).unwrap();
        Self { time, breaker }
    }

    /// So many calls of which every `nth` fails; how often the circuit opened.
    fn failing_every(&self, nth: u32, calls: u32) -> u32 {
        let mut trips = 0;
        for call in 1..=calls {
            self.time.advance(EVERY);
            let bad = call.is_multiple_of(nth);
            let outcome = if bad { BAD } else { Outcome::Success };
            self.breaker.try_acquire().unwrap().record(outcome);
            if self.breaker.state() == State::Open {
                trips += 1;
                assert!(self.verdict().contains("adaptive"));
                self.breaker.handle().release();
            }
        }
        trips
    }

    fn limit(&self) -> f64 {
        self.breaker.handle().snapshot().windows[0]
            .threshold
            .unwrap()
    }

    fn verdict(&self) -> String {
        let verdict = self.breaker.handle().snapshot().verdict;
        verdict.unwrap().to_string()
    }
}

/// The threshold where every `nth` call usually fails.
fn limit_of(nth: u32) -> f64 {
    (3.0 / f64::from(nth)).clamp(FLOOR, CEILING)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_usual_from_the_first_day_never_opens_and_is_learned(nth in 3_u32..300) {
        let guarded = Guarded::new();
        prop_assert_eq!(guarded.failing_every(nth, MINUTE), 0);
        let off = (guarded.limit() - limit_of(nth)).abs();
        prop_assert!(off < 0.01, "1 in {}: {} off", nth, off);
    }

    #[test]
    fn before_anything_is_known_the_ceiling_holds(nth in 3_u32..300, calls in 0..ENOUGH) {
        let guarded = Guarded::new();
        guarded.failing_every(nth, calls);
        prop_assert!((guarded.limit() - CEILING).abs() < 1e-9);
        prop_assert!(guarded.failing_every(1, MINUTE) > 0);
    }

    #[test]
    fn certainly_more_than_a_multiple_of_the_usual_opens(nth in 10_u32..300) {
        let guarded = Guarded::new();
        guarded.failing_every(nth, MINUTE);
        // At two and a half times the threshold a window of 200 calls is certain.
        let limit = limit_of(nth);
        let certain = |worse: &u32| 1.0 / f64::from(*worse) >= 2.5 * limit;
        let worse = (1..nth).rev().find(certain).unwrap_or(1);
        prop_assert!(guarded.failing_every(worse, MINUTE) > 0, "1 in {}", worse);
    }

    #[test]
    fn an_outage_that_opens_the_circuit_again_and_again_does_not_become_usual(
        nth in 3_u32..100,
        seconds in 1_u32..120,
    ) {
        let guarded = Guarded::new();
        guarded.failing_every(nth, MINUTE);
        let before = guarded.limit();
        prop_assert!(guarded.failing_every(1, seconds * 100) > 0);
        let off = (guarded.limit() - before).abs();
        prop_assert!(off < 0.01, "{} was {}", guarded.limit(), before);
    }
}

#[test]
fn an_outage_of_calls_too_few_to_open_the_circuit_does_not_become_usual() {
    let guarded = Guarded::new();
    guarded.failing_every(20, MINUTE);
    let before = guarded.limit();
    // Every one of them fails.
    for _ in 0..60 {
        guarded.time.advance(Duration::from_secs(1));
        guarded.breaker.try_acquire().unwrap().record(BAD);
    }
    assert_eq!(guarded.breaker.state(), State::Closed);
    assert!((guarded.limit() - before).abs() < 0.005, "was {before}");
}

#[test]
fn a_rate_that_has_changed_for_good_is_learned_in_the_end() {
    let guarded = Guarded::new();
    guarded.failing_every(100, 10 * MINUTE);
    assert!((guarded.limit() - FLOOR).abs() < 1e-9);
    // 6,000 calls fade to 171 in 3.6 times the baseline.
    assert!(guarded.failing_every(10, 3 * MINUTE) > 0);
    guarded.failing_every(10, 2 * MINUTE);
    assert_eq!(guarded.failing_every(10, 10 * MINUTE), 0);
    assert!((guarded.limit() - 0.3).abs() < 0.01, "{}", guarded.limit());
}
