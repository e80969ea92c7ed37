//! Latency percentiles for Tower services: P50 to P99.9, right to 0.55 %, per route and over rolling
//! windows, at about five nanoseconds a record.
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use buttress_latency::{LatencyHandle, LatencyLayer};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let handle = LatencyHandle::default();
//! let layer = LatencyLayer::new(handle.clone()).route("/greet/{name}");
//! let service = layer.layer(service_fn(async |_: Request<()>| {
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
//! }));
//!
//! for _ in 0..20 {
//!     let response = service.clone().oneshot(Request::new(())).await.unwrap();
//!     response.into_body().collect().await.unwrap();
//! }
//!
//! let snapshot = handle.snapshot();
//! let route = snapshot.route("/greet/{name}").unwrap();
//! let minute = route.window(Duration::from_secs(60)).unwrap().percentiles();
//! println!("P50 of the last minute: {:?}", minute.p50.value());
//! assert_eq!(minute.p95.count, 20);
//! // Twenty samples do not bear a P99, and so there is none.
//! assert_eq!(minute.p99.value(), None);
//! # }
//! ```
//!
//! # How it counts
//!
//! A [`Recorder`] adds to one of 2048 buckets whose edges are exact powers `2^(k/64)` of a second;
//! the same integers are an OpenTelemetry exponential histogram of scale 6 and a Prometheus native
//! histogram of schema 6. The buckets that the conventions' classic bounds fall into are cut there,
//! so that classic counts are exact as well. Writers only ever add; a rolling window is the
//! difference of two readings. Merging is addition, and loses nothing.
//!
//! A quantile comes with its evidence ([`Quantile`]): the value, how far it can be off, how many
//! samples it rests on; [`Snapshot::minimum`] and [`Snapshot::maximum`] are exact of all that was
//! recorded, of a window as far as its buckets tell. With fewer samples than `1 / (1 - q)` it is unknown and says how many it would
//! take: a P99.9 of twelve calls is no number.
//!
//! An exchange whose trace is sampled ([`TraceContext`] in the request's extensions) may become the
//! exemplar of its octave: the newest but for those that come within a second of it.
//!
//! [`TraceContext`]: buttress_core::trace_context::TraceContext
//!
//! # What it measures
//!
//! Three times of each exchange, each of which can be switched off:
//!
//! - **To the end**, the one that is meant where nothing else is said: from the call of the service to
//!   the end of the response's body or its trailers, or to the moment at which the request is dropped.
//! - **To the head** of the response ([`RouteSnapshot::head`], [`Config::head`]), recorded when it
//!   comes. An answer that begins well counts as a success of its status there.
//! - **Waiting** ([`RouteSnapshot::waiting`], [`Config::waiting`]): from the first `poll_ready` that was
//!   `Pending` to the one that was ready, if a call followed. No timer that starts with the call sees
//!   it. It is kept for each service and clone; who gives up a wait and keeps the service instead of a
//!   clone of it, as load shedding round a single one does, leaves the wait to the next call. To it is
//!   added what a breaker or a router inside waits for its own service after the call, as far as it is
//!   polled by the same task ([`buttress_core::readying`]); that is part of the other two times as well.
//!
//! **Long-lived streams** have a series of their own ([`RouteSnapshot::streams`]), and no part in the
//! percentiles of anything else but the time to their head, by which objectives judge them too: `101`
//! (timed to where the connection is handed over), `text/event-stream`, and what a route answers with
//! success if [`Config::streaming`] names it, as it should those of gRPC that stream.
//!
//! **Sizes of bodies**, off by default: [`Config::response_body_sizes`] and
//! [`LatencyLayer::request_body_sizes`], the second of which changes the type of the body that the
//! service inside is given. Bytes are counted as they pass and recorded when the exchange ends; what
//! passes later is not in it.
//!
//! Series are by route, method (`_OTHER` if the conventions do not know it), exact status, scheme and
//! `error_type`. The last is absent on success; else it is `timeout`, `transport`, `body` (it broke),
//! `panic`, `client_disconnect`, the reason of a refusal of buttress's own such as `circuit_open`, the
//! status code of any other 5xx, or `answer` and `overloaded` where a failure has another status
//! (gRPC). A plain call that is dropped is `abandoned`.
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `http_server_request_duration_seconds` | histogram | `http_request_method`, `url_scheme`, `http_route`, `http_response_status_code`, `error_type` |
//! | `buttress_http_server_request_head_duration_seconds`, `buttress_http_server_stream_duration_seconds` | histogram | the same |
//! | `buttress_http_server_request_waiting_duration_seconds` | histogram | `http_route` |
//! | `http_server_request_body_size_bytes`, `http_server_response_body_size_bytes` | histogram | those of the duration |
//! | `http_server_active_requests` | gauge | `http_request_method`, `url_scheme`, `http_route` |
//! | `buttress_http_request_duration_quantile_seconds` | gauge | `route`, `status_class`, `quantile`, `window` |
//! | `http_client_request_duration_seconds` | histogram | `pool`, `endpoint`, `server_address`, `server_port`, `http_request_method`, `http_response_status_code`, `error_type` |
//! | `buttress_http_client_request_head_duration_seconds`, `buttress_http_client_stream_duration_seconds` | histogram | the same |
//! | `http_client_request_body_size_bytes`, `http_client_response_body_size_bytes` | histogram | the same |
//! | `buttress_http_client_request_waiting_duration_seconds` | histogram | `pool`, `endpoint`, `server_address`, `server_port` |
//! | `buttress_http_client_request_duration_quantile_seconds` | gauge | `pool`, `endpoint`, `status_class`, `quantile`, `window` |
//! | `buttress_call_duration_seconds` | histogram | `name`, `outcome`, `error_type` |
//! | `buttress_call_duration_quantile_seconds` | gauge | `name`, `quantile`, `window` |
//! | `buttress_call_waiting_duration_seconds` | histogram | `name` |
//! | `buttress_objective_error_budget_left_ratio`, `buttress_objective_target_ratio` | gauge | `route`, `objective` |
//! | `buttress_objective_burn_rate` | gauge | `route`, `objective`, `window` |
//! | `buttress_objective_exchanges_total` | counter | `route`, `objective`, `result` |
//! | `buttress_objective_passing_seconds` | gauge | `route`, `objective`, `estimate` |
//! | `buttress_duration_slope_ratio` | gauge | `route`, `quantile`, `estimate` |
//! | `buttress_series_overflow_total` | counter | `room`; `pool` of clients |
//!
//! Those of clients are of a handle that [`Config::client`] makes one, those of servers of any other:
//! a router stacks such a layer round the service of each of its endpoints, and neither knows the
//! other. Server address and port are there where that is how the endpoint is called. A client takes
//! 4xx for an error as well, and its own leaving for none; it has no trends and objectives among its
//! metrics. The three of calls are there once a [`LatencyLayer::plain`] has recorded, those of
//! objectives where an [`Objective`] is configured. Do not add up or average the quantile gauges; take
//! the histogram where many processes are to be seen as one. Linters object to a label `quantile` on
//! what is no summary. It
//! is a gauge on purpose: a summary promises quantiles of all time, and no other kind has quantiles.
//!
//! # What it promises
//!
//! - Every quantile is within 0.6 % of that of `HdrHistogram` and within 0.55 % of the sample's, from
//!   1 µs to 4096 s: `tests/oracle.rs`. Every edge is exact to the nanosecond: `bucket` tests.
//! - Recorder and windows know what a sorted list of the same records knows, and what they do not know
//!   they say: `tests/model.rs`.
//! - What is shorter or longer is counted and visible, not dropped: `recorder` tests.
//! - Merging is commutative and associative: `tests/oracle.rs`. With the feature `serde` snapshots can
//!   be added up elsewhere; what is read is what was written, or refused: `tests/serde.rs`.
//! - Every record is in exactly one slice of each window, whatever races, and though nobody reads for
//!   long: `tests/windows.rs`, and over every interleaving of a few threads `loom_tests`.
//! - What keeps an objective and what misses it is counted once, and its windows are those of a recount:
//!   `tests/objectives.rs`, `objective` tests.
//! - A trend is not bent by outliers, is taken from chance no more often than it says, and foresees
//!   nothing beyond what it has seen. That an objective will be passed is said of flat noise in one look of
//!   a thousand at most, of a step never for long; of a ramp that stands out it is said, right to a quarter
//!   in nine cases of ten: `trend` tests, `tests/trend.rs`.
//! - An exemplar is of one record, sampled, and in the total that is shown with it, whatever races:
//!   `tests/exemplars.rs`, `loom_tests`.
//! - Snapshot, histograms and gauges show the same integers: `tests/views.rs`.
//! - Every exchange is recorded exactly once and leaves nothing in flight, dropped at any poll,
//!   panicked or answered; frames, trailers and size hints are unchanged: `tests/http.rs`.
//! - Each of the three times is measured if it is switched on; a wait that no call follows counts
//!   nowhere; a stream is in no percentile but its own: `tests/times.rs`.
//! - Every byte of a body that passes is counted where that is asked for, and the body is the one it
//!   was: `tests/sizes.rs`.
//! - A live handle takes another configuration ([`LatencyHandle::reconfigure`]) and loses nothing, or
//!   refuses it whole: `tests/reconfigure.rs`.
//! - No client can make more series than the cap; what overflows is merged and counted, and memory stays
//!   flat under a million invented names: `tests/overflow.rs`, `tests/cardinality.rs`.
//! - It works under a buffer, a limit and load shedding: `tests/contract.rs`.
//!
//! # What it costs
//!
//! A record into a series at hand: about five nanoseconds on one of the first threads that record
//! (twice as many as there are cores), about twelve on others, without lock or allocation; about
//! thirteen in a sampled trace, exemplars and the wall clock that they are labelled by included. The layer
//! adds two readings of the clock and a reference count, which is the in-flight gauge. The time to the
//! head takes one more reading, a record and a second recorder for each series; waiting costs nothing
//! until somebody waits. A bound route
//! ([`LatencyLayer::route`]) is found without hashing; [`LatencyLayer::route_by`] (and with the feature
//! `axum` `LatencyLayer::matched_path`) and
//! [`LatencyHandle::record`] add a hash, and a read lock beyond the first few hundred routes. Once per
//! slice (a second by default) one record folds the windows, which takes about ten microseconds and
//! allocates; others go on meanwhile. A page of metrics takes about forty microseconds for each busy
//! series: its windows, and where it is heading. `cargo compare latency` measures all of it beside the peers.
//!
//! A busy series of two threads takes about 13 KiB for its recorder, 1.6 KiB for exemplars if there are
//! any, and 60 KiB for its windows, an idle one next to nothing. There are at most [`Config::max_series`] of them, 2,000 by default, and as
//! many routes. Series are kept for the life of the handle.
//!
//! # Where in the stack
//!
//! Outside what is to be measured: under correlation and tracing, above breaker, failover and
//! routing, so that what a client waits for is in it.
//!
//! # When the request is dropped
//!
//! It is recorded with its age, as abandoned, and leaves the in-flight gauge at once.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bucket;
mod config;
mod handle;
mod layer;
#[cfg(all(loom, test))]
mod loom_tests;
mod metrics;
mod objective;
mod plain;
mod quantile;
mod recorder;
mod request_body;
mod series;
mod service;
mod settle;
mod sizes;
mod snapshot;
mod sync;
mod trend;
mod view;
mod waiting;
mod window;

pub use bucket::CLASSIC_BOUNDS;
pub use config::{Config, Exchange};
pub use handle::LatencyHandle;
pub use layer::{LatencyLayer, RequestHead};
pub use objective::{Burn, BurnWindow, Goal, Objective, ObjectiveSnapshot};
pub use plain::PlainFuture;
pub use quantile::{Estimate, PERCENTILES, Quantile};
pub use recorder::Recorder;
pub use request_body::{CarryRequest, Counted, RequestBody, Uncounted};
pub use service::{Latency, ResponseBody, ResponseFuture};
pub use settle::Recording;
pub use sizes::BodySizes;
pub use snapshot::Snapshot;
pub use trend::{Passing, RouteTrend, Slope, Trend, TrendPoint};
pub use view::{Distribution, LatencySnapshot, Percentiles, RouteSnapshot, SeriesSnapshot};
pub use window::{RollingRecorder, WindowSnapshot, Windows};
