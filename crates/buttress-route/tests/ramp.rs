//! Whoever comes back, or is new among others, is given its traffic step by step.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    clippy::float_cmp
)]

mod common;

use std::convert::Infallible;
use std::time::Duration;

use buttress_core::circuit::{Ramp, Settings, Step};
use buttress_core::clock::ManualClock;
use buttress_core::health::HealthStatus;
use buttress_core::rng::Rng;
use buttress_route::{Attempted, Config, Endpoint, EndpointState, HealthRouter, Policy};
use buttress_testing::ScriptedBody;
use common::{Aimed, Mode, World, endpoint, ok_after, request};
use http::{Request, Response};
use tokio_test::{assert_ready, task};
use tower::service_fn;
use tower_service::Service;

const STEP: Duration = Duration::from_secs(1);

/// Three endpoints and a ramp of 20 and 50 %, each for a second and 5 successes.
fn world(policy: Policy) -> World {
    World::with(&[ok_after(2); 3], |config| {
        let steps = [0.2, 0.5].map(|share| Step::new(share, STEP, 5));
        let circuit = Settings::default().ramp(Some(Ramp::new(steps)));
        config.circuit(circuit).policy(policy)
    })
}

#[test]
fn answers_that_say_nothing_end_a_step_in_time_and_those_of_a_limit_do_not() {
    let steps = [0.2, 0.5].map(|share| Step::new(share, STEP, 5));
    let circuit = Settings::default().ramp(Some(Ramp::new(steps)));
    let pool = Aimed::with(3, 0.5, move |config| config.circuit(circuit));
    let handle = pool.router.handle();
    handle.eject("0");
    handle.restore("0");
    let mut given_after = |seconds| {
        pool.pass(seconds);
        pool.send(0, &"I".repeat(100));
        handle.snapshot().endpoints[0].given
    };
    assert_eq!([0, 9, 1].map(&mut given_after), [0.2, 0.2, 0.5]);
    assert_eq!([9, 1].map(&mut given_after), [0.5, 1.0]);

    let mut world = world(Policy::RoundRobin);
    world.handle().eject("0");
    world.handle().restore("0");
    world.backends[0].set(Mode::Status(429, Duration::from_millis(2)));
    world.load(4, 20 * STEP);
    assert_eq!(given(&world), 0.2);
}

/// The head has come, and the rest is read until its client has enough.
async fn stream(_: Request<()>) -> Result<Response<ScriptedBody>, Infallible> {
    Ok(Response::new(ScriptedBody::new().data("event").never()))
}

#[test]
fn streams_that_their_clients_leave_are_answers_that_say_nothing() {
    let time = ManualClock::new();
    let steps = [0.2, 0.5].map(|share| Step::new(share, STEP, 5));
    let config = Config::new("streams")
        .circuit(Settings::default().ramp(Some(Ramp::new(steps))))
        .clock(time.clock())
        .rng(Rng::seeded(5));
    let endpoint = |id: &'static str| Endpoint::new(id, service_fn(stream));
    let mut router = HealthRouter::new(config, [endpoint("old")]).unwrap();
    let both = ["old", "new"].map(endpoint);
    router.handle().update(both).unwrap();
    let mut given_after = |steps: u32| {
        for _ in 0..steps * 10 {
            for _ in 0..20 {
                let answer = task::spawn(router.call(request())).poll();
                drop(assert_ready!(answer).unwrap());
            }
            time.advance(STEP / 10);
        }
        router.handle().snapshot().endpoints[1].given
    };
    assert_eq!([9, 3, 13].map(&mut given_after), [0.2, 0.5, 1.0]);
}

fn given(world: &World) -> f64 {
    world.handle().snapshot().endpoints[0].given
}

/// What the first endpoint has of its fair share, second by second.
fn parts_of_its_share(world: &mut World, seconds: usize) -> Vec<f64> {
    let part = |_| world.load(4, STEP).share("0");
    let shares: Vec<f64> = (0..seconds).map(part).collect();
    shares.into_iter().map(|share| share * 3.0).collect()
}

fn rises(world: &mut World) {
    let parts = parts_of_its_share(world, 4);
    // What it is not given goes to the two others, which are given more than before.
    let expected = [0.2, 0.5, 1.0, 1.0].map(|share| 3.0 * share / (share + 2.0));
    for (part, expected) in parts.iter().zip(expected) {
        assert!((part - expected).abs() < 0.12, "{parts:?}");
    }
}

#[test]
fn who_is_restored_or_no_longer_held_rises_whatever_the_policy() {
    let policies = [
        Policy::ExpectedCost,
        Policy::RoundRobin,
        Policy::Random,
        Policy::WeightedRandom,
        Policy::LeastRequest,
    ];
    for policy in policies {
        let mut world = world(policy);
        world.load(4, STEP);
        world.handle().eject("0");
        world.load(4, STEP);
        world.handle().restore("0");
        assert!((given(&world) - 0.2).abs() < 1e-6);
        rises(&mut world);
        assert!((given(&world) - 1.0).abs() < 1e-6);
    }
    let mut world = world(Policy::ExpectedCost);
    world.backends[0].signal.publish(HealthStatus::Unhealthy);
    world.load(4, STEP);
    assert_eq!(
        world.handle().snapshot().endpoints[0].state,
        EndpointState::Held
    );
    world.backends[0].signal.publish(HealthStatus::Healthy);
    world.load(4, Duration::from_millis(30));
    rises(&mut world);
}

#[test]
fn a_newcomer_and_who_comes_again_rise_and_the_first_of_a_pool_do_not() {
    let mut world = world(Policy::ExpectedCost);
    let parts = parts_of_its_share(&mut world, 2);
    assert!(
        parts.iter().all(|part| (part - 1.0).abs() < 0.12),
        "{parts:?}"
    );
    let two = world.backends.iter().enumerate().skip(1).map(endpoint);
    world.handle().update(two).unwrap();
    world.load(4, STEP);
    let all = world.backends.iter().enumerate().map(endpoint);
    world.handle().update(all).unwrap();
    rises(&mut world);
}

#[test]
fn who_is_seldom_asked_is_not_held_up_for_ever() {
    let mut world = world(Policy::ExpectedCost);
    world.handle().eject("0");
    world.handle().restore("0");
    for _ in 0..200 {
        world.one_by_one(1);
        world.pass(STEP / 2);
    }
    assert!((given(&world) - 1.0).abs() < 1e-6, "{}", given(&world));
}

#[test]
fn where_all_rise_somebody_is_asked_all_the_same() {
    for policy in [Policy::ExpectedCost, Policy::Random] {
        let mut world = world(policy);
        for id in ["0", "1", "2"] {
            world.handle().eject(id);
        }
        for id in ["0", "1", "2"] {
            world.handle().restore(id);
        }
        let ended = world.load(4, STEP);
        assert_eq!(ended.total_bad(), 0);
        assert!((0.2..0.45).contains(&ended.share("0")), "{ended:?}");
    }
}

#[test]
fn who_went_rising_and_comes_to_a_pool_without_a_ramp_has_its_share() {
    let mut world = world(Policy::ExpectedCost);
    let all =
        |world: &World| -> Vec<_> { world.backends.iter().enumerate().map(endpoint).collect() };
    let two = |world: &World| all(world).into_iter().skip(1);
    world.handle().eject("0");
    world.handle().restore("0");
    world.load(4, STEP / 2);
    world.handle().update(two(&world)).unwrap();
    let config = Config::new("test").circuit(Settings::default().ramp(None));
    world.handle().reconfigure(config.picked(true)).unwrap();
    world.handle().update(all(&world)).unwrap();
    let parts = parts_of_its_share(&mut world, 2);
    assert!(parts.iter().all(|part| *part > 0.85), "{parts:?}");
}

#[test]
fn another_ramp_in_the_midst_of_one_ends_all_the_same() {
    let ramps = [None, Some(Ramp::new([Step::new(0.5, STEP, 5)]))];
    for ramp in ramps {
        let mut world = world(Policy::ExpectedCost);
        world.handle().eject("0");
        world.handle().restore("0");
        world.load(4, STEP * 3 / 2);
        let config = Config::new("test").circuit(Settings::default().ramp(ramp));
        world.handle().reconfigure(config.picked(true)).unwrap();
        world.load(4, STEP * 2);
        assert!((given(&world) - 1.0).abs() < 1e-6);
        let parts = parts_of_its_share(&mut world, 1);
        assert!(parts[0] > 0.85, "{parts:?}");
    }
}

#[test]
fn who_is_out_again_in_the_midst_of_its_ramp_begins_it_anew() {
    let mut world = world(Policy::ExpectedCost);
    world.handle().eject("0");
    world.handle().restore("0");
    world.load(4, STEP * 3 / 2);
    assert!((given(&world) - 0.5).abs() < 1e-6);
    world.handle().eject("0");
    assert!((given(&world) - 1.0).abs() < 1e-6, "it does not rise");
    world.load(4, STEP * 3);
    world.handle().restore("0");
    rises(&mut world);
}

#[test]
fn where_all_rise_the_cheapest_is_asked_all_the_same() {
    let mut world = world(Policy::ExpectedCost);
    world.load(4, STEP);
    for id in ["0", "1", "2"] {
        world.handle().eject(id);
    }
    for id in ["0", "1", "2"] {
        world.handle().restore(id);
    }
    world.backends[0].set(ok_after(400));
    world.load(1, STEP / 5);
    let before = world.backends[0].calls();
    world.load(1, STEP / 5);
    let asked = world.backends[0].calls() - before;
    assert!(asked < 40, "{asked} of 200");
}

#[test]
fn requests_that_others_failed_keep_to_the_ramp() {
    let mut world = world(Policy::ExpectedCost);
    world.handle().eject("0");
    world.handle().restore("0");
    let before = world.backends[0].calls();
    for _ in 0..3_000 {
        let mut request = request();
        request.extensions_mut().insert(Attempted::default());
        drop(world.router.call(request));
    }
    let part = (world.backends[0].calls() - before) as f64 / 1_000.0;
    assert!((part - 0.2).abs() < 0.1, "{part}");
}

#[test]
fn in_a_large_pool_of_which_all_are_on_their_way_back_each_bears_its_share() {
    let steps = [Step::new(0.01, STEP, 5)];
    let circuit = Settings::default().ramp(Some(Ramp::new(steps)));
    let time = ManualClock::new();
    let config = Config::new("test")
        .circuit(circuit)
        .clock(time.clock())
        .rng(Rng::seeded(1));
    let endpoints = (0..60).map(|it: u32| Endpoint::new(it.to_string(), ()));
    let pool = HealthRouter::new(config, endpoints).unwrap();
    for it in 0..60_u32 {
        pool.handle().eject(&it.to_string());
        pool.handle().restore(&it.to_string());
    }
    // By chance alone some would have fifteen and more.
    let held: Vec<_> = (0..600).map(|_| pool.try_acquire().unwrap()).collect();
    let shown = pool.handle().snapshot();
    let most = shown.endpoints.iter().map(|it| it.in_flight).max();
    assert!(most < Some(13), "{most:?} of {}", held.len());
}
