//! Keeping requests that failed or were slow although the head sampler said no.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{Span, SpanData};

use super::held::{Ended, Held, Limits, Result};
use crate::config::Tail;
use crate::handle::Counters;

/// Decides about spans that are recorded and not sampled.
#[derive(Debug)]
pub(super) struct TailKeep {
    held: Mutex<Held<SpanData>>,
    slow_after: Option<Duration>,
    counters: Arc<Counters>,
}

impl TailKeep {
    pub(super) fn new(tail: &Tail, counters: Arc<Counters>) -> Self {
        let limits = Limits {
            spans: tail.max_spans,
            bytes: tail.max_bytes,
        };
        Self {
            held: Mutex::new(Held::new(limits)),
            slow_after: tail.slow_after,
            counters,
        }
    }

    /// A span that is not sampled has begun, inside of `parent`; what is to be exported now.
    pub(super) fn begin(&self, span: &Span, parent: &Context) -> Vec<SpanData> {
        let outer = parent.span();
        let outer = outer.span_context();
        if outer.is_valid() && !outer.is_remote() {
            return Vec::new();
        }
        let trace = opentelemetry::trace::Span::span_context(span).trace_id();
        self.apply(|held| held.begin(u128::from_be_bytes(trace.to_bytes())))
    }

    /// `span`, which is not sampled, has ended; what is to be exported now.
    pub(super) fn end(&self, span: SpanData) -> Vec<SpanData> {
        let is_root = span.parent_span_is_remote || span.parent_span_id == SpanId::INVALID;
        let ended = Ended {
            trace: u128::from_be_bytes(span.span_context.trace_id().to_bytes()),
            is_root,
            keep: self.is_worth_it(&span, is_root),
            bytes: weight(&span),
        };
        self.apply(|held| held.end(ended, span))
    }

    /// An error of any span, or a request that was slow as this process sees it.
    fn is_worth_it(&self, span: &SpanData, is_root: bool) -> bool {
        let took = span.end_time.duration_since(span.start_time);
        let slow = |limit| took.is_ok_and(|took| took >= limit);
        matches!(span.status, Status::Error { .. }) || is_root && self.slow_after.is_some_and(slow)
    }

    fn apply(&self, change: impl FnOnce(&mut Held<SpanData>) -> Result<SpanData>) -> Vec<SpanData> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut held);
        drop(held);
        let counters = &self.counters;
        let kept = result.keep.len() as u64;
        for (counter, spans) in [
            (&counters.tail_kept, kept),
            (&counters.tail_dropped, result.drop),
            (&counters.tail_evicted, result.evicted),
        ] {
            if spans > 0 {
                counter.fetch_add(spans, Ordering::Relaxed);
            }
        }
        result.keep.into_iter().map(sampled).collect()
    }
}

/// As if the head sampler had said yes: nothing else is exported.
fn sampled(mut span: SpanData) -> SpanData {
    let context = &span.span_context;
    span.span_context = SpanContext::new(
        context.trace_id(),
        context.span_id(),
        context.trace_flags().with_sampled(true),
        context.is_remote(),
        context.trace_state().clone(),
    );
    span
}

/// About how many bytes a span takes.
fn weight(span: &SpanData) -> usize {
    let of = |attributes: &[KeyValue]| {
        let texts = attributes.iter().map(|attribute| match &attribute.value {
            Value::String(text) => text.as_str().len(),
            _ => 0,
        });
        size_of_val(attributes) + texts.sum::<usize>()
    };
    let events: usize = span.events.iter().map(|event| of(&event.attributes)).sum();
    let links: usize = span.links.iter().map(|link| of(&link.attributes)).sum();
    size_of::<SpanData>()
        + span.name.len()
        + of(&span.attributes)
        + size_of_val(&*span.events.events)
        + events
        + size_of_val(&*span.links.links)
        + links
}
