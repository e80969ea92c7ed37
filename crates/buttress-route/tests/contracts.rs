//! The router as a Tower service: auto traits, readiness, and other layers inside and outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use buttress_core::classify::HttpStatus;
use buttress_core::clock::Clock;
use buttress_core::metric::{Collect, Kind, Value};
use buttress_route::{Config, Endpoint, EndpointState, HealthRouter, ResponseFuture, RouterHandle};
use buttress_testing::auto_traits::{assert_clone, assert_send, assert_sync};
use common::{Backend, Mode, World, endpoint, fails_after, ok_after, request};
use http_body_util::BodyExt;
use tower::limit::ConcurrencyLimit;
use tower::{Service, ServiceBuilder, ServiceExt};

#[test]
fn routers_handles_and_futures_have_the_auto_traits_of_what_they_wrap() {
    assert_send::<HealthRouter<Backend>>();
    assert_sync::<HealthRouter<Backend>>();
    assert_clone::<HealthRouter<Backend>>();
    assert_send::<RouterHandle<Backend>>();
    assert_sync::<RouterHandle<Backend>>();
    assert_send::<ResponseFuture<Backend, (), HttpStatus>>();
}

#[test]
fn a_router_is_ready_whatever_its_endpoints_are() {
    for modes in [&[][..], &[Mode::NotReady], &[Mode::Hang]] {
        let mut world = World::new(modes);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(world.router.poll_ready(&mut cx).is_ready());
    }
}

#[test]
fn under_a_concurrency_limit_inside_an_endpoint_nothing_panics_and_all_are_served() {
    let world = World::new(&[ok_after(5), ok_after(5)]);
    let limited = |(index, backend): (usize, &Backend)| {
        Endpoint::new(index.to_string(), ConcurrencyLimit::new(backend.clone(), 2))
    };
    let config = Config::default().clock(world.time.clock());
    let mut router =
        HealthRouter::new(config, world.backends.iter().enumerate().map(limited)).unwrap();
    let calls = (0..40).map(|_| tokio_test::task::spawn(router.call(request())));
    let mut calls: Vec<_> = calls.collect();
    let mut served = 0;
    for _ in 0..200 {
        calls.retain_mut(|call| match call.poll() {
            std::task::Poll::Ready(response) => {
                served += u32::from(response.unwrap().status().is_success());
                false
            }
            std::task::Poll::Pending => true,
        });
        world.time.advance(Duration::from_millis(1));
    }
    assert_eq!(served, 40);
    let snapshot = router.handle().snapshot();
    assert!(snapshot.endpoints.iter().all(|it| it.in_flight == 0));
}

#[tokio::test(start_paused = true)]
async fn under_limits_buffers_and_load_shedding_outside_it_serves() {
    let world = World::new(&[Mode::Status(200, Duration::ZERO), Mode::Refuse]);
    let router = world.router.clone();
    let mut service = ServiceBuilder::new()
        .load_shed()
        .buffer(16)
        .concurrency_limit(4)
        .service(router);
    let mut served = 0;
    for _ in 0..50 {
        if let Ok(response) = service.ready().await.unwrap().call(request()).await {
            response.into_body().collect().await.unwrap();
            served += 1;
        }
    }
    assert!(served >= 45, "{served}");
}

#[tokio::test(start_paused = true)]
async fn on_the_default_clock_a_wait_for_readiness_ends_by_the_runtimes_timer() {
    let world = World::new(&[Mode::NotReady]);
    let config = Config::default().clock(Clock::default());
    let mut router =
        HealthRouter::new(config, world.backends.iter().enumerate().map(endpoint)).unwrap();
    let response = router.call(request()).await.unwrap();
    assert_eq!(response.status(), 503);
}

#[test]
fn clones_share_one_pool_on_many_threads() {
    let world = World::new(&[ok_after(0), ok_after(0), ok_after(0)]);
    let handle = world.handle();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let mut router = world.router.clone();
                scope.spawn(move || {
                    for _ in 0..5_000 {
                        let mut call = tokio_test::task::spawn(router.call(request()));
                        assert!(call.poll().is_ready());
                    }
                })
            })
            .collect();
        let stopped = Arc::clone(&stop);
        let (handle, backends) = (handle.clone(), &world.backends);
        scope.spawn(move || {
            let mut n = 0;
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                n = n % 3 + 1;
                let some = backends.iter().enumerate().take(n).map(endpoint);
                handle.update(some.collect::<Vec<_>>()).unwrap();
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let snapshot = handle.snapshot();
    assert!(snapshot.endpoints.iter().all(|it| it.in_flight == 0));
    let calls: u64 = world.backends.iter().map(Backend::calls).sum();
    assert_eq!(calls, 20_000);
}

#[test]
fn metrics_show_every_endpoint_from_birth_and_what_was_done_with_it() {
    let mut world = World::new(&[fails_after(1), ok_after(1)]);
    let families = |world: &World| {
        let mut families = Vec::new();
        world.handle().collect(&mut families);
        families
    };
    let born = families(&world);
    let names: Vec<_> = born.iter().map(|it| it.name).collect();
    assert_eq!(
        names,
        [
            "buttress_endpoint_state",
            "buttress_endpoint_weight",
            "buttress_endpoint_in_flight",
            "buttress_endpoint_picks",
            "buttress_endpoint_calls",
            "buttress_endpoint_ejections",
            "buttress_endpoint_ejections_suppressed",
            "buttress_endpoint_shunned",
            "buttress_endpoint_probes",
            "buttress_pool_slowdown",
            "buttress_pool_in_turn",
        ]
    );
    let (of_endpoints, of_pool) = born.split_at(born.len() - 2);
    assert!(of_pool.iter().all(|it| it.points.len() == 1));
    assert!(of_endpoints.iter().all(|it| it.points.len() >= 2));
    assert_eq!(born[0].kind, Kind::StateSet);
    let labels: Vec<_> = born[0].points[0].labels.iter().map(|it| it.0).collect();
    assert_eq!(labels, ["pool", "endpoint"]);
    world.load(1, Duration::from_secs(1));
    let later = families(&world);
    let ejected = EndpointState::Ejected.index();
    assert!(matches!(later[0].points[0].value, Value::State { current, .. } if current == ejected));
    let failed = &later[4].points[1];
    assert_eq!(failed.labels[2], ("outcome", "failure".into()));
    assert!(matches!(failed.value, Value::Counter(5..)));
    let by_rule = &later[5].points[0];
    assert_eq!(by_rule.labels[2], ("rule", "consecutive_failures".into()));
    assert_eq!(by_rule.value, Value::Counter(1));
}
