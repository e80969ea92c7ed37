//! The queue before the exporter, bounded and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};

use super::tail::TailKeep;
use crate::handle::{Counters, QUEUE};

/// Lets at most [`QUEUE`] spans wait. The processor inside has room for as many, so that it never
/// drops one on its own, uncounted.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) inner: BatchSpanProcessor,
    pub(super) counters: Arc<Counters>,
    pub(super) waiting: Arc<AtomicU64>,
    /// Decides about what is not sampled.
    pub(super) tail: Option<TailKeep>,
}

impl Queue {
    fn export(&self, span: SpanData) {
        self.counters.ended.fetch_add(1, Ordering::Relaxed);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counters.lost.fetch_add(1, Ordering::Release);
            return;
        }
        self.inner.on_end(span);
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
        if let Some(tail) = &self.tail
            && !opentelemetry::trace::Span::span_context(span).is_sampled()
        {
            tail.begin(span, context)
                .into_iter()
                .for_each(|span| self.export(span));
        }
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.export(span);
        } else if let Some(tail) = &self.tail {
            tail.end(span)
                .into_iter()
                .for_each(|span| self.export(span));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
