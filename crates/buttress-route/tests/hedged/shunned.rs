//! Whoever is in and shunned is looked at by copies.

use buttress_route::EndpointState;

use super::World;
use crate::common::{Backend, Mode, ok_after};

#[test]
fn an_endpoint_that_was_slow_or_silent_is_looked_at_by_copies_and_has_its_share_again() {
    for bad in [ok_after(300), Mode::Hang] {
        let mut world = World::new(16);
        world.load(1.0);
        world.backends[0].set(bad);
        world.load(20.0);
        assert_eq!(world.state(), EndpointState::Active, "{bad:?}");
        world.backends[0].set(ok_after(5));
        world.load(3.0);
        let before = world.picks();
        assert_eq!(world.load(3.0), 0);
        let share = (world.picks() - before) as f64 / 3_000.0;
        assert!(share > 0.9 / 3.0, "{bad:?}: {share}");
    }
}

#[test]
fn an_endpoint_that_stays_slow_is_asked_once_a_second_and_by_copies_alone() {
    let mut world = World::new(16);
    world.load(1.0);
    world.backends[0].set(ok_after(300));
    world.load(20.0);
    let (asked, spawned) = (world.backends[0].calls(), world.spawned());
    world.load(20.0);
    let asked = world.backends[0].calls() - asked;
    assert!((10..=21).contains(&asked), "{asked}");
    assert_eq!(world.spawned() - spawned, asked);
}

#[test]
fn of_one_that_turned_slow_a_single_user_hears_where_late_answers_are_rare() {
    let mut world = World::new(16);
    world.one_by_one(300);
    world.backends[0].set(ok_after(100));
    let before = world.backends[0].calls();
    while world.backends[0].calls() == before {
        world.one_by_one(1);
    }
    let (asked, spawned) = (world.backends[0].calls(), world.spawned());
    world.one_by_one(1_000);
    let looks = world.backends[0].calls() - asked;
    assert!(looks > 0, "nobody looked");
    assert_eq!(looks, world.spawned() - spawned, "a user was there");
    world.backends[0].set(ok_after(5));
    world.one_by_one(1_000);
    let picks = world.picks();
    world.one_by_one(300);
    assert!(world.picks() - picks > 80, "it is well again");
}

#[test]
fn where_late_answers_are_usual_one_more_keeps_nobody_away() {
    let mut world = World::new(16);
    let late = |world: &mut World| {
        world.backends.iter().for_each(|it| it.set(ok_after(100)));
        world.one_by_one(1);
        world.backends.iter().for_each(|it| it.set(ok_after(5)));
    };
    let calls = |world: &World| -> Vec<_> { world.backends.iter().map(Backend::calls).collect() };
    for _ in 0..60 {
        world.one_by_one(20);
        late(&mut world);
    }
    world.one_by_one(20);
    let before = calls(&world);
    late(&mut world);
    let asked = calls(&world);
    let one = (0..3).find(|&it| asked[it] > before[it]).unwrap();
    world.one_by_one(30);
    let share = (calls(&world)[one] - asked[one]) as f64 / 30.0;
    assert!(share > 0.8 / 3.0, "{share}");
}

#[test]
fn two_shunned_endpoints_are_both_looked_at() {
    let mut world = World::new(16);
    world.load(1.0);
    world.backends[0].set(Mode::Hang);
    world.backends[1].set(ok_after(300));
    world.load(20.0);
    world.backends[1].set(ok_after(5));
    world.load(6.0);
    let picks = |world: &World| world.handle.snapshot().endpoints[1].picks;
    let before = picks(&world);
    world.load(3.0);
    let share = (picks(&world) - before) as f64 / 3_000.0;
    assert!(share > 0.9 / 2.0, "{share}");
}
