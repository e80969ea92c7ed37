//! buttress-telemetry
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access;
mod config;
mod error;
mod exchange;
mod export;
mod handle;
mod init;
mod log;
pub mod metrics;
pub mod prometheus;
pub mod trace;

pub use access::AccessLogLayer;
pub use config::Config;
pub use error::InitError;
pub use exchange::{ResponseBody, ResponseFuture};
pub use handle::{TelemetryHandle, TelemetrySnapshot};
pub use init::{Guard, ShutdownReport, init};
pub use log::Format;
pub use metrics::Metrics;
pub use trace::{ServerSpanLayer, TracePropagateLayer, record_route};

/// The target of the spans of [`trace`]: kept apart from log lines, which never depend on them.
pub const SPAN_TARGET: &str = "buttress::span";
