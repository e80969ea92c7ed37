//! Half-open: which results close the circuit, and which open it again.

use buttress_breaker::{Breaker, Probing, State};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;

use crate::support::BAD;
use crate::tools::{end, of, settings, to_probe};

fn probing(time: &ManualClock, probing: Probing) -> Breaker {
    to_probe(time, settings(1).probing(probing))
}

fn rate(probes: u32, max_bad_ratio: f64) -> Probing {
    Probing::Rate {
        probes: of(probes),
        max_bad_ratio,
    }
}

/// The states after each of these probes, up to the first that is not half-open.
fn course(probes: Probing, good: &[bool]) -> Vec<State> {
    let time = ManualClock::new();
    let breaker = probing(&time, probes);
    let mut states = Vec::new();
    for good in good {
        end(&breaker, if *good { Outcome::Success } else { BAD });
        states.push(breaker.state());
        if breaker.state() != State::HalfOpen {
            break;
        }
    }
    states
}

const STILL: State = State::HalfOpen;

// failsafe-go half-open suite: success ratio 3 of 4
#[test]
fn three_of_four_closes_on_the_third_success_even_with_a_failure_and_opens_on_the_second() {
    let three_of_four = rate(4, 0.25);
    let closed = course(three_of_four, &[true, false, true, true]);
    assert_eq!(closed, [STILL, STILL, STILL, State::Closed]);
    let early = course(three_of_four, &[true, true, true]);
    assert_eq!(early, [STILL, STILL, State::Closed]);
    let open = course(three_of_four, &[false, true, false]);
    assert_eq!(open, [STILL, STILL, State::Open]);
}

// failsafe-go half-open suite: without a configuration, with a success threshold, with a failure threshold
#[test]
fn successes_in_number_close_and_a_single_failure_among_them_opens() {
    for n in 1..=4 {
        let successes = Probing::Successes(of(n));
        let mut good = vec![true; n as usize];
        assert_eq!(course(successes, &good).pop(), Some(State::Closed));
        for at in 0..n as usize {
            good[at] = false;
            let states = course(successes, &good);
            assert_eq!((states.len(), states[at]), (at + 1, State::Open));
            good[at] = true;
        }
    }
}

// failsafe-go half-open suite: all combinations of success and failure thresholds and ratios
#[test]
fn every_order_of_results_ends_half_open_as_early_as_it_is_clear_how() {
    for probes in 1..=6_u32 {
        for borne in 0..probes {
            let ratio = f64::from(borne) / f64::from(probes);
            for order in 0..1_u32 << probes {
                let good: Vec<_> = (0..probes).map(|bit| order >> bit & 1 == 1).collect();
                let states = course(rate(probes, ratio), &good);
                assert_eq!(states, naive(probes, borne, &good), "{borne} of {good:?}");
            }
        }
    }
}

/// Looks at all ways in which the rest could go on.
fn naive(probes: u32, borne: u32, good: &[bool]) -> Vec<State> {
    let mut states = Vec::new();
    let mut bad = 0;
    for (ended, good) in (1..).zip(good) {
        bad += u32::from(!good);
        let ends = (0..=probes - ended).map(|more| bad + more <= borne);
        let (closes, opens): (Vec<bool>, Vec<bool>) = ends.partition(|closes| *closes);
        let state = match (closes.is_empty(), opens.is_empty()) {
            (false, true) => State::Closed,
            (true, false) => State::Open,
            _ => STILL,
        };
        states.push(state);
        if state != STILL {
            break;
        }
    }
    states
}

// failsafe-go half-open suite: failure rate thresholds, which also bound how few results may decide
#[test]
fn a_rate_is_judged_on_slowness_as_on_failure_and_what_says_nothing_is_no_part_of_it() {
    let time = ManualClock::new();
    let breaker = probing(&time, rate(4, 0.25));
    for outcome in [
        Outcome::Slow,
        Outcome::Ignored,
        Outcome::Success,
        Outcome::Abandoned,
    ] {
        end(&breaker, outcome);
        assert_eq!(breaker.state(), STILL);
    }
    end(&breaker, Outcome::Slow);
    assert_eq!(breaker.state(), State::Open);
    let verdict = breaker.handle().snapshot().verdict.unwrap();
    assert_eq!((verdict.rule.as_ref(), verdict.samples), ("probe", 3));
    assert!(verdict.observed > verdict.threshold);
}
