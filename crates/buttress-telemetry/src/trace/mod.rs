//! Spans of requests, and the headers that carry them from service to service.

mod bridge;
mod client;
pub(crate) mod convention;
pub(crate) mod current;
mod server;
mod settle;
mod traceparent;

pub use client::{TracePropagate, TracePropagateLayer};
pub use current::record_route;
pub use server::{ServerSpan, ServerSpanLayer};
pub use settle::SpanEnd;
