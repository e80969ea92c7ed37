//! Who should be out, and for whom the budget has no room, bears less, whatever the policy.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::rng::Rng;
use buttress_route::{Acquired, Config, Endpoint, HealthRouter, Policy};
use common::{HASH, World, fails_after, ok_after, policies};

const SECOND: Duration = Duration::from_secs(1);

/// The one that is in though it should not be.
fn suspect(world: &World) -> usize {
    let endpoints = world.handle().snapshot().endpoints;
    let suspect = endpoints.iter().position(|it| it.suspect);
    suspect.unwrap()
}

/// Four of which two fail all, and one may be out.
fn two_dead(policy: Policy) -> World {
    let mut world = World::with(&[ok_after(5); 4], |config| {
        config.policy(policy).max_ejected(0.25)
    });
    world.load(1, SECOND);
    (0..2).for_each(|dead| world.backends[dead].set(fails_after(1)));
    world.load(1, SECOND);
    world
}

#[test]
fn whatever_the_policy_the_dead_one_that_the_budget_keeps_is_asked_for_little_until_it_is_well() {
    for policy in policies() {
        let name = policy.as_str();
        let mut world = two_dead(policy);
        let dead = suspect(&world);
        let ended = world.load(1, SECOND * 10);
        let share = ended.share(&dead.to_string());
        assert!(share < 0.04, "{name}: {share} of a third");
        world.backends[dead].set(ok_after(5));
        world.load(1, SECOND * 10);
        let share = world.load(1, SECOND * 10).share(&dead.to_string());
        assert!(share > 0.25, "{name}: {share} once it is well");
    }
}

#[test]
fn whoever_answers_more_of_it_well_is_given_more() {
    let shares = [0.3, 0.6].map(|failing| {
        let mut world = two_dead(Policy::RoundRobin);
        let (kept, rng) = (suspect(&world), Rng::seeded(7));
        let mut share = 0.0;
        for _ in 0..10_000 {
            let fails = rng.unit() < failing;
            world.backends[kept].set(if fails { fails_after(5) } else { ok_after(5) });
            share += world.load(1, SECOND / 1_000).share(&kept.to_string()) / 10_000.0;
        }
        share
    });
    let fair = 1.0 / 3.0;
    assert!(
        shares[1] > 0.2 * fair && shares[0] > 1.3 * shares[1],
        "{shares:?}"
    );
    assert!(shares[0] < 0.9 * fair, "{shares:?}");
}

#[test]
fn where_all_fail_nobody_is_given_less() {
    for policy in policies() {
        let mut world = World::with(&[fails_after(5); 3], |config| config.policy(policy));
        world.load(1, SECOND * 3);
        let endpoints = world.handle().snapshot().endpoints;
        assert!(endpoints.iter().all(|it| it.suspect && it.given >= 1.0));
    }
}

/// One request with each of these keys, in a pool in which some fail all; how many fail.
fn failed_keys(pool: &HealthRouter<()>, time: &ManualClock, dead: &[&str]) -> usize {
    let send = |key| {
        time.advance(Duration::from_millis(1));
        let call: Acquired<()> = pool.try_acquire_for(key).unwrap();
        let fails = dead.contains(&&**call.id());
        call.record(if fails {
            Outcome::Failure(FailureKind::Answer)
        } else {
            Outcome::Success
        });
        fails
    };
    (0..1_000).filter(|key| send(*key)).count()
}

#[test]
fn keys_of_a_dead_one_that_the_budget_keeps_are_mostly_served_by_the_next_one() {
    let time = ManualClock::new();
    let config = Config::new("test").policy(HASH).max_ejected(0.25);
    let config = config.clock(time.clock()).rng(Rng::seeded(3));
    let endpoints = ["0", "1", "2", "3"].map(|id| Endpoint::new(id, ()));
    let pool = HealthRouter::new(config, endpoints).unwrap();
    assert_eq!(failed_keys(&pool, &time, &[]), 0);
    let dead = ["0", "1"];
    failed_keys(&pool, &time, &dead);
    let failed = failed_keys(&pool, &time, &dead);
    assert!((1..22).contains(&failed), "{failed} of some 250");
    failed_keys(&pool, &time, &[]);
    let homes = |pool: &HealthRouter<()>| -> Vec<_> {
        (0..1_000)
            .map(|key| pool.try_acquire_for(key).unwrap().id().clone())
            .collect()
    };
    let well = pool.handle().snapshot().endpoints;
    assert!(well.iter().all(|it| !it.suspect), "it is well again");
    assert_eq!(homes(&pool), homes(&pool), "and has its keys");
}
