//! What a canary is held to account for, and what not.

use std::time::Duration;

use buttress_core::events::Received;
use buttress_core::verdict::Action;
use buttress_route::split::Stage;
use http::Request;
use tokio_test::{assert_ready, task};
use tower_service::Service;

use super::{CANARY, Does, STABLE, World, rollbacks};

#[test]
fn a_canary_that_fails_is_rolled_back_and_the_verdict_says_why() {
    for (does, most) in [
        (Does::Fails(1_000), 6),
        (Does::Refuses("route", "no_endpoint"), 6),
        (Does::Refuses("breaker", "circuit_open"), 6),
        (Does::Breaks, 6),
        (Does::Fails(200), 80),
    ] {
        let mut world = World::new(3, |config| config);
        let mut events = world.handle().subscribe();
        world.send(1_000);
        world.set(CANARY, does);
        assert!(world.until_rolled_back(10_000).is_some(), "{does:?}");
        let snapshot = world.handle().snapshot();
        let harmed = snapshot.canary.totals[1];
        assert!(harmed <= most, "{harmed} of {does:?}");
        let Some(Received::Event(event)) = events.try_recv() else {
            panic!("nothing was told");
        };
        assert_eq!((event.from, event.to), (0.05, 0.0));
        assert_eq!(snapshot.last_verdict.as_ref(), Some(&event.verdict));
        assert_eq!(event.verdict.rule, "two_proportions");
        assert_eq!(rollbacks(&world), [1, 0, 0]);
        assert_eq!(event.verdict.action, Action::RolledBack);
        assert_eq!(event.verdict.peers, Some(0.0));
        assert!(event.verdict.observed > event.verdict.threshold);
        assert_eq!(world.send(1_000)[CANARY], 0);
        world.time.advance(Duration::from_secs(100_000));
        assert_eq!(world.send(1_000)[CANARY], 0, "until somebody says so");
        assert!(world.handle().restart());
        assert_eq!(world.stage(), Stage::Step(0));
    }
}

#[test]
fn a_canary_that_hangs_is_rolled_back_although_its_clients_leave() {
    let mut world = World::new(3, |config| config);
    world.send(1_000);
    world.set(CANARY, Does::Hangs);
    assert!(world.until_rolled_back(1_000).is_some());
    let snapshot = world.handle().snapshot();
    let [_, failed, left] = snapshot.canary.totals;
    assert!(failed == 0 && left <= 6, "{failed} and {left}");
    let verdict = snapshot.last_verdict.unwrap();
    assert_eq!((&*verdict.rule, verdict.peers), ("late", Some(0.0)));
}

#[test]
fn a_canary_whose_good_answers_come_late_is_rolled_back_and_where_both_are_as_late_it_is_not() {
    let mut world = World::new(3, |config| config);
    world.send(1_000);
    world.set(CANARY, Does::Takes(999));
    assert_eq!(world.until_rolled_back(1_000), None, "in time");
    world.set(CANARY, Does::Takes(1_000));
    assert!(world.until_rolled_back(1_000).is_some());
    let snapshot = world.handle().snapshot();
    assert_eq!(snapshot.canary.totals[1], 0, "none failed");
    let verdict = snapshot.last_verdict.unwrap();
    assert_eq!((&*verdict.rule, verdict.peers), ("late", Some(0.0)));
    assert_eq!(rollbacks(&world), [0, 1, 0]);

    let mut world = World::new(3, |config| config.steps([0.5]));
    world.set(STABLE, Does::Takes(1_500));
    world.set(CANARY, Does::Takes(1_500));
    assert_eq!(
        world.until_rolled_back(1_000),
        None,
        "as late as the stable"
    );
}

#[test]
fn clients_that_leave_both_alike_or_at_once_are_not_held_against_the_canary() {
    let mut world = World::new(3, |config| config.steps([0.5]));
    world.send(100);
    world.set(STABLE, Does::Hangs);
    world.set(CANARY, Does::Hangs);
    assert_eq!(world.until_rolled_back(1_000), None, "they leave both");
    let mut world = World::new(3, |config| config);
    world.patience = Duration::from_millis(900);
    world.send(1_000);
    world.set(CANARY, Does::Hangs);
    assert_eq!(world.until_rolled_back(1_000), None, "they hardly wait");
    let [_, failed, left] = world.handle().snapshot().canary.totals;
    assert!(failed == 0 && left > 20, "{failed} and {left}");
}

#[test]
fn what_is_refused_for_the_clients_or_the_hosts_sake_is_not_held_against_the_canary() {
    for why in ["upload_broken", "no_descriptors"] {
        let mut world = World::new(3, |config| config);
        world.send(1_000);
        world.set(CANARY, Does::Refuses("gateway", why));
        assert_eq!(world.until_rolled_back(2_000), None, "{why}");
        let [_, failed, other] = world.handle().snapshot().canary.totals;
        assert!(failed == 0 && other > 50, "{failed} and {other}");
    }
}

#[test]
fn a_canary_that_turns_bad_in_a_later_step_is_rolled_back_whatever_it_did_before() {
    let mut world = World::new(4, |config| config.hold(Duration::from_secs(1)));
    world.send(20_000);
    assert_eq!(world.stage(), Stage::Step(3));
    world.handle().set_share(0.5);
    world.send(50_000);
    world.set(CANARY, Does::Fails(300));
    assert!(world.until_rolled_back(20_000).is_some());
}

#[test]
fn what_began_before_a_rollback_says_nothing_of_the_canary_that_was_restarted() {
    let mut world = World::new(5, |config| config.steps([0.5, 1.0]));
    world.send(1_000);
    world.set(CANARY, Does::Fails(1_000));
    let call = |world: &mut World| {
        let request = Request::new(());
        Box::pin(world.split.call(request))
    };
    let late: Vec<_> = (0..200).map(|_| call(&mut world)).collect();
    world.set(CANARY, Does::Fails(0));
    world.handle().roll_back();
    world.handle().restart();
    for call in late {
        assert_ready!(task::spawn(call).poll()).unwrap();
    }
    let snapshot = world.handle().snapshot();
    assert_eq!(snapshot.stage, Stage::Step(0));
    assert_eq!((snapshot.canary.calls, snapshot.stable.calls), (0, 0));
    assert!(snapshot.canary.totals[1] > 50);
}

/// Worlds of many seeds in each step but the last, which lasts.
fn worlds(seeds: u64) -> impl Iterator<Item = World> {
    (0..seeds).map(|seed| {
        let world = World::new(seed, |config| config.hold(Duration::from_secs(1_000_000)));
        (0..seed % 3).for_each(|_| assert!(world.handle().advance()));
        world
    })
}

#[test]
fn who_is_no_worse_is_not_rolled_back_however_much_both_fail() {
    for (seed, mut world) in (0..).zip(worlds(45)) {
        let fails = Does::Fails(seed * 13);
        world.set(STABLE, fails);
        world.set(CANARY, fails);
        assert_eq!(
            world.until_rolled_back(4_000),
            None,
            "{fails:?}, seed {seed}"
        );
    }
}

#[test]
fn who_is_three_times_as_bad_is_rolled_back() {
    for (seed, mut world) in (0..).zip(worlds(45)) {
        world.set(STABLE, Does::Fails(seed * 4));
        world.set(CANARY, Does::Fails(seed * 12 + 50));
        let most = if seed % 3 == 0 { 20_000 } else { 5_000 };
        assert!(world.until_rolled_back(most).is_some(), "seed {seed}");
    }
}
