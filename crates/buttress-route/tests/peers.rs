//! An endpoint is held against its peers, and the budget against the trouble they are in.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use buttress_core::circuit::{Backoff, Settings};
use buttress_core::events::Received;
use buttress_core::health::HealthStatus;
use buttress_core::verdict::Action;
use buttress_route::{Change, EndpointState};
use common::{World, fails_after, ok_after};

fn backoff(seconds: u64) -> Settings {
    Settings::default().open_for(Backoff::constant(Duration::from_secs(seconds)))
}

fn state(world: &World, id: &str) -> EndpointState {
    world.handle().snapshot().endpoint(id).unwrap().state
}

#[test]
fn when_all_endpoints_fail_nobody_is_thrown_out_and_the_router_never_answers_for_itself() {
    let mut world = World::new(&[fails_after(5), fails_after(5), fails_after(5)]);
    let ended = world.load(2, Duration::from_secs(10));
    assert_eq!((ended.rejected, ended.total_ok()), (0, 0));
    assert!(ended.total_bad() > 19_900);
    let out = |id| state(&world, id) != EndpointState::Active;
    assert_eq!(["0", "1", "2"].into_iter().filter(|id| out(id)).count(), 0);
    let endpoints = world.handle().snapshot().endpoints;
    assert!(
        endpoints.iter().all(|it| it.suspect),
        "and the pool says that it is not well"
    );
}

#[test]
fn who_is_out_comes_back_when_the_others_fail_as_well() {
    let modes = [fails_after(1), ok_after(1), ok_after(1), ok_after(1)];
    let mut world = World::with(&modes, |config| config.circuit(backoff(60)));
    world.one_by_one(100);
    assert_eq!(state(&world, "0"), EndpointState::Ejected);
    let mut events = world.handle().subscribe();
    (1..4).for_each(|index| world.backends[index].set(fails_after(1)));
    world.one_by_one(100);
    let out = |id| state(&world, id) != EndpointState::Active;
    assert!(!["0", "1", "2", "3"].into_iter().any(out));
    let back = std::iter::from_fn(|| match events.try_recv() {
        Some(Received::Event(event)) => Some(event),
        _ => None,
    });
    let why: Vec<_> = back.map(|event| event.verdict.rule).collect();
    assert!(why.iter().any(|rule| rule == "max_ejected"), "{why:?}");
}

#[test]
fn an_endpoint_that_fails_a_little_more_than_its_peers_is_thrown_out_when_that_is_sure() {
    let mut world = World::new(&[ok_after(5); 4]);
    for turn in 0..4_000 {
        // One call in ten; the others never fail.
        let fails = turn % 10 == 0;
        world.backends[0].set(if fails { fails_after(5) } else { ok_after(5) });
        world.one_by_one(1);
        world.pass(Duration::from_millis(1));
        if state(&world, "0") == EndpointState::Ejected {
            break;
        }
    }
    let snapshot = world.handle().snapshot();
    let verdict = snapshot
        .endpoint("0")
        .unwrap()
        .last_verdict
        .clone()
        .unwrap();
    assert_eq!(verdict.rule, "outlier");
    assert_eq!(verdict.peers, Some(0.0));
    assert!(
        verdict.observed > verdict.threshold && verdict.samples >= 20,
        "{verdict}"
    );
}

#[test]
fn endpoints_that_fail_alike_stay() {
    let mut world = World::new(&[ok_after(5); 4]);
    for turn in 0..4_000 {
        let fails = turn % 10 == 0;
        let mode = if fails { fails_after(5) } else { ok_after(5) };
        world.backends.iter().for_each(|backend| backend.set(mode));
        world.one_by_one(1);
        world.pass(Duration::from_millis(1));
    }
    let snapshot = world.handle().snapshot();
    assert!(
        snapshot
            .endpoints
            .iter()
            .all(|it| it.state == EndpointState::Active)
    );
}

/// Two endpoints fail, and the budget is for one.
fn one_too_many() -> World {
    let modes = [
        fails_after(1),
        fails_after(1),
        ok_after(1),
        ok_after(1),
        ok_after(1),
    ];
    World::with(&modes, |config| {
        config.circuit(backoff(60)).max_ejected(0.2)
    })
}

#[test]
fn an_ejection_beyond_the_budget_is_held_back_and_said() {
    let mut world = one_too_many();
    let mut events = world.handle().subscribe();
    world.load(1, Duration::from_secs(1));
    let mut reasons = Vec::new();
    while let Some(Received::Event(event)) = events.try_recv() {
        if let Action::Suppressed(why) = event.verdict.action {
            assert_eq!(event.change, Change::Suppressed);
            reasons.push(why);
        }
    }
    assert!(
        reasons.iter().any(|why| why == "max_ejected"),
        "{reasons:?}"
    );
}

#[test]
fn an_endpoint_that_only_the_budget_keeps_is_suspect_until_it_answers_well_or_is_let_back() {
    let mut world = one_too_many();
    let suspects = |world: &World| {
        let endpoints = world.handle().snapshot().endpoints;
        let suspect = endpoints.into_iter().filter(|it| it.suspect);
        suspect.map(|it| it.id.to_string()).collect::<Vec<_>>()
    };
    assert!(suspects(&world).is_empty());
    world.one_by_one(100);
    let kept = suspects(&world);
    assert_eq!(kept.len(), 1, "one is out, and no suspect");
    assert_eq!(state(&world, &kept[0]), EndpointState::Active);
    world.handle().restore(&kept[0]);
    assert!(suspects(&world).is_empty());
    world.one_by_one(100);
    assert_eq!(suspects(&world), kept);
    let index: usize = kept[0].parse().unwrap();
    world.backends[index].set(ok_after(1));
    // Its failures are forgotten before it is tried again.
    world.pass(Duration::from_secs(15));
    world.one_by_one(100);
    assert!(suspects(&world).is_empty());
    world.backends[index]
        .signal
        .publish(HealthStatus::Unhealthy);
    world.load(1, Duration::from_millis(100));
    assert_eq!(
        suspects(&world),
        kept,
        "a signal is no rule that a success contradicts"
    );
    world.backends[index].signal.publish(HealthStatus::Healthy);
    world.load(1, Duration::from_millis(100));
    assert!(suspects(&world).is_empty());
}

#[test]
fn two_of_five_that_fail_a_part_are_out_by_what_their_peers_do_and_the_others_stay() {
    for one_in in [10, 5, 3] {
        let mut world = World::with(&[ok_after(5); 5], |config| config.circuit(backoff(3_600)));
        let mut events = world.handle().subscribe();
        for turn in 0..20_000 {
            // Chance might throw out one of them by a row of failures.
            let mode = if turn % one_in == 0 {
                fails_after(5)
            } else {
                ok_after(5)
            };
            world.backends[0].set(mode);
            world.backends[1].set(mode);
            world.one_by_one(1);
        }
        let states = ["0", "1", "2", "3", "4"].map(|id| state(&world, id));
        let expected = [
            EndpointState::Ejected,
            EndpointState::Ejected,
            EndpointState::Active,
            EndpointState::Active,
            EndpointState::Active,
        ];
        assert_eq!(states, expected, "one in {one_in}");
        let out = std::iter::from_fn(|| match events.try_recv() {
            Some(Received::Event(event)) => Some(event),
            _ => None,
        });
        let rules: Vec<_> = out
            .filter(|event| matches!(event.change, Change::Transition { to, .. } if to == EndpointState::Ejected))
            .map(|event| event.verdict.rule)
            .collect();
        assert_eq!(rules, ["outlier", "outlier"], "one in {one_in}");
    }
}
