//! Half-open: how many probes, and what they decide.

use super::*;

fn rate(probes: u32, max_bad_ratio: f64) -> Settings {
    settings().max_probes(of(probes)).probing(Probing::Rate {
        probes: of(probes),
        max_bad_ratio,
    })
}

#[test]
fn each_half_open_phase_has_its_whole_budget_of_probes() {
    let time = ManualClock::new();
    let breaker = expired(&time, settings().max_probes(of(4)));
    for _ in 0..2 {
        let mut probes: Vec<_> = (0..4).map(|_| breaker.try_acquire().unwrap()).collect();
        assert!(breaker.try_acquire().is_err());
        assert!(breaker.try_acquire().is_err());
        probes.pop().unwrap().record(BAD);
        assert_eq!(breaker.state(), State::Open);
        time.advance(OPEN_FOR);
    }
}

#[test]
fn a_place_that_is_given_back_lets_exactly_one_further_call_in() {
    let time = ManualClock::new();
    let breaker = expired(&time, settings().max_probes(of(3)));
    let mut probes: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    drop(probes.pop());
    let _further = breaker.try_acquire().unwrap();
    assert!(breaker.try_acquire().is_err());
}

#[test]
fn more_ignored_outcomes_than_places_keep_nothing_from_closing() {
    let time = ManualClock::new();
    let four = settings().max_probes(of(4)).successes_to_close(of(4));
    let breaker = expired(&time, four);
    (0..9).for_each(|_| end(&breaker, Outcome::Ignored));
    assert_eq!(breaker.state(), State::HalfOpen);
    (0..4).for_each(|_| end(&breaker, Outcome::Success));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn an_ignored_outcome_as_the_last_of_all_does_not_leave_it_half_open_for_ever() {
    let time = ManualClock::new();
    let breaker = expired(&time, rate(3, 0.4));
    end(&breaker, Outcome::Success);
    end(&breaker, BAD);
    end(&breaker, Outcome::Ignored);
    assert_eq!(breaker.state(), State::HalfOpen);
    end(&breaker, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_rate_closes_and_opens_as_early_as_it_is_decided() {
    let time = ManualClock::new();
    let cases: [(f64, &[Outcome], State); 5] = [
        (
            0.25,
            &[BAD, Outcome::Success, Outcome::Success],
            State::HalfOpen,
        ),
        (
            0.25,
            &[Outcome::Success, BAD, Outcome::Success, Outcome::Success],
            State::Closed,
        ),
        (0.25, &[Outcome::Success; 3], State::Closed),
        (0.25, &[BAD, Outcome::Slow], State::Open),
        (0.0, &[BAD], State::Open),
    ];
    for (ratio, outcomes, state) in cases {
        let breaker = expired(&time, rate(4, ratio));
        for outcome in outcomes {
            end(&breaker, *outcome);
        }
        assert_eq!(breaker.state(), state, "{outcomes:?}");
    }
}

#[test]
fn a_rate_says_in_its_verdict_what_it_saw() {
    let time = ManualClock::new();
    let breaker = expired(&time, rate(4, 0.25));
    end(&breaker, Outcome::Success);
    end(&breaker, BAD);
    end(&breaker, BAD);
    let verdict = breaker.handle().snapshot().verdict.unwrap().to_string();
    let expected = "opened for 5.0s: probe 0.667 (limit 0.25, 3 calls)";
    assert_eq!(verdict, expected);
}

#[test]
fn its_limit_opens_it_again_as_of_then_or_closes_it() {
    let time = ManualClock::new();
    let limit = |then| settings().half_open_limit(HalfOpenLimit::new(SECOND * 9, then));
    let breaker = expired(&time, limit(State::Open));
    let mut events = breaker.handle().subscribe();
    let _hanging = breaker.try_acquire().unwrap();
    time.advance(SECOND * 3);
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.retry_after, Some(SECOND * 6 + OPEN_FOR));
    time.advance(SECOND * 8);
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(
        rejected.retry_after,
        Some(SECOND * 3),
        "two seconds are over"
    );
    time.advance(SECOND * 3);
    assert!(breaker.try_acquire().unwrap().is_probe());
    time.advance(SECOND * 9 + OPEN_FOR);
    assert!(
        breaker.try_acquire().unwrap().is_probe(),
        "over while nobody looked"
    );
    let open_twice = [State::HalfOpen, State::Open, State::HalfOpen];
    let expected = [&open_twice[..], &open_twice[1..]].concat();
    assert_eq!(states(&mut events), expected);

    let breaker = expired(&time, limit(State::Closed));
    let _hanging = breaker.try_acquire().unwrap();
    time.advance(SECOND * 9);
    assert!(!breaker.try_acquire().unwrap().is_probe());
    let rule = breaker.handle().snapshot().verdict.unwrap().rule;
    assert_eq!(
        (breaker.state(), &*rule),
        (State::Closed, "half_open_limit")
    );
}
