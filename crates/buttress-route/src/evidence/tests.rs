//! What is learnt, and what a request then costs.

use super::*;

const MS: f64 = 1e6;
const POOL: Pool = Pool {
    latency: 10.0 * MS,
    failing: 0.0,
    unlikely_run: 5.0,
    late_run: 3.0,
    load: 0.0,
    looked_at: true,
    eased: 1.0,
};
const START: Instant = Instant::from_nanos(3_600_000_000_000);

fn evidence() -> Evidence {
    Evidence::new(Duration::from_secs(10), START)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// In parts of what the pool costs, which is 10 ms.
fn cost(evidence: &Evidence, now: Instant) -> f64 {
    let score = evidence.score(now, &POOL);
    let part = f64::from(score.latency + score.penalty) / (POOL.latency + INDISTINCT);
    part * POOL.latency
}

fn steady(count: u32) -> Evidence {
    let mut evidence = evidence();
    (0..count).for_each(|_| evidence.success(ms(10), START));
    evidence
}

#[test]
fn an_endpoint_that_has_shown_nothing_costs_what_the_pool_does() {
    assert!((cost(&evidence(), START) - 10.0 * MS).abs() < 1.0);
}

#[test]
fn who_has_shown_nothing_has_the_score_of_nobody_whatever_the_pool_shows() {
    for (latency, failing) in [(1e3, 0.0), (10.0 * MS, 0.3), (1e12, 1.0)] {
        let unlikely_run = 7.0;
        let pool = Pool {
            latency,
            failing,
            unlikely_run,
            late_run: 3.0,
            load: 3.0,
            looked_at: true,
            eased: 1.0,
        };
        assert_eq!(evidence().score(START, &pool), Score::unknown(latency));
    }
}

#[test]
fn a_failure_never_makes_an_endpoint_look_fast() {
    let mut evidence = steady(100);
    let before = evidence.score(START, &POOL);
    evidence.failure(START);
    let after = evidence.score(START, &POOL);
    assert!((after.latency - before.latency).abs() < 1.0);
    assert!(after.penalty > before.penalty);
}

#[test]
fn every_failure_raises_the_cost() {
    let mut evidence = steady(20);
    let mut last = cost(&evidence, START);
    for _ in 0..100 {
        evidence.failure(START);
        let next = cost(&evidence, START);
        assert!(next > last, "{next} after {last}");
        last = next;
    }
}

#[test]
fn a_run_of_another_time_outweighs_a_long_history() {
    let mut evidence = steady(10_000);
    (0..4).for_each(|_| evidence.success(ms(100), START));
    assert!(evidence.mean().unwrap() < 11.0 * MS, "four may be chance");
    evidence.success(ms(100), START);
    assert!(evidence.mean().unwrap() > 50.0 * MS);
    // Not where others come in between, nor where the run is not beyond all that was.
    let mut evidence = steady(10_000);
    for _ in 0..10 {
        (0..4).for_each(|_| evidence.success(ms(100), START));
        evidence.success(ms(10), START);
    }
    (0..5).for_each(|_| evidence.success(ms(30), START));
    assert!(evidence.mean().unwrap() < 11.0 * MS);
}

#[test]
fn where_one_failure_is_no_chance_it_shows_and_copies_that_went_well_do_not_hide_it() {
    let pool = Pool {
        unlikely_run: 1.0,
        ..POOL
    };
    let mut evidence = steady(100);
    let penalty = |evidence: &Evidence| f64::from(evidence.score(START, &pool).penalty);
    assert!(penalty(&evidence) < MS);
    evidence.failure(START);
    let failed = penalty(&evidence);
    assert!(failed > 10.0 * MS);
    evidence.success_of_copy(ms(10), START);
    assert!(penalty(&evidence) > 0.9 * failed);
    evidence.success(ms(10), START);
    assert!(penalty(&evidence) < MS);
}

#[test]
fn a_doubt_stays_while_some_answers_are_good_and_bears_what_others_bear_at_most() {
    let of_load = |load| Pool {
        unlikely_run: 1.0,
        load,
        ..POOL
    };
    let mut evidence = steady(600);
    for _ in 0..20 {
        evidence.failure(START);
        evidence.doubt_beyond_chance(&of_load(0.0));
        (0..9).for_each(|_| evidence.success_of_copy(ms(10), START));
    }
    assert!(evidence.is_in_doubt(&of_load(0.0), START));
    // The same number of requests more, whether the others have none in flight or ten.
    let more = |load: f64| {
        let penalty = f64::from(evidence.score(START, &of_load(load)).penalty);
        penalty * (1.0 + load) / (POOL.latency + INDISTINCT)
    };
    assert!((more(0.0) - 4.0).abs() < 0.01, "{}", more(0.0));
    assert!((more(3.0) - 4.0).abs() < 0.01, "{}", more(3.0));
    // It ends though nothing else is ever heard.
    let later = START.saturating_add(Duration::from_secs(10));
    let penalty = |at| evidence.score(at, &of_load(0.0)).penalty;
    let just_before = later.saturating_sub(Duration::from_nanos(1));
    assert!(evidence.is_in_doubt(&of_load(0.0), just_before) && penalty(just_before) > 0.0);
    assert!(
        !evidence.is_in_doubt(&of_load(0.0), later) && penalty(later) < penalty(just_before) / 4.0
    );
    // Where all fail as often there is none.
    let all_fail = Pool {
        unlikely_run: 4.0,
        ..POOL
    };
    assert!(!evidence.is_in_doubt(&all_fail, START));
    evidence.failure(START);
    evidence.doubt_no_more();
    assert!(!evidence.is_in_doubt(&of_load(0.0), START) && evidence.has_failed());
}

#[test]
fn short_latencies_are_told_apart_by_what_is_more_than_noise() {
    let pool = Pool {
        latency: 0.4 * MS,
        ..POOL
    };
    let cost = |us: u64, failures: u32| {
        let mut evidence = evidence();
        (0..1_000).for_each(|_| evidence.success(Duration::from_micros(us), START));
        (0..failures).for_each(|_| evidence.failure(START));
        let score = evidence.score(START, &pool);
        f64::from(score.latency + score.penalty)
    };
    assert!(cost(700, 0) < 1.25 * cost(400, 0));
    assert!(cost(2_000, 0) > 1.7 * cost(400, 0));
    assert!(
        cost(400, 100) > 1.25 * cost(400, 0),
        "failures count as before"
    );
}

#[test]
fn one_late_answer_among_many_is_inside_the_noise_and_three_in_a_row_are_not() {
    let mut evidence = steady(1_000);
    evidence.success(ms(100), START);
    assert!(cost(&evidence, START) < 11.0 * MS);
    evidence.success(ms(100), START);
    evidence.success(ms(100), START);
    assert!(cost(&evidence, START) > 70.0 * MS);
}

#[test]
fn a_slow_endpoint_is_dear_however_much_the_others_have_in_flight_and_a_late_run_is_not() {
    // What it costs with nothing to do, in answers of the pool, where others have so many in flight.
    let idle = |evidence: &Evidence, load: f64| {
        let score = evidence.score(START, &Pool { load, ..POOL });
        let cost = f64::from(score.latency) + f64::from(score.penalty) * (1.0 + load);
        cost / (POOL.latency + INDISTINCT)
    };
    let slow = |times: u64| {
        let mut evidence = evidence();
        (0..1_000).for_each(|_| evidence.success(ms(10 * times), START));
        evidence
    };
    let mut late = steady(1_000);
    (0..3).for_each(|_| late.success(ms(100), START));
    for load in [12.0, 50.0, 1_000.0] {
        assert!(idle(&slow(10), load) > 1.0 + load, "{load}");
        assert!(idle(&slow(2), load) < 2.0, "a small one bears its share");
        assert!(idle(&late, load) < 10.0, "a queue may be over");
    }
    assert!(idle(&slow(10), 0.0) < 10.0, "nobody is busy");
}

#[test]
fn where_nobody_looks_who_was_slow_is_dear_for_a_second_or_until_an_answer_is_not() {
    let unseen = Pool {
        load: 12.0,
        looked_at: false,
        ..POOL
    };
    let seen = Pool {
        looked_at: true,
        ..unseen
    };
    let penalty = |evidence: &Evidence, at, pool| evidence.score(at, pool).penalty;
    let mut evidence = evidence();
    (0..1_000).for_each(|_| evidence.success(ms(100), START));
    let [soon, later] = [999, 1_000].map(|it| START.saturating_add(ms(it)));
    for pool in [&unseen, &seen] {
        assert!(penalty(&evidence, soon, pool) > 0.0);
    }
    assert!(penalty(&evidence, later, &unseen) <= 0.0);
    assert!(penalty(&evidence, later, &seen) > 0.0, "copies find out");
    evidence.success(ms(100), later);
    assert!(penalty(&evidence, later, &unseen) > 0.0, "still slow");
    evidence.success(ms(10), later);
    assert!(penalty(&evidence, later, &unseen) <= 0.0);
    assert!(penalty(&evidence, later, &seen) > 0.0);
}

#[test]
fn of_those_that_were_out_with_a_late_answer_nobody_waits_for_more() {
    let mut evidence = steady(1_000);
    evidence.others_are_as_late(ms(100), START);
    assert!(cost(&evidence, START) > 70.0 * MS, "before it has ended");
    evidence.success(ms(100), START);
    assert!(cost(&evidence, START) > 70.0 * MS);
    evidence.success(ms(10), START);
    assert!(cost(&evidence, START) < 11.0 * MS, "the first that is not");
}

#[test]
fn one_answer_that_took_long_while_no_other_came_counts_by_that_time_whatever_was_before() {
    let mut evidence = steady(9_000);
    let end = START.saturating_add(ms(1_000));
    evidence.success(ms(1_000), end);
    let mean = evidence.mean().unwrap();
    assert!((90.0 * MS..130.0 * MS).contains(&mean), "{mean}");
    let mut beside = steady(9_000);
    (1..100).for_each(|n| beside.success(ms(10), START.saturating_add(ms(n * 10))));
    beside.success(ms(1_000), end);
    assert!(beside.mean().unwrap() < 12.0 * MS);
}

#[test]
fn one_answer_much_later_than_usual_counts_where_that_is_no_chance_until_one_is_not() {
    let rare = Pool {
        late_run: 1.0,
        ..POOL
    };
    let usual = Pool {
        late_run: 2.0,
        ..POOL
    };
    let latency = |evidence: &Evidence, pool| f64::from(evidence.score(START, pool).latency);
    let mut evidence = steady(1_000);
    evidence.success(ms(30), START);
    assert!(latency(&evidence, &rare) < 12.0 * MS, "later, and not much");
    evidence.success(ms(100), START);
    assert!(latency(&evidence, &rare) > 70.0 * MS);
    assert!(latency(&evidence, &usual) < 12.0 * MS);
    assert_eq!(evidence.steady_latency(), None, "it stands on the last");
    evidence.success(ms(90), START);
    assert!(latency(&evidence, &usual) > 70.0 * MS, "two in a row");
    evidence.success(ms(10), START);
    assert!(latency(&evidence, &rare) < 12.0 * MS);
}

#[test]
fn a_peak_is_up_at_once_and_comes_down_with_time() {
    let mut evidence = steady(100);
    evidence.success(ms(100), START);
    assert!((evidence.peak_at(START, MS) - 100.0 * MS).abs() < 1.0);
    let later = START.saturating_add(Duration::from_secs(10));
    evidence.success(ms(10), later);
    let faded = (-1.0_f64).exp();
    let expected = (100.0 * faded + 10.0 * (1.0 - faded)) * MS;
    assert!((evidence.peak_at(later, MS) - expected).abs() < 1.0);
    let idle = later.saturating_add(Duration::from_secs(10));
    assert!((evidence.peak_at(idle, MS) - expected * faded).abs() < 1.0);
    assert!((self::evidence().peak_at(START, MS) - MS).abs() < 1.0);
}

#[test]
fn a_false_alarm_is_over_in_a_few_seconds() {
    let mut evidence = steady(1_000);
    (0..3).for_each(|_| evidence.success(ms(100), START));
    let later = START.saturating_add(Duration::from_secs(4));
    assert!(cost(&evidence, later) < 12.5 * MS);
}

#[test]
fn a_slow_endpoint_is_forgiven_when_its_evidence_has_faded() {
    let mut evidence = evidence();
    (0..1_000).for_each(|_| evidence.success(ms(100), START));
    assert!(cost(&evidence, START) > 70.0 * MS);
    let later = START.saturating_add(Duration::from_secs(120));
    assert!(cost(&evidence, later) < 11.0 * MS);
}

#[test]
fn a_slow_endpoint_that_is_tried_again_is_judged_by_what_it_shows_then() {
    let mut evidence = evidence();
    (0..1_000).for_each(|_| evidence.success(ms(100), START));
    let later = START.saturating_add(Duration::from_secs(20));
    (0..2).for_each(|_| evidence.success(ms(10), later));
    assert!(cost(&evidence, later) < 20.0 * MS);
}

#[test]
fn whoever_left_after_a_long_wait_has_shown_that_the_endpoint_is_slow() {
    let mut evidence = steady(3);
    evidence.waited(ms(2_000), START, 10.0 * MS);
    assert!(cost(&evidence, START) > 100.0 * MS);
}

#[test]
fn whoever_left_at_once_has_shown_nothing() {
    let mut evidence = steady(3);
    let before = cost(&evidence, START);
    evidence.waited(ms(1), START, 10.0 * MS);
    assert!((cost(&evidence, START) - before).abs() < f64::EPSILON);
}

#[test]
fn an_endpoint_that_refuses_by_a_limit_is_dear_and_has_not_failed() {
    let mut evidence = steady(100);
    (0..100).for_each(|_| evidence.limited(START));
    assert!(cost(&evidence, START) > 30.0 * MS);
    assert!(evidence.failing_at(START).0 < f64::EPSILON);
    assert_eq!(evidence.steady_latency(), None);
    let later = START.saturating_add(Duration::from_secs(120));
    evidence.success(ms(10), later);
    assert!(cost(&evidence, later) < 11.0 * MS);
    (0..8).for_each(|_| evidence.success(ms(10), later));
    assert!(evidence.steady_latency().is_some());
}

#[test]
fn a_pardoned_endpoint_costs_what_the_pool_does() {
    let mut evidence = evidence();
    (0..50).for_each(|_| evidence.failure(START));
    assert!(cost(&evidence, START) > 100.0 * MS);
    evidence.pardon(START);
    assert!((cost(&evidence, START) - 10.0 * MS).abs() < 1.0);
}

#[test]
fn the_failures_that_a_rule_waits_for_stay_inside_the_noise() {
    let mut evidence = evidence();
    (0..4).for_each(|_| evidence.failure(START));
    assert!(cost(&evidence, START) < 12.5 * MS);
    evidence.failure(START);
    assert!(cost(&evidence, START) > 25.0 * MS);
}

#[test]
fn an_endpoint_that_fails_every_tenth_call_is_dearer_than_the_noise() {
    let mut evidence = evidence();
    for _ in 0..20 {
        evidence.failure(START);
        (0..9).for_each(|_| evidence.success(ms(10), START));
    }
    assert!(cost(&evidence, START) > 12.5 * MS);
}
