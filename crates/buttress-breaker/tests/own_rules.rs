//! Rules of the user's own beside the others: neither keeps the other from being heard.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use buttress_breaker::{Breaker, Evidence, Rule, State, Trip, TripRule, Window};
use buttress_core::clock::ManualClock;
use buttress_core::events::Received;
use buttress_core::outcome::Outcome;
use buttress_core::window::Counts;
use support::{BAD, OPEN_FOR, config};

const SECOND: Duration = Duration::from_secs(1);

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

fn end(breaker: &Breaker, outcome: Outcome) {
    breaker.try_acquire().unwrap().record(outcome);
}

fn verdict(breaker: &Breaker) -> String {
    breaker.handle().snapshot().verdict.unwrap().to_string()
}

/// Opens at the second failure, and panics at the third call.
#[derive(Debug)]
struct Own;

impl TripRule for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    fn window(&self) -> Window {
        Window::Calls(8)
    }

    fn slower_than(&self) -> Option<Duration> {
        Some(SECOND)
    }

    fn judge(&self, evidence: &Evidence) -> Option<Trip> {
        assert_ne!(evidence.failures.total, 3, "the rule is broken");
        let bad = evidence.failures.bad + evidence.slow.bad;
        (bad >= 2).then(|| Trip::new(bad as f64, 2.0))
    }
}

#[test]
fn a_rule_of_the_users_own_opens_under_its_own_name() {
    let time = ManualClock::new();
    let breaker = breaker(&time, [Rule::custom(Own)]);
    end(&breaker, BAD);
    assert_eq!(breaker.state(), State::Closed);
    let call = breaker.try_acquire().unwrap();
    time.advance(SECOND * 2);
    call.record(Outcome::Success);
    assert_eq!(
        verdict(&breaker),
        "opened for 5.0s: own 2 (limit 2, 2 calls)"
    );
}

#[test]
fn a_rule_that_panics_does_not_fire_and_is_reported_and_others_are_still_judged() {
    let time = ManualClock::new();
    let rules = [Rule::custom(Own), Rule::ConsecutiveFailures(4)];
    let breaker = Breaker::new("test", config(&time).rules(rules)).unwrap();
    (0..3).for_each(|_| end(&breaker, Outcome::Success));
    assert_eq!(breaker.handle().snapshot().rule_panics, 1);
    assert_eq!(breaker.state(), State::Closed);
}

/// Takes the breaker in hand while it is asked.
#[derive(Debug)]
struct Meddling(std::sync::Mutex<Option<Breaker>>);

impl TripRule for Meddling {
    fn window(&self) -> Window {
        Window::Calls(8)
    }

    fn judge(&self, _: &Evidence) -> Option<Trip> {
        if let Some(breaker) = self.0.lock().unwrap().as_ref() {
            breaker.handle().force_closed();
            breaker.handle().release();
        }
        Some(Trip::new(1.0, 0.0))
    }
}

#[test]
fn what_a_rule_decided_about_a_state_that_is_over_is_not_done() {
    let time = ManualClock::new();
    let rule = Arc::new(Meddling(std::sync::Mutex::new(None)));
    let shared = Rule::custom(Shared(Arc::clone(&rule)));
    let breaker = breaker(&time, [shared]);
    *rule.0.lock().unwrap() = Some(breaker.clone());
    end(&breaker, BAD);
    assert_eq!(breaker.state(), State::Closed);
    *rule.0.lock().unwrap() = None;
    end(&breaker, BAD);
    assert_eq!(breaker.state(), State::Open);
}

#[derive(Debug)]
struct Shared(Arc<Meddling>);

impl TripRule for Shared {
    fn window(&self) -> Window {
        self.0.window()
    }

    fn judge(&self, evidence: &Evidence) -> Option<Trip> {
        self.0.judge(evidence)
    }
}

#[test]
fn a_rule_that_is_replaced_is_dropped_when_others_can_use_the_breaker() {
    /// Wants to know the state of the breaker it was a rule of, from another thread.
    #[derive(Debug)]
    struct Asks(mpsc::Sender<State>, Breaker);
    impl TripRule for Asks {
        fn window(&self) -> Window {
            Window::Calls(10)
        }
        fn judge(&self, _: &Evidence) -> Option<Trip> {
            None
        }
    }
    impl Drop for Asks {
        fn drop(&mut self) {
            let (done, asked) = mpsc::channel::<()>();
            let (told, breaker) = (self.0.clone(), self.1.clone());
            std::thread::spawn(move || {
                let _ = told.send(breaker.handle().snapshot().state);
                drop(done);
            });
            // A lock held here is held for as long as that; no lock, and it is over at once.
            let over = asked.recv_timeout(SECOND * 10);
            if over == Err(mpsc::RecvTimeoutError::Disconnected) {
                let _ = self.0.send(State::Observing);
            }
        }
    }
    let time = ManualClock::new();
    let (told, hear) = mpsc::channel();
    let breaker = breaker(&time, [Rule::ConsecutiveFailures(2)]);
    let config = |rules: Vec<Rule>| config(&time).rules(rules);
    let asks = Rule::custom(Asks(told, breaker.clone()));
    breaker.handle().reconfigure(config(vec![asks])).unwrap();
    let rules = vec![Rule::ConsecutiveFailures(1)];
    breaker.handle().reconfigure(config(rules)).unwrap();
    let heard: Vec<_> = hear.iter().collect();
    assert_eq!(heard, [State::Closed, State::Observing]);
    breaker.try_acquire().unwrap().record(BAD);
    assert_eq!(breaker.state(), State::Open);
}

/// Fires from so many failures on, and counts how often it is asked.
#[derive(Debug)]
struct Asked(Arc<AtomicU32>, bool);

impl TripRule for Asked {
    fn window(&self) -> Window {
        Window::Calls(100)
    }

    fn judges_successes(&self) -> bool {
        self.1
    }

    fn judge(&self, evidence: &Evidence) -> Option<Trip> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let Counts { total, bad } = evidence.failures;
        (total >= 9 && bad >= 3).then(|| Trip::new(bad as f64, 3.0))
    }
}

#[test]
fn a_rule_that_judges_no_successes_is_asked_after_other_calls_alone_and_knows_of_all() {
    for (judges, asked) in [(true, [4, 5, 9]), (false, [0, 1, 3])] {
        let time = ManualClock::new();
        let count = Arc::new(AtomicU32::new(0));
        let rule = Rule::custom(Asked(Arc::clone(&count), judges));
        let breaker = breaker(&time, [rule]);
        let so_far = || count.load(Ordering::Relaxed);
        (0..4).for_each(|_| end(&breaker, Outcome::Success));
        assert_eq!(so_far(), asked[0]);
        end(&breaker, BAD);
        assert_eq!(so_far(), asked[1]);
        end(&breaker, BAD);
        (0..2).for_each(|_| end(&breaker, Outcome::Success));
        assert_eq!(breaker.state(), State::Closed);
        end(&breaker, BAD);
        assert_eq!((so_far(), breaker.state()), (asked[2], State::Open));
    }
}

#[test]
fn what_is_slow_is_no_success_to_a_rule_that_judges_none() {
    let time = ManualClock::new();
    let count = Arc::new(AtomicU32::new(0));
    let rule = Rule::custom(Asked(Arc::clone(&count), false));
    let config = config(&time).rules([rule]).slow_after(SECOND);
    let breaker = Breaker::new("test", config).unwrap();
    end(&breaker, Outcome::Slow);
    let late = breaker.try_acquire().unwrap();
    time.advance(SECOND * 2);
    late.record(Outcome::Success);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

/// Fires for one slow call, whatever ends well.
#[derive(Debug)]
struct Hangs;

impl TripRule for Hangs {
    fn window(&self) -> Window {
        Window::Calls(10)
    }

    fn slower_than(&self) -> Option<Duration> {
        Some(SECOND)
    }

    fn judges_successes(&self) -> bool {
        false
    }

    fn judge(&self, evidence: &Evidence) -> Option<Trip> {
        (evidence.slow.bad > 0).then(|| Trip::new(1.0, 0.0))
    }
}

#[test]
fn a_rule_that_judges_no_successes_hears_of_a_hang_although_a_success_ends_in_the_same_moment() {
    let time = ManualClock::new();
    let breaker = breaker(&time, [Rule::custom(Hangs)]);
    let _hangs = breaker.try_acquire().unwrap();
    time.advance(SECOND);
    let quick = breaker.try_acquire().unwrap();
    time.advance(SECOND / 2);
    quick.record(Outcome::Success);
    assert_eq!(breaker.state(), State::Open);
}

/// Gives its breaker another configuration before it fires.
#[derive(Debug)]
struct Replaced(Breaker, ManualClock);

impl TripRule for Replaced {
    fn window(&self) -> Window {
        Window::Calls(10)
    }

    fn judge(&self, _: &Evidence) -> Option<Trip> {
        let other = config(&self.1).rules([Rule::ConsecutiveFailures(5)]);
        self.0.handle().reconfigure(other).unwrap();
        Some(Trip::new(1.0, 0.0))
    }
}

#[test]
fn what_a_rule_decides_that_was_replaced_meanwhile_is_not_done() {
    let time = ManualClock::new();
    let breaker = breaker(&time, [Rule::ConsecutiveFailures(5)]);
    let replaced = Rule::custom(Replaced(breaker.clone(), time.clone()));
    let own = config(&time).rules([replaced]);
    // Only a rule that is asked replaces itself.
    breaker.handle().reconfigure(own).unwrap();
    end(&breaker, BAD);
    assert_eq!(breaker.state(), State::Closed);
    (0..4).for_each(|_| end(&breaker, BAD));
    assert_eq!(breaker.state(), State::Open, "by the rules of now");
}

/// Takes a minute to judge.
#[derive(Debug)]
struct Ponderous(ManualClock);

impl TripRule for Ponderous {
    fn window(&self) -> Window {
        Window::Calls(10)
    }

    fn judge(&self, evidence: &Evidence) -> Option<Trip> {
        self.0.advance(SECOND * 60);
        (evidence.failures.bad > 0).then(|| Trip::new(1.0, 0.0))
    }
}

#[test]
fn a_circuit_that_a_slow_rule_opens_stays_open_for_its_whole_time_from_then_on() {
    let time = ManualClock::new();
    let breaker = breaker(&time, [Rule::custom(Ponderous(time.clone()))]);
    end(&breaker, BAD);
    let left = breaker.handle().snapshot().retry_after;
    assert_eq!((breaker.state(), left), (State::Open, Some(OPEN_FOR)));
}
