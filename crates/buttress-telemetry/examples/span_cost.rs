//! What a span costs a request: a server span with a client span inside, as a gateway makes them.
//!
//! ```sh
//! cargo run --release -p buttress-telemetry --features otlp --example span_cost
//! ```
//!
//! Rounds of all cases in turn, each in a process of its own; of each the least is shown, in nanoseconds a request. `bare` is the
//! same service without the layers. The collector refuses: what is sampled is queued, dropped and counted.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::io;
use std::process::Command;
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_telemetry::{Config, ServerSpanLayer, Tail, TracePropagateLayer};
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service, ServiceExt};

type Body = Empty<bytes::Bytes>;

const REQUESTS: u32 = 20_000;
const ROUNDS: u32 = 8;
const CASES: [&str; 5] = [
    "bare",
    "no exporter",
    "sampled 0",
    "sampled 0, tail",
    "sampled 1",
];

#[derive(Clone)]
struct Answer;

impl Service<Request<()>> for Answer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(request);
        ready(Ok(Response::new(Body::new())))
    }
}

async fn run(mut service: impl Service<Request<()>, Error = Infallible>) {
    for _ in 0..REQUESTS {
        let request = Request::builder()
            .uri("http://orders:81/42")
            .body(())
            .unwrap();
        let answer = service.ready().await.unwrap().call(request).await;
        drop(black_box(answer));
    }
}

fn config(case: &str) -> Config {
    let refusing = "http://127.0.0.1:1";
    let exporting = |ratio| Config::new("cost").otlp(refusing).sample_ratio(ratio);
    match case {
        "sampled 0" => exporting(0.0),
        "sampled 0, tail" => exporting(0.0).tail(Tail::default()),
        "sampled 1" => exporting(1.0),
        _ => Config::new("cost"),
    }
    .writer(io::sink)
}

/// The least that a request takes in `case`, in nanoseconds.
#[tokio::main(flavor = "current_thread")]
async fn measure(case: &str) -> u128 {
    let _guard = buttress_telemetry::init(config(case)).unwrap();
    let clock = Clock::default();
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = clock.now();
        if case == "bare" {
            run(Answer).await;
        } else {
            let client = TracePropagateLayer::new().layer(Answer);
            run(ServerSpanLayer::new().layer(client)).await;
        }
        least = least.min(clock.now().saturating_since(start));
    }
    (least / REQUESTS).as_nanos()
}

fn main() {
    // Each case has a process of its own: what one subscriber asks for costs all that are in its process.
    if let Some(case) = std::env::args().nth(1) {
        println!("{}", measure(&case));
        return;
    }
    let mut least = [u128::MAX; CASES.len()];
    for _ in 0..ROUNDS {
        for (case, least) in CASES.iter().zip(&mut least) {
            let mut process = Command::new(std::env::current_exe().unwrap());
            let told = process.arg(case).output().unwrap().stdout;
            let told: u128 = String::from_utf8(told).unwrap().trim().parse().unwrap();
            *least = told.min(*least);
        }
    }
    for (case, least) in CASES.iter().zip(least) {
        println!("{case:<16} {least:>6}");
    }
}
