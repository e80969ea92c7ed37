//! The one place where a span of `tracing` meets OpenTelemetry.

use buttress_core::trace_context::TraceContext;
use http::HeaderValue;
use tracing::Span;

/// The trace a span belongs to, and its vendors' state.
pub(super) struct Recorded {
    pub(super) context: TraceContext,
    pub(super) state: Option<HeaderValue>,
}

#[cfg(feature = "otlp")]
pub(super) use with_otel::{active, adopt, link, recorded, rename};

#[cfg(feature = "otlp")]
mod with_otel {
    use std::str::FromStr;

    use opentelemetry::Context;
    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState,
    };
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    use super::{HeaderValue, Recorded, Span, TraceContext};

    /// Makes `parent`, of another service, the parent of `span`.
    pub(in crate::trace) fn adopt(span: &Span, parent: TraceContext, state: Option<&HeaderValue>) {
        let context = Context::new().with_remote_span_context(remote(parent, state));
        // Fails only where no span is recorded, and then there is nothing to adopt.
        let _unrecorded = span.set_parent(context);
    }

    /// Links `span` to `other`, of a client that is not believed.
    pub(in crate::trace) fn link(span: &Span, other: TraceContext) {
        span.add_link(remote(other, None));
    }

    /// The trace of `span`, which starts here if it has not.
    pub(in crate::trace) fn recorded(span: &Span) -> Option<Recorded> {
        let context = span.context();
        let span = context.span();
        let span = span.span_context();
        let state = span.trace_state().header();
        Some(Recorded {
            context: of(span)?,
            state: HeaderValue::try_from(state)
                .ok()
                .filter(|value| !value.is_empty()),
        })
    }

    /// Gives `span` another name; its field says it only as long as it has not started.
    pub(in crate::trace) fn rename(span: &Span, name: String) {
        span.context().span().update_name(name);
    }

    /// The trace of the innermost span that is entered.
    pub(in crate::trace) fn active() -> Option<TraceContext> {
        Context::map_current(|context| of(context.span().span_context()))
    }

    fn of(span: &SpanContext) -> Option<TraceContext> {
        TraceContext::new(
            u128::from_be_bytes(span.trace_id().to_bytes()),
            u64::from_be_bytes(span.span_id().to_bytes()),
            span.is_sampled(),
        )
    }

    fn remote(context: TraceContext, state: Option<&HeaderValue>) -> SpanContext {
        let state = state
            .and_then(|value| value.to_str().ok())
            .and_then(|text| TraceState::from_str(text).ok())
            .unwrap_or_default();
        SpanContext::new(
            TraceId::from_bytes(context.trace_id.to_be_bytes()),
            SpanId::from_bytes(context.span_id.to_be_bytes()),
            if context.sampled {
                TraceFlags::SAMPLED
            } else {
                TraceFlags::default()
            },
            true,
            state,
        )
    }
}

#[cfg(not(feature = "otlp"))]
pub(super) use without_otel::{active, adopt, link, recorded, rename};

/// Without an exporter there are spans only for whoever subscribes to them by other means.
#[cfg(not(feature = "otlp"))]
mod without_otel {
    use super::{HeaderValue, Recorded, Span, TraceContext};

    pub(in crate::trace) const fn adopt(_: &Span, _: TraceContext, _: Option<&HeaderValue>) {}

    pub(in crate::trace) const fn link(_: &Span, _: TraceContext) {}

    pub(in crate::trace) const fn recorded(_: &Span) -> Option<Recorded> {
        None
    }

    pub(in crate::trace) fn rename(span: &Span, name: String) {
        span.record("otel.name", name);
    }

    pub(in crate::trace) const fn active() -> Option<TraceContext> {
        None
    }
}
