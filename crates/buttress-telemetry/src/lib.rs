//! Logs, traces and the metrics page of services built with buttress: the one room that knows
//! OpenTelemetry, and none of its types is in a signature.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use buttress_correlation::{CorrelationLayer, Trust};
//! use buttress_telemetry::{AccessLogLayer, Config, Format, Metrics, ServerSpanLayer};
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let guard = buttress_telemetry::init(Config::new("orders").format(Format::Json))?;
//!
//! let correlation = CorrelationLayer::default();
//! let metrics = Metrics::new();
//! metrics.register(Arc::new(correlation.handle()));
//! metrics.register(Arc::new(guard.handle()));
//!
//! let mut service = ServiceBuilder::new()
//!     .layer(correlation)
//!     .layer(ServerSpanLayer::new().trust(Trust::Edge))
//!     .layer(AccessLogLayer::new())
//!     .service_fn(|_: Request<()>| async {
//!         buttress_telemetry::record_route("/orders/{id}");
//!         tracing::info!("this line carries the request's ID");
//!         Ok::<_, std::convert::Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
//!     });
//! service.ready().await?.call(Request::new(())).await?;
//!
//! assert!(metrics.render().contains("buttress_correlation_ids_total"));
//! let report = guard.shutdown(Duration::from_secs(5)).await;
//! assert!(report.complete);
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - Every line of a request carries its correlation ID, and its trace and span where there are any,
//!   at the top level; lines from its response body too: `tests/logs.rs`, `tests/spans.rs`.
//! - No client can forge a line, end one early or steer a terminal: `tests/logs.rs`,
//!   `log::escape::tests`.
//! - They are found by the ID over two services, also those of tasks and threads that take the request
//!   along ([`InCurrentRequest`]): `logs` of the workspace's tests. Libraries that log by the crate `log`
//!   are heard too: `tests/log_crate.rs`.
//! - No header and nothing of a query is logged or recorded unless [`Redaction`] shows it, and what looks
//!   like a secret is cut out of lines, spans and audit records: `tests/lines.rs`, `redact::tests`. A secret in every
//!   place that a client can write to, but for the path, is seen nowhere: `secrets` of the workspace's tests.
//! - What repeats outside of requests is summed up, no first line is lost, and an error is not held back
//!   for other lines' sake: `tests/lines.rs`, `log::repeats::tests`.
//! - The filter is changed at run time, whole or not at all: `tests/lines.rs`.
//! - Whoever records for an [`audit`] is never kept waiting, and what is lost is counted: `tests/audit.rs`.
//! - A request through two services is one trace with the right parents, and a span ends with the
//!   body: `tests/spans.rs`.
//! - `traceparent` is believed only if it is well formed and [`Trust`] says so; at an edge the trace
//!   restarts: `tests/spans.rs`, `tests/pass_through.rs`, `trace::traceparent::tests`, `tests/corpus.rs`.
//! - A span says which attempt it was and what layers further in decided; what the head sampler said no
//!   to is kept where it failed or was slow, if asked for: `tests/attributes.rs`, `tests/tail.rs`.
//! - A collector that is away costs a bounded queue, a count, and one line at each change; shutdown
//!   ends within its bound on every runtime: `tests/collector_away.rs`.
//! - A page of metrics is read back as it was put in, in each of its forms: `tests/page.rs`,
//!   `tests/exposition.rs`. All of them, and OTLP, show the same integers: `tests/views.rs`.
//! - What is pushed is what the page shows, to the integer: `tests/pushed.rs`. Whatever the collector or a source
//!   of metrics does costs a count, and one line at each change; shutdown pushes a last time and ends within its
//!   bound: `tests/push.rs`.
//! - Who does not read the lines of a [`LineQueue`] keeps nobody waiting, and what is lost is counted:
//!   `log::queue::tests`.
//! - Readiness, errors and bodies pass through unchanged: `tests/contract.rs`.
//!
//! # What it costs
//!
//! Without an exporter a span layer costs a look at the headers and at the subscriber, and, where the
//! response has a body, a box for the ID that the body's lines carry. With one, each span allocates, about 2 µs of work whether it
//! is sampled or not (`examples/span_cost.rs`); at most 2,048 wait.
//! A line is formatted, searched for secrets in time linear in its length, and written where it is logged: to what may
//! stop taking lines, a pipe say, write by a [`LineQueue`]. The page is
//! made when it is asked for. Audit records are written by a thread of their own, and so is, while lines are held
//! back, their sum.
//!
//! # Where in the stack
//!
//! `CorrelationLayer`, [`ServerSpanLayer`], [`AccessLogLayer`], then everything else.
//! [`TracePropagateLayer`] innermost on the way out, inside of retries, so that each attempt has a
//! span of its own.
//!
//! # When the request is dropped
//!
//! Its span ends with `error.type` `client_disconnect`, a client's own span without an error; the
//! access log says `abandoned`.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `protobuf` | metrics as Prometheus' protobuf, with native histograms: prost |
//! | `otlp` | spans and metrics exported by OTLP over gRPC, metrics in OTLP's form: tonic and the OpenTelemetry SDK |
//! | `process` | what Linux says of the process, as metrics: procfs |
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access;
pub mod audit;
mod config;
mod environment;
mod error;
mod exchange;
mod export;
pub mod exposition;
mod guarded;
mod handle;
mod in_request;
mod init;
mod log;
pub mod metrics;
#[cfg(feature = "otlp")]
#[cfg_attr(docsrs, doc(cfg(feature = "otlp")))]
pub mod otlp;
mod push;
pub mod redact;
pub mod trace;

pub use access::AccessLogLayer;
pub use buttress_correlation::Trust;
pub use config::{Config, LOG_FORMAT_VARIABLE, LOG_VARIABLE, Tail};
pub use error::InitError;
pub use exchange::{ResponseBody, ResponseFuture};
pub use handle::{TelemetryHandle, TelemetrySnapshot};
pub use in_request::{InCurrentRequest, InRequest, in_current_request};
pub use init::{Guard, ShutdownReport, init};
pub use log::{Format, LineQueue, LogHandle, Repeats};
pub use metrics::Metrics;
pub use push::MetricsPush;
pub use redact::Redaction;
pub use trace::{ServerSpanLayer, TracePropagateLayer, record_route};

/// The target of the spans of [`trace`]: kept apart from log lines, which never depend on them.
pub const SPAN_TARGET: &str = "buttress::span";
