//! Who fails a part of what it is asked is in where its peers cannot bear its share without it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use buttress_core::circuit::{Backoff, Settings};
use buttress_core::verdict::{Action, Verdict};
use buttress_route::EndpointState;
use common::{Aimed, outcome};

use EndpointState::{Active, Ejected};

/// One call in four.
const A_PART: &str = "SSSFSSSFSSSFSSSFSSSF";
const ALL: &str = "FFFFF";

/// A pool of so many, of whom nobody is probed once it is out.
fn unprobed(endpoints: usize) -> Aimed {
    Aimed::with(endpoints, 0.5, |config| {
        let long = Backoff::constant(Duration::from_secs(600));
        config.circuit(Settings::default().open_for(long))
    })
}

/// A pool of three that was at ease, and whose first endpoint a rule has thrown out for these outcomes.
fn thrown_out_for(outcomes: &str) -> Aimed {
    let pool = unprobed(3);
    take(&pool, 20, Duration::from_millis(10));
    pool.send(0, outcomes);
    assert_eq!(state(&pool), Ejected);
    pool
}

fn state(pool: &Aimed) -> EndpointState {
    pool.router.handle().state("0").unwrap()
}

/// So many times each of the others is asked, and takes as long.
fn take(pool: &Aimed, times: u32, latency: Duration) {
    for _ in 0..times {
        for peer in [1, 2] {
            take_of(pool, peer, latency, "S");
        }
    }
}

/// So many answers of one endpoint, each after as long.
fn take_of(pool: &Aimed, endpoint: usize, latency: Duration, outcomes: &str) {
    for letter in outcomes.chars() {
        let call = pool.hold(endpoint, 1);
        pool.time.advance(latency);
        for call in call {
            call.record(outcome(letter));
        }
    }
}

fn last_verdict(pool: &Aimed, endpoint: usize) -> Verdict {
    pool.judged(endpoint).pop().unwrap().verdict
}

const AT_EASE: Duration = Duration::from_millis(10);
const PRESSED: Duration = Duration::from_millis(100);

#[test]
fn who_fails_a_part_is_let_back_where_its_peers_cannot_bear_its_share() {
    let pool = thrown_out_for(A_PART);
    let slowdown = || pool.router.handle().snapshot().slowdown;
    take(&pool, 100, AT_EASE);
    assert!((slowdown() - 1.0).abs() < 0.1, "{}", slowdown());
    assert_eq!(state(&pool), Ejected, "they can");
    take(&pool, 20, PRESSED);
    assert_eq!(state(&pool), Active);
    assert!(slowdown() > 4.0, "{}", slowdown());
    let verdict = last_verdict(&pool, 0);
    assert_eq!(
        (&*verdict.rule, verdict.action.clone()),
        ("capacity", Action::Closed)
    );
    assert!(
        verdict.observed > verdict.threshold && verdict.threshold > 4.0,
        "{verdict}"
    );
}

#[test]
fn whoever_was_needed_is_not_thrown_out_again_for_as_much_until_it_was_in_for_a_while() {
    let pool = thrown_out_for(A_PART);
    take(&pool, 20, PRESSED);
    take(&pool, 100, AT_EASE);
    pool.send(0, A_PART);
    assert_eq!(state(&pool), Active);
    assert!(pool.router.handle().snapshot().endpoints[0].suspect);
    assert_eq!(
        last_verdict(&pool, 0).action,
        Action::Suppressed("capacity".into())
    );
    pool.pass(10);
    take(&pool, 10, AT_EASE);
    pool.send(0, A_PART);
    assert_eq!(state(&pool), Ejected, "its peers are well now");
}

#[test]
fn whoever_fails_all_once_it_is_back_is_thrown_out_again() {
    let pool = thrown_out_for(A_PART);
    take(&pool, 20, PRESSED);
    assert_eq!(state(&pool), Active);
    pool.send(0, &ALL.repeat(4));
    assert_eq!(state(&pool), Ejected);
}

#[test]
fn who_fails_all_stays_out_however_long_its_peers_take() {
    let pool = thrown_out_for(ALL);
    take(&pool, 50, 10 * PRESSED);
    assert_eq!(state(&pool), Ejected);
}

#[test]
fn a_pause_of_one_peer_or_a_few_late_answers_let_nobody_back() {
    let pool = thrown_out_for(A_PART);
    take_of(&pool, 1, PRESSED, &"S".repeat(20));
    take(&pool, 20, AT_EASE);
    take(&pool, 1, PRESSED);
    take(&pool, 20, AT_EASE);
    assert_eq!(state(&pool), Ejected);
}

#[test]
fn while_a_pool_is_pressed_nobody_is_thrown_out_for_a_part() {
    let pool = Aimed::new(3, 0.5);
    take(&pool, 20, AT_EASE);
    take(&pool, 20, PRESSED);
    pool.send(0, A_PART);
    assert_eq!(state(&pool), Active);
    assert_eq!(
        last_verdict(&pool, 0).action,
        Action::Suppressed("capacity".into())
    );
}

#[test]
fn of_two_the_one_that_is_left_says_what_it_can_bear() {
    let pool = unprobed(2);
    (0..2).for_each(|endpoint| take_of(&pool, endpoint, AT_EASE, &"S".repeat(20)));
    pool.send(0, A_PART);
    assert_eq!(state(&pool), Ejected);
    take_of(&pool, 1, PRESSED, &"S".repeat(20));
    assert_eq!(state(&pool), Active);
}

#[test]
fn who_died_after_a_sporadic_failure_is_no_help_either() {
    let pool = thrown_out_for("FSSSSSSSSSSFFFFF");
    take(&pool, 50, 10 * PRESSED);
    assert_eq!(state(&pool), Ejected);
}

#[test]
fn in_a_pool_of_quick_ones_and_slow_ones_nobody_is_pressed_when_more_goes_to_the_slow() {
    let pool = unprobed(5);
    let handle = pool.router.handle();
    let mut rules = handle.config().rules;
    rules.slow_rate = None;
    handle.reconfigure(handle.config().rules(rules)).unwrap();
    let slow = |times: usize| {
        for _ in 0..times {
            (3..5).for_each(|endpoint| take_of(&pool, endpoint, PRESSED, "S"));
        }
    };
    take_of(&pool, 0, AT_EASE, &"S".repeat(20));
    slow(20);
    take(&pool, 20, AT_EASE);
    pool.send(0, A_PART);
    slow(200);
    assert_eq!(state(&pool), Ejected);
}

#[test]
fn who_is_late_where_nobody_else_fails_is_thrown_out_however_long_they_all_take() {
    let pool = Aimed::new(3, 0.5);
    take(&pool, 20, AT_EASE);
    take(&pool, 20, PRESSED);
    pool.send(0, "DDDDD");
    assert_eq!(state(&pool), Ejected);
}

/// Of so many endpoints all of which take ten times as long as at ease, how many are thrown out for being late.
fn out_for_being_late(endpoints: usize) -> usize {
    let pool = Aimed::new(endpoints, 1.0);
    for latency in [AT_EASE, PRESSED] {
        for _ in 0..20 {
            (0..endpoints).for_each(|endpoint| take_of(&pool, endpoint, latency, "S"));
        }
    }
    // They all fail now and then.
    (0..endpoints).for_each(|endpoint| take_of(&pool, endpoint, PRESSED, "D"));
    (0..endpoints).for_each(|endpoint| take_of(&pool, endpoint, PRESSED, "SSSSS"));
    (0..endpoints).for_each(|endpoint| pool.send(endpoint, "DDDDD"));
    let all = pool.router.handle().snapshot().endpoints;
    all.iter().filter(|it| it.state == Ejected).count()
}

#[test]
fn in_a_pool_that_is_pressed_no_more_are_out_for_being_late_than_leave_the_others_what_they_can_bear()
 {
    let out = [2, 3, 4, 10].map(out_for_being_late);
    assert_eq!(out, [0, 0, 1, 2]);
}

#[test]
fn where_the_budget_shrinks_whoever_fails_the_least_comes_back_first() {
    for (first, second, back) in [(ALL, A_PART, 1), (A_PART, ALL, 0)] {
        let pool = unprobed(4);
        take(&pool, 20, AT_EASE);
        pool.send(0, first);
        pool.pass(1);
        pool.send(1, second);
        pool.update(&[1; 3]);
        let all = pool.router.handle().snapshot().endpoints;
        let active: Vec<_> = (0..2).filter(|it| all[*it].state == Active).collect();
        assert_eq!(active, [back], "{first} and {second}");
    }
}
