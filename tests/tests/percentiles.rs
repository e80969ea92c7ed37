//! What `/metrics` says of latency is what happened.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "what fails here fails a test"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::latency;
use buttress_gateway::stack::Seams;
use buttress_testing::FakeUpstream;
use buttress_tests::Stand;

const REQUESTS: usize = 4_000;

type Durations = Arc<Mutex<Vec<Duration>>>;

fn observed() -> (Seams, Durations) {
    let durations = Durations::default();
    let seen = Arc::clone(&durations);
    let latency = latency::Config::new()
        .observe(move |exchange| seen.lock().unwrap().push(exchange.duration));
    (
        Seams {
            latency,
            ..Seams::default()
        },
        durations,
    )
}

/// The smallest duration that at least a share `q` of all are not above.
fn exact(sorted: &[Duration], q: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank"
    )]
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted[rank.max(1) - 1].as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn percentiles_agree_with_the_durations_of_the_same_requests() {
    let upstream = FakeUpstream::start().await;
    let (seams, durations) = observed();
    let stand = Stand::with(seams, &Stand::one_route(&[upstream.addr()], "", "")).await;
    let client = stand.client();
    let clients = (0..8).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            for _ in 0..REQUESTS / 8 {
                client.get("/").await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let seen = Arc::clone(&durations);
    buttress_tests::until("every exchange is recorded", || {
        seen.lock().unwrap().len() == REQUESTS
    })
    .await;

    let metrics = stand.metrics().await;
    let mut sorted = durations.lock().unwrap().clone();
    sorted.sort_unstable();
    for q in ["0.5", "0.9", "0.95", "0.99", "0.999"] {
        let labels = [
            ("route", "all"),
            ("q", q),
            ("window", "300s"),
            ("status_class", "2xx"),
        ];
        let shown = metrics
            .sum("buttress_http_request_duration_quantile_seconds", &labels)
            .unwrap();
        let exact = exact(&sorted, q.parse().unwrap());
        let error = (shown / exact - 1.0).abs();
        assert!(
            error <= 0.006,
            "P{q}: {shown} shown, {exact} observed, {error} off"
        );
    }
    agrees_bucket_by_bucket(&metrics, &sorted);
}

fn agrees_bucket_by_bucket(metrics: &buttress_tests::Metrics, sorted: &[Duration]) {
    let buckets = metrics.all(
        "http_server_request_duration_seconds_bucket",
        &[("http_route", "all")],
    );
    assert!(buckets.len() > 10);
    for bucket in buckets {
        let le: f64 = bucket.labels["le"].parse().unwrap();
        let at_or_below = sorted
            .iter()
            .filter(|each| each.as_secs_f64() <= le)
            .count();
        assert_eq!(bucket.value, at_or_below as f64, "le {le}");
    }
    let count = metrics
        .sum("http_server_request_duration_seconds_count", &[])
        .unwrap();
    assert_eq!(count, sorted.len() as f64);
}
