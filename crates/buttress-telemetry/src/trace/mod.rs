//! Spans of requests, and the headers that carry them from service to service.

mod bridge;
mod client;
pub(crate) mod convention;
pub(crate) mod current;
mod server;
mod settle;
pub mod traceparent;

pub use client::{TracePropagate, TracePropagateLayer};
pub use current::record_route;
pub use server::{ServerSpan, ServerSpanLayer};
pub use settle::SpanEnd;

/// Whether anybody takes the spans of requests. A few nanoseconds where nobody does.
fn is_recording() -> bool {
    tracing::span_enabled!(target: crate::SPAN_TARGET, tracing::Level::INFO)
}
