//! What a real Prometheus makes of what buttress exposes; `run.sh` beside this file starts it.
//!
//! Two of them scrape the same two services: one asks for `OpenMetrics`, one for protobuf. The
//! services are the gateway's demo and a recorder whose durations are known.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what fails here fails the check, and is to be read"
)]

mod dashboards;
mod known;
mod promtool;
mod server;

use std::net::SocketAddr;
use std::time::Duration;

use buttress::telemetry::Metrics;
use buttress_gateway::demo::Demo;
use buttress_gateway::gateway::Gateway;
use buttress_gateway::server::Drain;

use tower::Service;

use known::Known;
use server::Prometheus;

/// How far a quantile may be off.
const TOLERANCE: f64 = 0.01;
const DURATION: &str = "http_server_request_duration_seconds";

#[tokio::main]
async fn main() {
    let known = Known::record();
    let known_at = serve(known.metrics()).await;
    let drain = Drain::new();
    let demo = Demo::start().await.unwrap();
    let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let config = demo.config(free, free);
    let gateway = Gateway::bind(&config, drain.clone()).await.unwrap();
    let (traffic_to, gateway_at) = (gateway.address(), gateway.admin_address());
    tokio::spawn(gateway.run());
    let _traffic = demo.send_traffic(traffic_to);

    let targets = [("known", known_at), ("gateway", gateway_at)];
    let text = Prometheus::start("openmetrics", &targets, &["exemplar-storage"]).await;
    let features = ["exemplar-storage", "native-histograms"];
    let native = Prometheus::start("protobuf", &targets, &features).await;
    for prometheus in [&text, &native] {
        prometheus.has("up == 1", 2).await;
        // By then the gateway's histograms have something in them.
        let served = "sum(buttress_endpoint_picks_total{job=\"gateway\"}) > 100";
        prometheus.has(served, 1).await;
        states_are_there(prometheus).await;
        exemplars_are_there(prometheus, known.traced()).await;
    }
    classic_counts_are_exact(&text, &known).await;
    native_quantiles_agree(&native, &known).await;
    what_is_out_of_range_is_there(&text, &native).await;
    demo_is_the_same_both_ways(&text, &native).await;
    // The other one keeps no classic series, which the dashboards are made of.
    dashboards::are_answered(&text).await;
    for (name, address) in targets {
        promtool::is_silent(name, address).await;
    }
    println!("all of it agrees");
}

async fn serve(metrics: Metrics) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = buttress::admin::Admin::new().metrics(move |headers| metrics.page(headers));
    let admin = admin.build();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let admin = admin.clone();
            let service = hyper::service::service_fn(move |request| admin.clone().call(request));
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    address
}

/// A rule on a state holds whatever form is scraped.
async fn states_are_there(prometheus: &Prometheus) {
    let states = "count(buttress_breaker_state{job=\"gateway\",state=\"closed\"})";
    assert_eq!(prometheus.number(states).await, 1.0, "{}", prometheus.name);
    let one = "sum by (breaker) (buttress_breaker_state{job=\"gateway\"})";
    assert_eq!(prometheus.number(one).await, 1.0, "{}", prometheus.name);
}

async fn exemplars_are_there(prometheus: &Prometheus, traced: &str) {
    let seen = prometheus.exemplars(DURATION).await;
    assert!(seen.contains(traced), "{}: {seen}", prometheus.name);
}

async fn classic_counts_are_exact(prometheus: &Prometheus, known: &Known) {
    for (le, expected) in known.classic() {
        let query = format!("{DURATION}_bucket{{http_route=\"/known\",le=\"{le:?}\"}}");
        let shown = prometheus.number(&query).await;
        assert_eq!(shown, expected as f64, "at or below {le} s");
    }
    let count = format!("{DURATION}_count{{http_route=\"/known\"}}");
    assert_eq!(prometheus.number(&count).await, known.count() as f64);
    println!("classic: every count is exact");
}

async fn native_quantiles_agree(prometheus: &Prometheus, known: &Known) {
    let series = format!("{DURATION}{{http_route=\"/known\"}}");
    let count = prometheus
        .number(&format!("histogram_count({series})"))
        .await;
    assert_eq!(count, known.count() as f64);
    let sum = prometheus.number(&format!("histogram_sum({series})")).await;
    assert!(
        (sum / known.sum() - 1.0).abs() < 1e-9,
        "{sum} {}",
        known.sum()
    );
    for q in [0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999] {
        let query = format!("histogram_quantile({q}, {series})");
        let (shown, exact) = (prometheus.number(&query).await, known.quantile(q));
        let off = shown / exact - 1.0;
        println!(
            "native: P{} is {exact:.6} s, shown as {shown:.6} s, off by {:+.2} %",
            q * 100.0,
            off * 100.0
        );
        assert!(
            off.abs() <= TOLERANCE,
            "P{q}: {shown} shown, {exact} recorded"
        );
    }
}

/// Too short and too long for any bucket is counted all the same.
async fn what_is_out_of_range_is_there(text: &Prometheus, native: &Prometheus) {
    let odd = "{http_route=\"/odd\"}";
    let infinite = format!("{DURATION}_bucket{{http_route=\"/odd\",le=\"+Inf\"}}");
    assert_eq!(text.number(&infinite).await, 5.0);
    let count = format!("histogram_count({DURATION}{odd})");
    assert_eq!(native.number(&count).await, 5.0);
    let longest = format!("histogram_quantile(1, {DURATION}{odd})");
    assert_eq!(native.number(&longest).await, f64::INFINITY);
    let shortest = format!("histogram_quantile(0.2, {DURATION}{odd}) < 1e-6");
    native.has(&shortest, 1).await;
}

/// The demo goes on while it is scraped, so that only whether there is something is compared.
async fn demo_is_the_same_both_ways(text: &Prometheus, native: &Prometheus) {
    let classic = format!("sum({DURATION}_count{{job=\"gateway\"}}) > 100");
    text.has(&classic, 1).await;
    let counted = format!("sum(histogram_count({DURATION}{{job=\"gateway\"}})) > 100");
    native.has(&counted, 1).await;
    let quantiles =
        "count(buttress_http_request_duration_quantile_seconds{q=\"0.5\",window=\"10s\"}) > 0";
    for prometheus in [text, native] {
        prometheus.has(quantiles, 1).await;
    }
    let names = "count(count by (__name__) ({__name__=~\"buttress_.*\",job=\"gateway\"}))";
    let (text, native) = (text.number(names).await, native.number(names).await);
    println!("demo: {text} names of buttress' own as OpenMetrics, {native} as protobuf");
}

/// Spares the machine while another process is waited for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Waits for `what` with a bound.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let mut looks = tokio::time::interval(BETWEEN_LOOKS);
    let waited = async {
        loop {
            looks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    let bounded = tokio::time::timeout(Duration::from_secs(60), waited).await;
    bounded.unwrap_or_else(|_| panic!("a minute has passed without this: {what}"))
}
