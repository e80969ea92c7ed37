//! What an endpoint says of its own load, in a header or trailer of its answers: read by the router, sent by a layer.
//!
//! The header is `endpoint-load-metrics`, the report that of ORCA (Open Request Cost Aggregation, `OrcaLoadReport` of
//! xDS), in one of two forms, or `endpoint-load-metrics-bin` with the report in protobuf and base64, as gRPC sends it:
//!
//! ```text
//! endpoint-load-metrics: TEXT cpu_utilization=0.3,application_utilization=0.5,rps_fractional=120
//! endpoint-load-metrics: JSON {"cpu_utilization": 0.3, "named_metrics": {"queue": 7}}
//! endpoint-load-metrics-bin: CTMzMzMzM9M/
//! ```
//!
//! Each of them is read in the head of an answer, and in the trailers of one whose outcome is known there, as that of
//! gRPC is. The layer sends `TEXT` in the head, which any client may read.
//!
//! # What the router makes of it
//!
//! Nothing, unless [`Config::reported_load`](crate::Config::reported_load) says for how long a report is believed
//! ([`EXPIRY`] is a good one): else no header is looked at. Reports are evidence and never required: who sends none, or
//! none of late, is treated as without them.
//!
//! Who reports to be busier than the middle of its peers is given less, by the share
//!
//! ```text
//! 2 (peers + 0.1) / ((peers + 0.1) + (own + 0.1))      at least 0.25, and 1 from 0.9 on
//! ```
//!
//! of the requests that would be its own: at 90 % among peers at 40 %, two thirds. Half the way to even, for what is
//! taken away changes what is reported next, and to go all of it would swing. The utilisation is the application's own
//! if it says one, else the CPU's; beyond 2 all are the same.
//!
//! A report can only take traffic from whoever sends it. Who claims to be idle gains what others lose by being held
//! against a lower median, and since nobody is given less than a quarter that has a bound; in a pool where most tell
//! the truth the median does not move. Whom no policy gives less (a key's own endpoint,
//! [`Policy::ConsistentHash`](crate::Policy::ConsistentHash)), keeps its keys.
//!
//! What is malformed or absurd is ignored as a whole and counted
//! ([`EndpointSnapshot::reports_ignored`](crate::EndpointSnapshot::reports_ignored)).
//!
//! # What it promises
//!
//! - No header makes the parser panic or allocate, and what is printed is read as it was: `load::tests`.
//! - Who says it is busier gets less; a liar gains next to nothing; what is old counts for nothing; without the setting
//!   nothing is read: `tests/reported_load.rs`.
//! - The layer tells what it is told to: `load::layer::tests`.
//!
//! # What it costs
//!
//! Where it is off, one test of a flag for each answer, and 32 bytes an endpoint. Where it is on, a look-up of the header
//! and a pass over its bytes, of which 4096 are read at most; no allocation, no lock.

mod binary;
mod heard;
mod json;
mod layer;
mod relief;
mod report;
mod reporter;
mod text;

use std::time::Duration;

pub use layer::{ReportLoad, ReportLoadFuture, ReportLoadLayer};
pub use report::{LoadReport, Malformed};
pub use reporter::LoadReporter;

pub(crate) use heard::Heard;
pub(crate) use relief::{NONE as NO_RELIEF, relief};

use http::HeaderName;

/// The header that carries a report.
pub static ENDPOINT_LOAD_METRICS: HeaderName = HeaderName::from_static("endpoint-load-metrics");

/// The header or trailer that carries a report in protobuf, in base64.
pub static ENDPOINT_LOAD_METRICS_BIN: HeaderName =
    HeaderName::from_static("endpoint-load-metrics-bin");

/// For how long a report may well be believed: 10 s.
pub const EXPIRY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
