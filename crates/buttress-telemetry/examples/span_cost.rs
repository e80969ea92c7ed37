//! What a span costs a request: a server span with a client span inside, as a gateway makes them.
//!
//! ```sh
//! cargo run --release -p buttress-telemetry --features otlp --example span_cost
//! ```
//!
//! Rounds of all cases in turn, each in a process of its own; of each the least is shown, in nanoseconds a request. `bare` is the
//! same service without the layers. The collector refuses: what is sampled is queued, dropped and counted.
//!
//! A case and a number make it serve so many requests and end, for a count of instructions: the difference between two
//! numbers is what the requests between them took.
//!
//! ```sh
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/span_cost "sampled 0, tail" 20000
//! ```
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

/// How many requests a round is of.
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

async fn serve(service: &mut impl Service<Request<()>, Error = Infallible>, requests: u32) {
    for _ in 0..requests {
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

/// Serves so many requests in `case`.
async fn requests(case: &str, requests: u32) {
    if case == "bare" {
        return serve(&mut Answer, requests).await;
    }
    let client = TracePropagateLayer::new().layer(Answer);
    serve(&mut ServerSpanLayer::new().layer(client), requests).await;
}

/// The least that a request takes in `case`, in nanoseconds.
async fn measure(case: &str) -> u128 {
    let clock = Clock::default();
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = clock.now();
        requests(case, REQUESTS).await;
        least = least.min(clock.now().saturating_since(start));
    }
    (least / REQUESTS).as_nanos()
}

#[tokio::main(flavor = "current_thread")]
async fn alone(case: &str, count: Option<u32>) {
    let _guard = buttress_telemetry::init(config(case)).unwrap();
    match count {
        Some(count) => requests(case, count).await,
        None => println!("{}", measure(case).await),
    }
}

fn main() {
    // Each case has a process of its own: what one subscriber asks for costs all that are in its process.
    let mut arguments = std::env::args().skip(1);
    if let Some(case) = arguments.next() {
        return alone(&case, arguments.next().map(|count| count.parse().unwrap()));
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
