//! Rules of the user's own beside the others: neither keeps the other from being heard.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use buttress_breaker::{Breaker, Evidence, Rule, State, Trip, TripRule, Window};
use buttress_core::clock::ManualClock;
use buttress_core::events::Received;
use support::{BAD, config};

/// Fires from so many failures on.
#[derive(Debug)]
struct From(&'static str, u64);

impl TripRule for From {
    fn name(&self) -> &'static str {
        self.0
    }

    fn window(&self) -> Window {
        Window::Calls(100)
    }

    fn judge(&self, evidence: &Evidence) -> Option<Trip> {
        let bad = evidence.failures.bad;
        (bad >= self.1).then(|| Trip::new(bad as f64, self.1 as f64))
    }
}

fn breaker(time: &ManualClock, rules: impl IntoIterator<Item = Rule>) -> Breaker {
    Breaker::new("test", config(time).rules(rules)).unwrap()
}

#[test]
fn a_failure_that_comes_as_calls_in_flight_become_slow_opens_it_although_an_own_rule_is_asked() {
    let time = ManualClock::new();
    let slow = Rule::SlowRate {
        slower_than: Duration::from_secs(1),
        ratio: 1.0,
        min_calls: 100,
        window: Window::Calls(100),
    };
    let never = Rule::custom(From("never", u64::MAX));
    let breaker = breaker(&time, [slow, Rule::ConsecutiveFailures(1), never]);
    let [one, _other] = [(); 2].map(|()| breaker.try_acquire().unwrap());
    time.advance(Duration::from_secs(2));
    one.record(BAD);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn observed_every_own_rule_is_heard_whatever_else_fires() {
    let time = ManualClock::new();
    let own = [From("second", 2), From("fourth", 4), From("sixth", 6)].map(Rule::custom);
    let breaker = breaker(&time, own.into_iter().chain([Rule::ConsecutiveFailures(3)]));
    breaker.handle().observe();
    let mut events = breaker.handle().subscribe();
    let mut heard = Vec::new();
    for _ in 0..8 {
        breaker.try_acquire().unwrap().record(BAD);
        while let Some(Received::Event(event)) = events.try_recv() {
            heard.push(event.verdict.rule.into_owned());
        }
    }
    assert_eq!(heard, ["second", "consecutive_failures", "fourth", "sixth"]);
}
