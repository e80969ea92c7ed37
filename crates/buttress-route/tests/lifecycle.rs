//! Every exit of a request gives everything back, and tells nothing that is not so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::readying::Waits;
use buttress_core::reject::Rejected;
use buttress_route::{Config, Endpoint, EndpointSnapshot, EndpointState, HealthRouter, Picked};
use buttress_testing::{ContractProbe, Scripted, ScriptedBody, drop_at_every_poll};
use bytes::Bytes;
use common::{Backend, Mode, World, endpoint, ok_after, request};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower_service::Service;

fn shown(world: &World, id: &str) -> EndpointSnapshot {
    world.handle().snapshot().endpoint(id).unwrap().clone()
}

#[test]
fn cancelled_requests_leave_nothing_in_flight_and_the_state_as_it_was() {
    let mut world = World::new(&[Mode::Hang, Mode::Hang]);
    world.load(5, Duration::from_millis(100));
    world.cancel_all();
    for id in ["0", "1"] {
        let endpoint = shown(&world, id);
        assert_eq!(endpoint.in_flight, 0);
        assert_eq!(endpoint.state, EndpointState::Active);
        assert_eq!(endpoint.outcomes.abandoned, endpoint.picks);
        assert_eq!(endpoint.outcomes.failure, 0);
    }
}

#[test]
fn dropped_at_any_poll_a_request_is_abandoned_and_gives_its_place_back() {
    type Script = Scripted<Response<Full<Bytes>>, &'static str>;
    let time = ManualClock::new();
    let script = Script::new();
    let config = Config::default().clock(time.clock());
    let mut router = HealthRouter::new(config, [Endpoint::new("a", script.clone())]).unwrap();
    let handle = router.handle();
    let drops = drop_at_every_poll(
        || {
            let answer = Ok(Response::new(Full::default()));
            let _ = script.clone().after_yields(3, answer);
            Service::<Request<()>>::call(&mut router, request())
        },
        |_| assert_eq!(handle.snapshot().endpoints[0].in_flight, 0),
    );
    let endpoint = handle.snapshot().endpoints[0].clone();
    assert!(drops >= 3);
    assert_eq!(endpoint.in_flight, 0);
    assert_eq!(endpoint.outcomes.abandoned, drops as u64);
    assert_eq!(endpoint.outcomes.success, 1);
}

#[test]
fn a_request_is_in_flight_until_its_body_has_ended() {
    let script = Scripted::<_, &'static str>::new().ok(Response::new(Full::from("hello")));
    let endpoint = Endpoint::new("a", script);
    let mut router: HealthRouter<Scripted<Response<Full<Bytes>>, _>> =
        HealthRouter::new(Config::default(), [endpoint]).unwrap();
    let handle = router.handle();
    let mut call = tokio_test::task::spawn(router.call(request()));
    let response = tokio_test::assert_ready!(call.poll()).unwrap();
    assert_eq!(handle.snapshot().endpoints[0].in_flight, 1);
    let mut collect = tokio_test::task::spawn(response.into_body().collect());
    tokio_test::assert_ready!(collect.poll()).unwrap();
    assert_eq!(handle.snapshot().endpoints[0].in_flight, 0);
    assert_eq!(handle.snapshot().endpoints[0].outcomes.success, 1);
}

#[test]
fn a_panicking_endpoint_is_charged_and_others_are_still_served() {
    for mode in [Mode::PanicInCall, Mode::PanicInPoll] {
        let mut world = World::new(&[mode, ok_after(1)]);
        let mut panics = 0;
        for _ in 0..200 {
            let caught = catch_unwind(AssertUnwindSafe(|| world.one_by_one(1)));
            panics += u64::from(caught.is_err());
            world.cancel_all();
        }
        let endpoint = shown(&world, "0");
        assert_eq!((panics, endpoint.outcomes.failure), (5, 5));
        assert_eq!(endpoint.in_flight, 0);
        assert_eq!(endpoint.state, EndpointState::Ejected);
        assert_eq!(shown(&world, "1").outcomes.success, 195);
    }
}

#[test]
fn an_endpoint_that_never_becomes_ready_costs_a_wait_with_an_end_and_is_thrown_out() {
    let mut world = World::with(&[Mode::NotReady, ok_after(1)], |config| {
        config.ready_deadline(Duration::from_secs(1))
    });
    let ended = world.load(2, Duration::from_secs(6));
    let endpoint = shown(&world, "0");
    assert_ne!(endpoint.state, EndpointState::Active);
    assert_eq!(endpoint.ejections[0], ("consecutive_failures", 1));
    assert_eq!(world.backends[0].calls(), 0);
    assert_eq!(ended.bad.get("0"), Some(&endpoint.outcomes.failure));
    assert!(endpoint.picks < 20, "{}", endpoint.picks);
}

#[test]
fn the_answer_for_an_endpoint_that_is_not_ready_is_marked_as_ours() {
    let mut world = World::new(&[Mode::NotReady]);
    let mut call = tokio_test::task::spawn(world.router.call(request()));
    tokio_test::assert_pending!(call.poll());
    world.time.advance(Duration::from_secs(5));
    assert!(call.is_woken());
    let response = tokio_test::assert_ready!(call.poll()).unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let rejected = response.extensions().get::<Rejected>().unwrap();
    assert_eq!((rejected.by, rejected.reason), ("route", "not_ready"));
    drop(response);
}

#[test]
fn an_empty_pool_answers_at_once_with_a_marked_refusal() {
    let mut world = World::new(&[]);
    let mut call = tokio_test::task::spawn(world.router.call(request()));
    let response = tokio_test::assert_ready!(call.poll()).unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    let rejected = response.extensions().get::<Rejected>().unwrap();
    assert_eq!((rejected.by, rejected.reason), ("route", "no_endpoint"));
}

#[test]
fn a_refusal_from_inside_an_endpoint_is_nobodys_failure() {
    type Script = Scripted<Response<Full<Bytes>>, &'static str>;
    let script = Script::new();
    let mut router =
        HealthRouter::new(Config::default(), [Endpoint::new("a", script.clone())]).unwrap();
    for _ in 0..20 {
        let refusal = Rejected::new("limit", "full").into_response(false, Full::default());
        let _ = script.clone().ok(refusal);
        let mut call = tokio_test::task::spawn(router.call(request()));
        tokio_test::assert_ready!(call.poll()).unwrap();
    }
    let endpoint = router.handle().snapshot().endpoints[0].clone();
    assert_eq!(endpoint.outcomes.ignored, 20);
    assert_eq!(endpoint.state, EndpointState::Active);
}

#[test]
fn the_response_says_which_endpoint_gave_it() {
    let mut world = World::new(&[ok_after(0)]);
    let mut call = tokio_test::task::spawn(world.router.call(request()));
    let response = tokio_test::assert_ready!(call.poll()).unwrap();
    let picked: &Picked = response.extensions().get().unwrap();
    assert_eq!((&*picked.endpoint, picked.probe), ("0", false));
    assert_eq!(picked.pool, world.router.handle().snapshot().pool);
}

#[test]
fn the_response_says_nothing_of_its_endpoint_unless_that_is_asked_for() {
    let mut world = World::with(&[ok_after(0)], |config| config.picked(false));
    let mut call = tokio_test::task::spawn(world.router.call(request()));
    let response = tokio_test::assert_ready!(call.poll()).unwrap();
    assert_eq!(response.extensions().get::<Picked>(), None);
}

#[test]
fn an_endpoint_that_is_not_ready_in_the_call_wakes_the_task_that_waits_for_it() {
    type Script = Scripted<Response<Full<Bytes>>, &'static str>;
    let script = Script::new().ok(Response::new(Full::default()));
    script.hold_readiness();
    let endpoint = Endpoint::new("a", script.clone());
    let config = Config::default().clock(ManualClock::new().clock());
    let mut router = HealthRouter::new(config, [endpoint]).unwrap();
    let before = Waits::so_far();
    let told = || Waits::so_far().since(before);
    let mut call = tokio_test::task::spawn(Service::call(&mut router, request()));
    tokio_test::assert_pending!(call.poll());
    assert_eq!((script.calls(), told()), (0, (1, 0)));
    script.release_readiness();
    assert!(call.is_woken());
    assert!(tokio_test::assert_ready!(call.poll()).is_ok());
    assert_eq!(
        told(),
        (1, 1),
        "whoever measures the request knows of the wait"
    );
}

#[test]
fn an_update_keeps_what_is_known_of_the_endpoints_that_stay() {
    let mut world = World::new(&[Mode::Status(500, Duration::ZERO), ok_after(5)]);
    world.load(2, Duration::from_millis(500));
    world.backends[1].set(Mode::Hang);
    world.start();
    world.pass(Duration::from_millis(20));
    let before = (shown(&world, "0"), shown(&world, "1"));
    assert_eq!(before.0.state, EndpointState::Ejected);
    assert_eq!(before.1.in_flight, 1);
    let newcomer = Backend::new(&world.time, ok_after(1));
    let old = world.backends.iter().enumerate().map(endpoint);
    let all: Vec<_> = old.chain([endpoint((2, &newcomer))]).collect();
    world.handle().update(all).unwrap();
    let after = (shown(&world, "0"), shown(&world, "1"));
    assert_eq!(
        (&after.0.outcomes, after.0.since),
        (&before.0.outcomes, before.0.since)
    );
    assert_eq!(
        (after.0.state, after.1.in_flight),
        (EndpointState::Ejected, 1)
    );
    world.cancel_all();
    assert_eq!(shown(&world, "1").in_flight, 0);
}

#[test]
fn an_update_that_shrinks_the_pool_lets_back_what_the_budget_no_longer_bears() {
    let mut world = World::new(&[Mode::Refuse, Mode::Refuse, ok_after(1), ok_after(1)]);
    world.load(4, Duration::from_millis(500));
    assert_eq!(shown(&world, "0").state, EndpointState::Ejected);
    assert_eq!(shown(&world, "1").state, EndpointState::Ejected);
    let two: Vec<_> = world
        .backends
        .iter()
        .enumerate()
        .take(2)
        .map(endpoint)
        .collect();
    world.handle().update(two).unwrap();
    let states = [shown(&world, "0").state, shown(&world, "1").state];
    let out = states
        .iter()
        .filter(|it| **it == EndpointState::Ejected)
        .count();
    assert_eq!(out, 1);
}

#[test]
fn two_endpoints_of_one_identity_are_refused_and_nothing_changes() {
    let world = World::new(&[ok_after(1), ok_after(1)]);
    let twin = || endpoint((0, &world.backends[0]));
    let error = world.handle().update([twin(), twin()]).unwrap_err();
    assert_eq!(error.field(), "endpoints");
    assert_eq!(world.handle().snapshot().endpoints.len(), 2);
}

#[test]
fn a_new_configuration_is_in_force_at_once_and_loses_no_state() {
    let mut world = World::new(&[Mode::Refuse, ok_after(1)]);
    world.load(2, Duration::from_millis(200));
    let before = shown(&world, "0");
    assert_eq!(before.state, EndpointState::Ejected);
    let config = Config::new("another name").ready_deadline(Duration::from_secs(9));
    world.handle().reconfigure(config).unwrap();
    assert_eq!(
        world.handle().config().ready_deadline,
        Duration::from_secs(9)
    );
    assert_eq!(&*world.handle().config().pool, "test");
    assert_eq!(shown(&world, "0").retry_after, before.retry_after);
    let wrong = Config::default().max_ejected(2.0);
    assert_eq!(
        world.handle().reconfigure(wrong).unwrap_err().field(),
        "max_ejected"
    );
}

#[test]
fn the_endpoint_that_was_polled_ready_is_the_one_that_is_called() {
    type Script = Scripted<Response<Full<Bytes>>, &'static str>;
    let script = Script::new();
    let endpoint = Endpoint::new("a", ContractProbe::new(script.clone()));
    let mut router = HealthRouter::new(Config::default(), [endpoint]).unwrap();
    for _ in 0..5 {
        let _ = script.clone().ok(Response::new(Full::default()));
        // The probe panics if it is called before it was polled ready.
        let mut call = tokio_test::task::spawn(router.call(request()));
        tokio_test::assert_ready!(call.poll()).unwrap();
    }
    assert_eq!(script.calls(), 5);
}

#[test]
fn an_endpoint_of_endless_streams_is_let_back_at_the_deadlines_of_its_probes() {
    let (time, broken) = (ManualClock::new(), Arc::new(AtomicBool::new(true)));
    let stream = {
        let broken = Arc::clone(&broken);
        tower::service_fn(move |_: Request<()>| {
            let status = if broken.load(Ordering::Relaxed) {
                500
            } else {
                200
            };
            let stream = Response::builder().status(status);
            std::future::ready(stream.body(ScriptedBody::new().never()))
        })
    };
    let endpoints = ["a", "b"].map(|id| Endpoint::new(id, stream.clone()));
    let config = Config::new("streams").clock(time.clock());
    let mut router = HealthRouter::new(config, endpoints).unwrap();
    let mut send =
        || tokio_test::assert_ready!(tokio_test::task::spawn(router.call(request())).poll());
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(send());
    }
    broken.store(false, Ordering::Relaxed);
    for _ in 0..100 {
        time.advance(Duration::from_secs(1));
        open.push(send());
    }
    let snapshot = router.handle().snapshot();
    let states = snapshot.endpoints.iter().map(|it| it.state);
    assert_eq!(states.collect::<Vec<_>>(), [EndpointState::Active; 2]);
    assert!(
        snapshot
            .endpoints
            .iter()
            .any(|it| it.ejections.iter().any(|rule| rule.1 > 0))
    );
}
