//! Tower layers that hold up services other people already run: correlation IDs, circuit breaking,
//! latency percentiles and health-aware routing, each usable alone, all made to be stacked.
//!
//! This crate is the one name to depend on. Nothing is on by default; a feature brings a room.
//!
//! | feature | room | what it brings |
//! |---|---|---|
//! | `correlation` | `correlation` | one valid ID in, through and out |
//! | `breaker` | `breaker` | a circuit breaker with leased probes and generations |
//! | `latency` | `latency` | percentiles to the end of the body, in-process and as metrics |
//! | `route` | `route` | each request to the endpoint that will answer well and soon |
//! | `dns` | `route` | endpoints as DNS names them; brings hickory-resolver |
//! | `health` | `health` | liveness, readiness and a report per component |
//! | `telemetry` | `telemetry` | logs with the ID on every line, the Prometheus page |
//! | `otlp` | `telemetry` | spans and metrics over OTLP/gRPC; brings tonic |
//! | `process` | `telemetry` | what Linux says of the process, as metrics; brings procfs |
//! | `protobuf` | `telemetry` | metrics as Prometheus' protobuf, with native histograms; brings prost |
//! | `admin` | `admin` | metrics, health and status as plain HTTP |
//! | `full` | all of them | |
//! | `serde` | those that are on | snapshots that can be written and read |
//!
//! A feature only adds: enabling one changes nothing for who does not use what it brings.
//!
//! # Where each layer goes
//!
//! ```text
//! Correlation        outermost: every line and every answer below it has the ID
//!   span, access log
//!     Latency        sees what the client sees, rejections included
//!       Breaker      guards the dependency as a whole
//!         HealthRouter   picks an endpoint at call time and judges its answer
//!           timeout      inside what is judged: a hang is a failure of that endpoint
//!             Propagate  last before the client: exactly one ID on what goes out
//! ```
//!
//! # Every metric
//!
//! [`guide::metrics`] says of each metric of the rooms what moves it and how to read it.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod guide;

pub use buttress_core as core;

#[cfg(feature = "admin")]
pub use buttress_admin as admin;
#[cfg(feature = "breaker")]
pub use buttress_breaker as breaker;
#[cfg(feature = "correlation")]
pub use buttress_correlation as correlation;
#[cfg(feature = "health")]
pub use buttress_health as health;
#[cfg(feature = "latency")]
pub use buttress_latency as latency;
#[cfg(feature = "route")]
pub use buttress_route as route;
#[cfg(feature = "telemetry")]
pub use buttress_telemetry as telemetry;
