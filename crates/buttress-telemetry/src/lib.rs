//! buttress-telemetry
pub mod metrics;
pub mod prometheus;
pub use metrics::Metrics;
