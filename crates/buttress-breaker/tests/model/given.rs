//! What happens to a breaker and its model, and the rules they have.

#![allow(unreachable_pub, reason = "a part of one test binary")]

use std::time::Duration;

use buttress_breaker::{Rule, Window};
use buttress_core::outcome::{FailureKind, Outcome};
use proptest::prelude::*;

use crate::support::{BAD, OPEN_FOR, PROBE_DEADLINE};

#[derive(Clone, Debug)]
pub enum Op {
    Admit,
    /// Ends the admitted call at this index, from the oldest.
    End(usize, Outcome),
    Drop(usize),
    Panic(usize),
    Advance(Duration),
    Reconfigure(usize),
    ForceOpen,
    ForceClosed,
    Release,
}

const CALLS: Window = Window::Calls(7);
const TIME: Window = Window::Time(Duration::from_secs(16));
const SHORT: Duration = Duration::from_millis(700);
const LONG: Duration = Duration::from_secs(2);

fn rate(ratio: f64, min_calls: u32, window: Window) -> Rule {
    Rule::FailureRate {
        ratio,
        min_calls,
        window,
    }
}

fn slow(slower_than: Duration, ratio: f64, min_calls: u32, window: Window) -> Rule {
    Rule::SlowRate {
        slower_than,
        ratio,
        min_calls,
        window,
    }
}

fn either(slower_than: Duration, ratio: f64, min_calls: u32, window: Window) -> Rule {
    Rule::FailureOrSlowRate {
        slower_than,
        ratio,
        min_calls,
        window,
    }
}

/// Rules to run with, four of a kind.
pub type Rules = fn(usize) -> Vec<Rule>;

pub fn failures(which: usize) -> Vec<Rule> {
    [
        vec![
            rate(0.5, 3, CALLS),
            rate(0.6, 4, TIME),
            Rule::ConsecutiveFailures(4),
        ],
        vec![
            Rule::ConsecutiveFailures(3),
            rate(0.9, 7, CALLS),
            rate(0.3, 2, TIME),
        ],
        vec![rate(0.2, 5, TIME), rate(0.7, 2, CALLS)],
        vec![rate(0.4, 6, CALLS), rate(1.0, 9, TIME)],
    ][which % 4]
        .clone()
}

/// Without a window of time and without a question for a call's time.
pub fn timeless(which: usize) -> Vec<Rule> {
    let is_timeless = |rule: &Rule| rule.window() != Some(TIME);
    failures(which).into_iter().filter(is_timeless).collect()
}

pub fn slow_calls(which: usize) -> Vec<Rule> {
    [
        vec![slow(SHORT, 0.5, 3, CALLS), slow(SHORT, 0.6, 4, TIME)],
        vec![slow(SHORT, 0.9, 5, TIME), slow(SHORT, 1.0, 7, CALLS)],
        vec![
            slow(SHORT, 0.2, 5, TIME),
            slow(SHORT, 0.7, 2, CALLS),
            Rule::ConsecutiveFailures(4),
        ],
        vec![slow(SHORT, 0.4, 6, CALLS), slow(SHORT, 0.9, 9, TIME)],
    ][which % 4]
        .clone()
}

/// Two thresholds, and calls that are bad in two ways.
pub fn mixed(which: usize) -> Vec<Rule> {
    [
        vec![
            either(LONG, 0.8, 4, TIME),
            slow(SHORT, 0.7, 5, CALLS),
            rate(0.9, 6, TIME),
        ],
        vec![
            slow(SHORT, 0.9, 6, CALLS),
            rate(0.5, 4, TIME),
            either(LONG, 0.9, 6, TIME),
        ],
        vec![
            rate(0.8, 5, TIME),
            either(LONG, 0.5, 9, TIME),
            slow(SHORT, 1.0, 4, CALLS),
        ],
        vec![
            slow(SHORT, 0.9, 5, CALLS),
            either(LONG, 1.0, 3, TIME),
            rate(1.0, 7, TIME),
        ],
    ][which % 4]
        .clone()
}

/// Windows of all sizes, that come and go.
pub fn resized(which: usize) -> Vec<Rule> {
    let time = |millis| Window::Time(Duration::from_millis(millis));
    let timeouts = |n, window| Rule::Timeouts { n, window };
    [
        vec![
            rate(0.8, 4, Window::Calls(7)),
            rate(0.9, 4, time(16_000)),
            slow(SHORT, 0.9, 4, time(8_000)),
            timeouts(5, Window::Calls(9)),
        ],
        vec![
            rate(1.0, 3, Window::Calls(3)),
            slow(SHORT, 1.0, 3, time(2_500)),
            rate(1.0, 6, time(47_000)),
            rate(0.9, 5, Window::Calls(5)),
        ],
        vec![
            timeouts(4, time(5_000)),
            rate(0.9, 3, time(3_000)),
            rate(0.9, 8, Window::Calls(12)),
            slow(SHORT, 0.8, 6, time(30_000)),
        ],
        vec![
            timeouts(7, Window::Calls(20)),
            timeouts(6, time(90_000)),
            slow(SHORT, 0.9, 3, Window::Calls(4)),
            rate(0.9, 5, time(11_000)),
        ],
    ][which % 4]
        .clone()
}

/// What is slow changes, and which rule asks for it.
pub fn other_thresholds(which: usize) -> Vec<Rule> {
    [
        vec![slow(SHORT, 0.9, 4, CALLS), slow(LONG, 0.9, 6, CALLS)],
        vec![slow(LONG, 0.9, 4, CALLS), slow(SHORT, 0.9, 6, CALLS)],
        vec![either(SHORT, 0.9, 5, TIME), slow(LONG * 2, 0.9, 5, CALLS)],
        vec![slow(SHORT / 2, 0.9, 5, CALLS), either(LONG, 0.9, 6, TIME)],
    ][which % 4]
        .clone()
}

pub fn timeouts(which: usize) -> Vec<Rule> {
    let timeouts = |n, window| Rule::Timeouts { n, window };
    [
        vec![timeouts(2, CALLS), timeouts(4, TIME)],
        vec![timeouts(3, TIME), timeouts(7, CALLS)],
        vec![timeouts(1, TIME), timeouts(5, CALLS)],
        vec![timeouts(6, CALLS), timeouts(5, TIME)],
    ][which % 4]
        .clone()
}

pub fn adaptive(which: usize) -> Vec<Rule> {
    // Floors so high that a few calls make a rate known.
    let (factor, floor, min_calls) =
        [(3.0, 0.6, 4), (2.0, 0.7, 2), (1.5, 0.5, 6), (5.0, 0.05, 9)][which % 4];
    vec![Rule::Adaptive {
        factor,
        floor,
        ceiling: 0.8,
        min_calls,
        window: Duration::from_secs(16),
        baseline: Duration::from_secs(60),
    }]
}

pub fn ops() -> impl Strategy<Value = Vec<Op>> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Success),
        4 => Just(BAD),
        2 => Just(Outcome::Failure(FailureKind::Deadline)),
        1 => Just(Outcome::Slow),
        1 => Just(Outcome::Ignored),
        1 => Just(Outcome::Abandoned),
    ];
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    let advance = prop_oneof![
        4 => Just(Duration::from_nanos(1)),
        8 => (0_u64..3_000).prop_map(Duration::from_millis),
        2 => Just(SHORT),
        2 => Just(OPEN_FOR),
        1 => Just(PROBE_DEADLINE),
        1 => Just(century),
    ];
    let op = prop_oneof![
        20 => Just(Op::Admit),
        20 => (0_usize..6, outcome).prop_map(|(at, outcome)| Op::End(at, outcome)),
        2 => (0_usize..6).prop_map(Op::Drop),
        1 => (0_usize..6).prop_map(Op::Panic),
        7 => advance.prop_map(Op::Advance),
        1 => (0_usize..4).prop_map(Op::Reconfigure),
        1 => prop_oneof![Just(Op::ForceOpen), Just(Op::ForceClosed)],
        1 => Just(Op::Release),
    ];
    proptest::collection::vec(op, 1..200)
}
