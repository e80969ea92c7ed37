//! Where traffic goes: by weight and load when all is well, away from what is slow, silent or false.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

mod common;

use std::cell::RefCell;
use std::time::Duration;

use buttress_core::outcome::{FailureKind, Outcome};
use buttress_route::{Acquired, EndpointState, Rules};
use common::{Backend, Mode, World, endpoint, fails_after, ok_after};

#[test]
fn a_healthy_pool_is_shared_evenly_one_by_one_and_under_load() {
    let mut world = World::new(&[ok_after(10); 4]);
    let ended = world.one_by_one(4_000);
    for id in ["0", "1", "2", "3"] {
        assert!((0.20..0.30).contains(&ended.share(id)), "{ended:?}");
    }
    let ended = world.load(2, Duration::from_secs(4));
    for id in ["0", "1", "2", "3"] {
        assert!((0.23..0.27).contains(&ended.share(id)), "{ended:?}");
    }
}

#[test]
fn in_a_healthy_pool_each_has_its_turn_drawn_from_or_looked_at_whole() {
    for (endpoints, most) in [(4_u32, 4), (10, 4), (40, 12)] {
        let mut world = World::new(&vec![ok_after(10); endpoints as usize]);
        world.one_by_one(10 * endpoints);
        let picks = |world: &World| -> Vec<u64> {
            let pool = world.handle().snapshot();
            pool.endpoints.iter().map(|it| it.picks).collect()
        };
        let before = picks(&world);
        world.one_by_one(20 * endpoints);
        let taken = picks(&world)
            .iter()
            .zip(before)
            .map(|(now, before)| now - before)
            .collect::<Vec<_>>();
        // By chance some of forty would be nine or more off.
        let off = taken.iter().map(|taken| taken.abs_diff(20)).max().unwrap();
        assert!(off < most, "{endpoints}: {taken:?}");
    }
}

#[test]
fn weights_are_honoured_one_by_one_and_under_load_and_in_pools_that_are_drawn_from() {
    for peers in [2, 40] {
        let mut world = World::new(&vec![ok_after(10); peers]);
        let weight = |index: usize| if index == 0 { 3 } else { 1 };
        let endpoints = world.backends.iter().enumerate();
        let endpoints: Vec<_> = endpoints
            .map(|it| endpoint(it).weight(weight(it.0)))
            .collect();
        world.handle().update(endpoints).unwrap();
        let fair = 3.0 / (peers as f64 + 2.0);
        let near = |share: f64| (fair * 0.85..fair * 1.15).contains(&share);
        let ended = world.one_by_one(8_000);
        assert!(near(ended.share("0")), "{peers}: {}", ended.share("0"));
        let ended = world.load(u32::try_from(peers).unwrap(), Duration::from_secs(2));
        assert!(near(ended.share("0")), "{peers}: {}", ended.share("0"));
    }
}

#[test]
fn an_endpoint_that_turns_slow_loses_its_share_at_once_and_regains_it_when_it_is_well() {
    let mut world = World::new(&[ok_after(10); 4]);
    world.load(1, Duration::from_secs(5));
    world.backends[0].set(ok_after(200));
    let first = world.load(1, Duration::from_secs(1));
    assert!(first.share("0") < 0.03, "{first:?}");
    let then = world.load(1, Duration::from_secs(20));
    assert!(then.share("0") < 0.01, "{then:?}");
    world.backends[0].set(ok_after(10));
    world.load(1, Duration::from_secs(60));
    let last = world.load(1, Duration::from_secs(5));
    assert!(last.share("0") > 0.2, "{last:?}");
}

#[test]
fn an_endpoint_that_answers_with_429_does_not_attract_traffic_by_being_quick() {
    let limit = Mode::Status(429, Duration::from_millis(1));
    let mut world = World::new(&[ok_after(10); 4]);
    world.load(1, Duration::from_secs(5));
    world.backends[0].set(limit);
    world.load(1, Duration::from_secs(5));
    let then = world.load(1, Duration::from_secs(20));
    assert!(then.share("0") < 0.05, "{then:?}");
    assert_eq!(
        world.handle().snapshot().endpoints[0].state,
        EndpointState::Active
    );
    world.backends[0].set(ok_after(10));
    world.load(1, Duration::from_secs(60));
    let last = world.load(1, Duration::from_secs(5));
    assert!(last.share("0") > 0.2, "{last:?}");
}

#[test]
fn a_hang_is_felt_before_anybody_has_given_up() {
    let mut world = World::new(&[ok_after(10); 4]);
    world.load(1, Duration::from_secs(2));
    world.backends[0].set(Mode::Hang);
    let before = world.backends[0].calls();
    world.load(1, Duration::from_secs(2));
    let lost = world.backends[0].calls() - before;
    assert!(lost <= 15, "{lost}");
    assert_eq!(
        world
            .handle()
            .snapshot()
            .endpoint("0")
            .unwrap()
            .outcomes
            .failure,
        0
    );
}

#[test]
fn an_endpoint_that_hung_behind_impatient_clients_is_remembered() {
    let mut world = World::new(&[ok_after(10); 4]);
    world.load(1, Duration::from_secs(2));
    world.backends[0].set(Mode::Hang);
    world.load(1, Duration::from_secs(2));
    world.cancel_all();
    let before = world.backends[0].calls();
    world.load(1, Duration::from_millis(500));
    assert!(world.backends[0].calls() - before <= 1);
    let snapshot = world.handle().snapshot();
    let shown = snapshot.endpoint("0").unwrap();
    assert!(shown.outcomes.abandoned > 0);
    assert_eq!(shown.state, EndpointState::Active);
}

#[test]
fn a_fast_failing_endpoint_attracts_no_traffic_even_where_it_cannot_be_ejected() {
    let mut world = World::with(&[ok_after(20), ok_after(20), ok_after(20)], |config| {
        config.rules(Rules::none())
    });
    world.load(1, Duration::from_secs(5));
    world.backends[0].set(fails_after(1));
    world.load(1, Duration::from_secs(1));
    let ended = world.load(1, Duration::from_secs(10));
    assert!(ended.share("0") < 0.01, "{ended:?}");
}

#[test]
fn an_endpoint_that_fails_now_and_then_gets_less_than_its_share() {
    let mut world = World::with(&[ok_after(10); 4], |config| config.rules(Rules::none()));
    world.load(1, Duration::from_secs(3));
    let mut grey = 0.0;
    for step in 0..8_000_u32 {
        let fails = step % 4 == 0;
        world.backends[0].set(if fails { fails_after(10) } else { ok_after(10) });
        let ended = world.load(1, Duration::from_millis(1));
        if step >= 4_000 {
            grey += ended.share("0") / 4_000.0;
        }
    }
    assert!(grey < 0.1, "{grey}");
}

#[test]
fn a_newcomer_is_taken_for_one_of_the_pool_and_not_for_the_best_of_it() {
    let mut world = World::new(&[ok_after(10); 5]);
    let four: Vec<_> = world
        .backends
        .iter()
        .enumerate()
        .take(4)
        .map(endpoint)
        .collect();
    world.handle().update(four).unwrap();
    world.load(2, Duration::from_secs(2));
    let five: Vec<_> = world.backends.iter().enumerate().map(endpoint).collect();
    world.handle().update(five).unwrap();
    let ended = world.load(2, Duration::from_secs(2));
    assert!(ended.share("4") < 0.15, "it rises: {ended:?}");
    let ended = world.load(2, Duration::from_secs(1));
    assert!((0.15..0.26).contains(&ended.share("4")), "{ended:?}");
}

#[test]
fn in_a_large_pool_everyone_is_drawn_and_the_slow_are_left_alone() {
    let mut modes = vec![ok_after(10); 100];
    modes[..10].fill(ok_after(300));
    let mut world = World::new(&modes);
    world.load(5, Duration::from_secs(3));
    let ended = world.load(5, Duration::from_secs(5));
    let slow: f64 = (0..10).map(|id: u32| ended.share(&id.to_string())).sum();
    assert!(slow < 0.01, "{slow}");
    assert!((10..100).all(|id: u32| ended.share(&id.to_string()) > 0.005));
}

#[test]
fn in_a_large_pool_of_which_a_third_is_slow_others_are_drawn_where_all_that_were_are_slow() {
    let mut modes = vec![ok_after(10); 90];
    modes[..30].fill(ok_after(300));
    let mut world = World::new(&modes);
    world.load(5, Duration::from_secs(3));
    let ended = world.load(5, Duration::from_secs(5));
    let slow: f64 = (0..30).map(|id: u32| ended.share(&id.to_string())).sum();
    // All five of a draw are in one of 250.
    assert!(slow < 0.002, "{slow}");
}

/// What a request to the first of three costs, by what it has in flight, in milliseconds: so many were sent to it at once, and the first
/// was answered after 100 ms, where 10 are usual. `end`: as that one ends.
fn cost_after_a_late_answer(sent: usize, end: impl FnOnce(&World, Acquired<Backend>)) -> f64 {
    let mut world = World::new(&[ok_after(10); 3]);
    world.one_by_one(300);
    let picks = (0..3 * sent).map(|_| world.router.try_acquire().unwrap());
    let (mut to_first, _others): (Vec<_>, Vec<_>) = picks.partition(|it| &**it.id() == "0");
    assert_eq!(to_first.len(), sent);
    world.time.advance(Duration::from_millis(100));
    end(&world, to_first.remove(0));
    let first = &world.handle().snapshot().endpoints[0];
    first.cost * 1e3 / f64::from(first.in_flight + 1)
}

#[test]
fn an_answer_that_ends_a_silence_speaks_for_those_sent_with_it_with_a_head_or_without_and_at_once()
{
    let plain = |_: &World, call: Acquired<Backend>| call.record(Outcome::Success);
    assert!(cost_after_a_late_answer(3, plain) > 70.0);
    assert!(
        cost_after_a_late_answer(2, plain) < 20.0,
        "one may be chance"
    );
    let failed =
        |_: &World, call: Acquired<Backend>| call.record(Outcome::Failure(FailureKind::Answer));
    assert!(cost_after_a_late_answer(3, failed) < 20.0);
    // What follows the head goes on for long.
    let streams = RefCell::new(Vec::new());
    let head = |_: &World, mut call: Acquired<Backend>| {
        call.answered();
        streams.borrow_mut().push(call);
    };
    assert!(cost_after_a_late_answer(3, head) > 70.0);
    assert!(cost_after_a_late_answer(1, head) < 20.0);
    // Others are out when it ends, and were not when its head came.
    let ends_among_others = |world: &World, mut call: Acquired<Backend>| {
        call.answered();
        let others: Vec<_> = (0..12)
            .map(|_| world.router.try_acquire().unwrap())
            .collect();
        call.record(Outcome::Success);
        streams.borrow_mut().extend(others);
    };
    assert!(cost_after_a_late_answer(1, ends_among_others) < 20.0);
}

#[test]
fn in_a_large_pool_who_is_slow_is_left_however_much_it_weighs() {
    let mut modes = vec![ok_after(10); 40];
    modes[0] = ok_after(200);
    let mut world = World::new(&modes);
    let weight = |index: usize| if index == 0 { 1_000 } else { 1 };
    let endpoints = world.backends.iter().enumerate();
    let endpoints: Vec<_> = endpoints
        .map(|it| endpoint(it).weight(weight(it.0)))
        .collect();
    world.handle().update(endpoints).unwrap();
    world.load(2, Duration::from_secs(5));
    let slow = world.load(2, Duration::from_secs(5)).share("0");
    assert!(slow < 0.05, "{slow}");
}

#[test]
fn a_pool_that_was_slow_for_the_most_part_is_used_again_as_a_whole() {
    let mut world = World::new(&[ok_after(2); 5]);
    world.load(2, Duration::from_secs(1));
    for backend in &world.backends[..3] {
        backend.set(ok_after(500));
    }
    world.load(2, Duration::from_secs(5));
    for backend in &world.backends {
        backend.set(ok_after(2));
    }
    world.load(2, Duration::from_secs(60));
    let ended = world.load(2, Duration::from_secs(2));
    for id in ["0", "1", "2", "3", "4"] {
        assert!(ended.share(id) > 0.15, "{ended:?}");
    }
}

#[test]
fn an_endpoint_that_hangs_in_one_request_of_some_gets_next_to_none() {
    for one_in in [1, 2, 5, 10] {
        let mut world = World::new(&[ok_after(5); 3]);
        world.load(1, Duration::from_secs(1));
        let before = world.backends[0].calls();
        for _ in 0..2_000 {
            let hangs = world.backends[0].calls().is_multiple_of(one_in);
            world.backends[0].set(if hangs { Mode::Hang } else { ok_after(5) });
            world.load(1, Duration::from_millis(1));
        }
        let asked = world.backends[0].calls() - before;
        assert!(asked < 60, "{asked} of 2000 where one in {one_in} hangs");
    }
}
