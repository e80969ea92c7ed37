//! What fails is thrown out or cut off, and comes back.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

use std::net::SocketAddr;
use std::time::Duration;

use buttress::core::circuit::State;
use buttress::core::clock::ManualClock;
use buttress::core::health::HealthStatus;
use buttress::route::EndpointState;
use buttress_gateway::rooms::health_of;
use buttress_testing::{Behaviour, FakeUpstream};
use buttress_tests::Stand;
use http::StatusCode;

const BROKEN: Behaviour = Behaviour::Status(StatusCode::INTERNAL_SERVER_ERROR);
const WELL: Behaviour = Behaviour::Status(StatusCode::OK);
/// Longer than any open time of these configurations.
const LONG: Duration = Duration::from_secs(120);

async fn upstreams<const N: usize>() -> ([FakeUpstream; N], Vec<SocketAddr>) {
    let mut all = Vec::new();
    for _ in 0..N {
        all.push(FakeUpstream::start().await);
    }
    let addresses = all.iter().map(FakeUpstream::addr).collect();
    (all.try_into().unwrap(), addresses)
}

/// Sends requests one after the other, a moment apart on the gateway's clock; how many were good.
async fn send(time: &ManualClock, stand: &Stand, requests: usize) -> usize {
    let client = stand.client();
    let mut good = 0;
    for _ in 0..requests {
        time.advance(Duration::from_millis(5));
        good += usize::from(client.get("/").await.status == StatusCode::OK);
    }
    good
}

#[tokio::test]
async fn a_failing_endpoint_is_thrown_out_traffic_moves_and_it_comes_back() {
    let ([first, second, third], addresses) = upstreams().await;
    let time = ManualClock::new();
    let stand = Stand::on(&time, &Stand::one_route(&addresses, "", "")).await;
    let bad = addresses[1].to_string();
    let state = || {
        stand.rooms.pools[0]
            .router
            .snapshot()
            .endpoint(&bad)
            .unwrap()
            .state
    };

    assert_eq!(send(&time, &stand, 90).await, 90);
    assert!(
        [&first, &second, &third]
            .iter()
            .all(|each| each.requests() > 10)
    );

    second.set(BROKEN);
    // In less time than it is left alone for, together with those below.
    let good = send(&time, &stand, 60).await;
    assert!(
        good >= 55,
        "it failed {} requests before it was out",
        60 - good
    );
    assert_eq!(state(), EndpointState::Ejected);
    let thrown_out_at = second.requests();
    assert_eq!(send(&time, &stand, 100).await, 100);
    assert_eq!(
        second.requests(),
        thrown_out_at,
        "it was sent traffic while it was out"
    );

    second.set(WELL);
    time.advance(LONG);
    assert_eq!(send(&time, &stand, 100).await, 100);
    assert_eq!(state(), EndpointState::Active);
    // Its traffic comes back step by step.
    assert_eq!(send(&time, &stand, 600).await, 600);
    let back_at = second.requests();
    assert_eq!(send(&time, &stand, 300).await, 300);
    let share = second.requests() - back_at;
    assert!(share > 50, "it is back, and got {share} of 300");
}

#[tokio::test]
async fn a_probe_that_fails_keeps_the_endpoint_out_at_the_cost_of_one_request() {
    let ([_first, second, _third], addresses) = upstreams().await;
    let time = ManualClock::new();
    let stand = Stand::on(&time, &Stand::one_route(&addresses, "", "")).await;
    second.set(BROKEN);
    send(&time, &stand, 200).await;
    let out_at = second.requests();
    time.advance(LONG);
    assert!(send(&time, &stand, 200).await >= 199);
    assert_eq!(second.requests(), out_at + 1);
}

#[tokio::test]
async fn a_route_whose_endpoints_all_fail_trips_its_breaker_and_recovers() {
    let ([first, second], addresses) = upstreams().await;
    let time = ManualClock::new();
    let stand = Stand::on(&time, &Stand::one_route(&addresses, "", "")).await;
    let breaker = &stand.rooms.route("all").unwrap().breaker;
    let served = || first.requests() + second.requests();

    first.set(BROKEN);
    second.set(BROKEN);
    assert_eq!(send(&time, &stand, 60).await, 0);
    assert_eq!(breaker.snapshot().state, State::Open);
    assert!(breaker.snapshot().verdict.is_some());

    let before = served();
    let refused = stand.client().get("/").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=7).contains(&wait), "{wait}");
    let problem: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(
        problem["correlation_id"].as_str(),
        refused.header("x-correlation-id")
    );
    assert_eq!(served(), before, "an open breaker let a request through");

    first.set(WELL);
    second.set(WELL);
    time.advance(LONG);
    let good = send(&time, &stand, 50).await;
    assert!(
        (4..20).contains(&good),
        "{good} of 50 at 5 % and two probes"
    );
    assert_eq!(breaker.snapshot().state, State::Ramping);
    for _ in 0..40 {
        time.advance(Duration::from_millis(200));
        assert_eq!(
            send(&time, &stand, 1).await,
            1,
            "who calls seldom is served"
        );
    }
    assert_eq!(breaker.snapshot().state, State::Closed);
    assert_eq!(send(&time, &stand, 50).await, 50);
    let pool = stand.rooms.pools[0].router.snapshot();
    assert_eq!(health_of(&pool), HealthStatus::Healthy);
}

#[tokio::test]
async fn every_change_is_told_with_its_evidence_on_the_admin_pages() {
    let ([first, second], addresses) = upstreams().await;
    let time = ManualClock::new();
    let stand = Stand::on(&time, &Stand::one_route(&addresses, "", "")).await;
    first.set(BROKEN);
    send(&time, &stand, 60).await;
    second.set(BROKEN);
    send(&time, &stand, 60).await;

    let status = stand.status().await;
    let verdict = status["breakers"][0]["verdict"].as_str().unwrap();
    assert!(
        verdict.contains("opened for") && verdict.contains("calls"),
        "{verdict}"
    );
    let endpoints = status["pools"][0]["endpoints"].as_array().unwrap();
    assert!(
        endpoints.iter().all(|each| each["verdict"].is_string()),
        "{status}"
    );

    let metrics = stand.metrics().await;
    let open = [("breaker", "all"), ("buttress_breaker_state", "open")];
    let state = metrics.all("buttress_breaker_state", &open[..1]);
    assert!(
        state
            .iter()
            .any(|s| s.value > 0.0 && s.labels.values().any(|v| v == "open"))
    );
    assert!(
        metrics
            .sum("buttress_endpoint_ejections_total", &[])
            .unwrap()
            >= 1.0
    );
    assert!(
        metrics
            .sum("buttress_breaker_transitions_total", &[("to", "open")])
            .unwrap()
            >= 1.0
    );
    let health = stand.page("/health").await;
    assert_eq!(health.status, 503, "nothing serves: {}", health.text());
    assert!(
        health.text().contains("endpoints do not serve"),
        "{}",
        health.text()
    );
    assert_eq!(stand.page("/health/live").await.status, 200);
    assert_eq!(stand.page("/health/ready").await.status, 200);
}
