//! Observing: reports, and rejects nothing.

use super::*;

fn observing(time: &ManualClock) -> Breaker {
    let rate = Rule::FailureRate {
        ratio: 0.5,
        min_calls: 4,
        window: Window::Time(SECOND * 16),
    };
    let config = config(time).rules([rate, Rule::ConsecutiveFailures(2)]);
    Breaker::new("test", config.start(State::Observing)).unwrap()
}

#[test]
fn everything_passes_and_each_rule_that_fires_is_told_once() {
    let time = ManualClock::new();
    let breaker = observing(&time);
    let mut events = breaker.handle().subscribe();
    (0..50).for_each(|_| end(&breaker, BAD));
    let row = "held back (observing): consecutive_failures 2 (limit 2, 2 calls)";
    let rate = "held back (observing): failure_rate 1 (limit 0.5, 4 calls in 16s)";
    let expected = [row, rate].map(|verdict| (None, verdict.to_owned()));
    assert_eq!(told(&mut events), expected);
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.state, snapshot.generation), (State::Observing, 0));
    assert_eq!((snapshot.rejected, snapshot.stale), (0, 0));
    assert_eq!(snapshot.verdict.unwrap().to_string(), rate);
    assert_eq!(snapshot.transitions, []);
}

#[test]
fn a_rule_is_told_again_once_its_evidence_was_gone() {
    let time = ManualClock::new();
    let breaker = observing(&time);
    let mut events = breaker.handle().subscribe();
    let rules = |events: &mut Subscription<Event>| told(events).len();
    (0..9).for_each(|_| end(&breaker, Outcome::Success));
    (0..2).for_each(|_| end(&breaker, BAD));
    assert_eq!(rules(&mut events), 1);
    (0..9).for_each(|_| end(&breaker, Outcome::Success));
    (0..2).for_each(|_| end(&breaker, BAD));
    assert_eq!(rules(&mut events), 1, "a success broke the row");
    (0..20).for_each(|_| end(&breaker, BAD));
    assert_eq!(rules(&mut events), 1, "the rate, at last");
    time.advance(SECOND * 60);
    end(&breaker, Outcome::Success);
    (0..4).for_each(|_| end(&breaker, BAD));
    assert_eq!(rules(&mut events), 2, "both windows had been empty");
}

#[test]
fn what_was_observed_is_forgotten_when_it_closes() {
    let time = ManualClock::new();
    let breaker = observing(&time);
    end(&breaker, BAD);
    assert!(breaker.handle().release());
    end(&breaker, BAD);
    assert_eq!(breaker.state(), State::Closed);
    end(&breaker, BAD);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn two_rules_of_one_name_are_told_each_for_itself() {
    let rate = |min_calls, window| Rule::FailureRate {
        ratio: 0.5,
        min_calls,
        window,
    };
    let time = ManualClock::new();
    let rules = [
        rate(2, Window::Calls(10)),
        rate(4, Window::Time(SECOND * 16)),
    ];
    let config = config(&time).rules(rules.clone());
    let breaker = Breaker::new("test", config.clone().start(State::Observing)).unwrap();
    let mut events = breaker.handle().subscribe();
    (0..2).for_each(|_| end(&breaker, BAD));
    assert_eq!(told(&mut events).len(), 1);
    (0..9).for_each(|_| end(&breaker, BAD));
    assert_eq!(told(&mut events).len(), 1, "the other one");
    let turned = config.rules(rules.into_iter().rev());
    breaker.handle().reconfigure(turned).unwrap();
    assert_eq!(told(&mut events).len(), 2, "new rules are told anew");
    end(&breaker, BAD);
    assert_eq!(told(&mut events).len(), 0);
}
