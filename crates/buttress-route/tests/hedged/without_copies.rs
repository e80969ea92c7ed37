//! Where no copy can be made or run, users' requests tell.

use buttress_core::spawn::Spawn;
use buttress_route::{Config, EndpointState, HealthRouter};
use http::Method;

use super::World;
use crate::common::{fails_after, ok_after};

#[test]
fn where_nothing_can_be_copied_or_nothing_be_run_user_requests_probe() {
    for (method, cap) in [(Method::POST, 16), (Method::GET, 0)] {
        let mut world = World::new(cap);
        world.load(1.0);
        world.backends[0].set(fails_after(1));
        world.load(1.0);
        world.method = method.clone();
        world.backends[0].set(ok_after(5));
        world.load(40.0);
        assert_eq!(
            world.state(),
            EndpointState::Active,
            "{method}, {cap} tasks"
        );
        assert!(world.tasks.lock().unwrap().is_empty());
    }
}

#[test]
fn where_users_probe_one_in_five_seconds_pays_for_it() {
    let mut world = World::new(16);
    world.method = Method::POST;
    world.load(1.0);
    world.backends[0].set(fails_after(1));
    world.load(10.0);
    let paid = world.load(60.0);
    assert!((9..=12).contains(&paid), "{paid} failures in a minute");
    world.backends[0].set(ok_after(5));
    assert_eq!(world.load(7.0), 0);
    assert_eq!(world.state(), EndpointState::Active);
}

#[test]
fn requests_that_cannot_be_cloned_probe_as_they_are() {
    let mut world = World::new(16);
    world.load(1.0);
    world.backends[0].set(fails_after(1));
    world.load(1.0);
    world.backends[0].set(ok_after(5));
    world.extension.panics = true;
    assert_eq!(world.load(10.0), 0);
    assert_eq!(world.state(), EndpointState::Active);
}

#[test]
fn an_executor_that_drops_copies_or_is_full_keeps_nobody_out_for_ever() {
    type Runs = fn(u64) -> bool;
    let (none, every_third): (Runs, Runs) = (|_| false, |number| number % 3 == 0);
    for (name, runs) in [("none", none), ("every third", every_third)] {
        let mut world = World::on(16, runs);
        world.load(1.0);
        world.backends[0].set(fails_after(1));
        world.load(1.0);
        world.backends[0].set(ok_after(5));
        world.load(20.0);
        assert_eq!(world.state(), EndpointState::Active, "{name}");
    }
}

/// How long users have to hear of failures, and of how many, until the rules throw the first endpoint out.
fn until_it_is_out(world: &mut World) -> (u64, u64) {
    world.backends[0].set(fails_after(1));
    let (mut failed, mut millis) = (0, 0);
    while world.state() == EndpointState::Active && millis < 20_000 {
        failed += world.load(0.001);
        millis += 1;
    }
    (failed, millis)
}

#[test]
fn where_nothing_can_be_copied_the_rules_are_told_by_users_and_soon() {
    let mut world = World::new(16);
    world.method = Method::POST;
    world.load(5.0);
    let (failed, millis) = until_it_is_out(&mut world);
    assert!(failed <= 6 && millis < 2_000, "{failed} in {millis} ms");
    world.backends[0].set(ok_after(5));
    world.load(30.0);
    assert_eq!(world.state(), EndpointState::Active);
    // It is known by now that no copy comes.
    let (failed, millis) = until_it_is_out(&mut world);
    assert!(failed <= 6 && millis < 100, "{failed} in {millis} ms");

    // Copies may come again, and are told by the first that does.
    world.method = Method::GET;
    world.load(5.0);
    world.backends[0].set(ok_after(5));
    world.load(30.0);
    assert_eq!(world.state(), EndpointState::Active);
    let (failed, _) = until_it_is_out(&mut world);
    assert!(failed <= 3, "{failed}");
}

#[test]
fn where_copies_are_not_run_any_more_the_rules_are_told_by_users_and_soon() {
    let mut world = World::on(16, |_| false);
    world.load(5.0);
    let (failed, millis) = until_it_is_out(&mut world);
    assert!(failed <= 6 && millis < 500, "{failed} in {millis} ms");

    // Clones that send none are all that is left.
    let mut world = World::new(16);
    world.load(5.0);
    let empty = HealthRouter::new(Config::default(), []).unwrap();
    world.router = empty.hedged(Spawn::new(drop));
    world.by_plain = true;
    let (failed, millis) = until_it_is_out(&mut world);
    assert!(failed <= 6 && millis < 500, "{failed} in {millis} ms");
}

#[test]
fn a_wait_for_a_copy_is_over_with_the_first_request_that_can_be_copied() {
    let mut world = World::new(16);
    world.load(1.0);
    world.backends[0].set(fails_after(1));
    world.load(1.0);
    world.backends[0].set(ok_after(5));
    // Users probe it until it is back.
    world.method = Method::POST;
    world.load(40.0);
    assert_eq!(world.state(), EndpointState::Active);
    // Nobody is due a copy in the meantime, though many could be copied.
    world.method = Method::GET;
    world.load(60.0);
    world.method = Method::POST;
    until_it_is_out(&mut world);
    assert_ne!(world.state(), EndpointState::Active);
    world.load(0.1);
    let asked = world.backends[0].calls();
    world.load(4.0);
    assert_eq!(
        world.backends[0].calls(),
        asked,
        "a user's request was the probe"
    );
    world.load(4.0);
    assert!(world.backends[0].calls() > asked, "nobody asked");
}
