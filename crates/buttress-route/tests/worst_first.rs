//! Where the budget has no room for who is worse, who is better comes back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use buttress_core::health::HealthStatus;
use buttress_core::rng::Rng;
use buttress_core::verdict::Action;
use buttress_route::{EndpointState, Policy};
use common::{Aimed, World, fails_after, ok_after, outcome, policies};

use EndpointState::{Active, Ejected, ForcedOut, Held};

/// A quarter of the calls.
const A_PART: &str = "SSSFSSSFSSSFSSSFSSSF";
const ALL: &str = "FFFFF";

/// A pool of four of which one may be out: that is the first, which fails these.
fn with_one_out_for(outcomes: &str) -> Aimed {
    let pool = Aimed::new(4, 0.25);
    (1..4).for_each(|endpoint| pool.send(endpoint, &"S".repeat(20)));
    pool.send(0, outcomes);
    assert_eq!(states(&pool), [Ejected, Active, Active, Active]);
    pool
}

fn states(pool: &Aimed) -> Vec<EndpointState> {
    let endpoints = pool.router.handle().snapshot().endpoints;
    endpoints.iter().map(|it| it.state).collect()
}

fn suspects(pool: &Aimed) -> Vec<bool> {
    let endpoints = pool.router.handle().snapshot().endpoints;
    endpoints.iter().map(|it| it.suspect).collect()
}

#[test]
fn who_fails_a_part_comes_back_for_one_that_fails_all_and_says_why() {
    let pool = with_one_out_for(A_PART);
    pool.send(1, ALL);
    assert_eq!(states(&pool), [Active, Ejected, Active, Active]);
    assert_eq!(suspects(&pool), [true, false, false, false]);
    let verdict = pool.judged(0).pop().unwrap().verdict;
    assert_eq!(
        (&*verdict.rule, verdict.action),
        ("worst_first", Action::Closed)
    );
    assert!((verdict.observed - 0.25).abs() < 0.01);
    assert!((verdict.threshold - 1.0).abs() < 1e-9);
    // And not the other way round, however often its rule says so.
    pool.pass(1);
    pool.send(0, &A_PART.repeat(5));
    assert_eq!(states(&pool), [Active, Ejected, Active, Active]);
}

#[test]
fn who_is_hardly_better_or_out_by_hand_stays_out() {
    let pool = with_one_out_for(ALL);
    pool.send(1, ALL);
    assert_eq!(states(&pool), [Ejected, Active, Active, Active]);
    let pool = with_one_out_for(&"SFF".repeat(7));
    pool.send(1, ALL);
    assert_eq!(
        states(&pool),
        [Active, Ejected, Active, Active],
        "a third is good"
    );
    pool.send(2, &"SFF".repeat(7));
    assert_eq!(states(&pool), [Active, Ejected, Active, Active]);
    let pool = Aimed::new(4, 0.25);
    assert!(pool.router.handle().eject("0"));
    pool.send(1, ALL);
    assert_eq!(states(&pool), [ForcedOut, Active, Active, Active]);
}

#[test]
fn who_fails_a_part_comes_back_for_one_that_others_call_unhealthy() {
    let pool = Aimed::new(4, 0.25);
    pool.send(1, A_PART);
    pool.says(HealthStatus::Unhealthy);
    pool.pass(1);
    pool.send(0, "S");
    assert_eq!(states(&pool), [Held, Active, Active, Active]);
}

#[test]
fn the_best_of_those_that_are_out_is_the_one_that_comes_back() {
    let pool = Aimed::new(5, 0.4);
    pool.send(0, &"SF".repeat(10));
    pool.send(1, A_PART);
    pool.send(2, ALL);
    assert_eq!(states(&pool), [Ejected, Active, Ejected, Active, Active]);
    pool.send(3, ALL);
    assert_eq!(states(&pool), [Active, Active, Ejected, Ejected, Active]);
}

#[test]
fn who_fails_a_part_comes_back_for_one_that_hangs_unless_that_is_asked_for_nothing_anyway() {
    for policy in policies() {
        let name = policy.as_str();
        let shuns_the_late = matches!(policy, Policy::ExpectedCost | Policy::PeakEwma);
        let pool = with_one_out_for(A_PART);
        let handle = pool.router.handle();
        // The aim is that of the pool's own policy.
        let held = pool.hold(1, 5);
        handle.reconfigure(handle.config().policy(policy)).unwrap();
        for call in held {
            call.record(outcome('D'));
        }
        let back = if shuns_the_late { Ejected } else { Active };
        assert_eq!(states(&pool)[0], back, "{name}");
    }
}

/// Four endpoints of which one may be out: the first fails three in ten, and after a while the second fails all.
fn dead_beside_grey(policy: Policy) {
    let name = policy.as_str();
    let mut world = World::with(&[ok_after(2); 4], |config| {
        config.policy(policy).max_ejected(0.25)
    });
    let rng = Rng::seeded(5);
    let load = |world: &mut World, seconds: u64| {
        for _ in 0..seconds * 1_000 {
            let fails = rng.unit() < 0.3;
            world.backends[0].set(if fails { fails_after(2) } else { ok_after(2) });
            world.load(2, Duration::from_millis(1));
        }
    };
    let state = |world: &World, id: &str| world.handle().state(id).unwrap();
    load(&mut world, 5);
    let is_grey_out = state(&world, "0") != Active;
    world.backends[1].set(fails_after(2));
    load(&mut world, 1);
    for second in 0..20 {
        assert!(state(&world, "1") != Active, "{name} after {second} s");
        assert_eq!(state(&world, "0"), Active, "{name} after {second} s");
        load(&mut world, 1);
    }
    assert!(is_grey_out, "{name}");
}

#[test]
fn under_every_policy_the_dead_one_is_out_and_the_one_that_fails_a_part_in() {
    for policy in policies() {
        dead_beside_grey(policy);
    }
}
