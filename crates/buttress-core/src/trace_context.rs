//! Which trace a request belongs to, in no library's types.

/// The trace that a request belongs to. `buttress-telemetry` puts it into the request's extensions;
/// the latency recorder reads it for exemplars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TraceContext {
    /// The trace's 128 bits.
    pub trace_id: u128,
    /// The current span's 64 bits.
    pub span_id: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// A context; `None` if either ID is zero, which the W3C recommendation calls invalid.
    pub const fn new(trace_id: u128, span_id: u64, sampled: bool) -> Option<Self> {
        if trace_id == 0 || span_id == 0 {
            return None;
        }
        Some(Self {
            trace_id,
            span_id,
            sampled,
        })
    }
}
