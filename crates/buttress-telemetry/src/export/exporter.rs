//! The exporter, watched: what it loses is counted, and a change is said once.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tracing::dispatcher::{self, WeakDispatch};

use crate::handle::Counters;
use crate::redact::Redaction;

/// The subscriber that is told of changes; known only after the exporter is built.
pub(super) type Told = Arc<OnceLock<WeakDispatch>>;

#[derive(Debug)]
pub(super) struct Watched {
    pub(super) inner: opentelemetry_otlp::SpanExporter,
    pub(super) endpoint: String,
    /// What is cut out of spans.
    pub(super) redaction: Redaction,
    pub(super) counters: Arc<Counters>,
    /// How many spans the queue lets wait just now.
    pub(super) waiting: Arc<AtomicU64>,
    pub(super) failing: AtomicBool,
    pub(super) told: Told,
}

impl Watched {
    fn note(&self, spans: u64, result: &OTelSdkResult) {
        match result {
            Ok(()) => {
                self.counters.exported.fetch_add(spans, Ordering::Release);
                if self.failing.swap(false, Ordering::Relaxed) {
                    self.tell(|| self.recovered());
                }
            }
            Err(error) => {
                self.counters.lost.fetch_add(spans, Ordering::Release);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    self.tell(|| self.failed(error));
                }
            }
        }
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }

    fn failed(&self, error: &dyn Display) {
        tracing::warn!(
            target: "buttress::telemetry",
            endpoint = self.endpoint,
            error = %error,
            "the collector does not take spans, they are counted and dropped until it does"
        );
    }

    fn recovered(&self) {
        tracing::info!(
            target: "buttress::telemetry",
            endpoint = self.endpoint,
            spans_lost = self.counters.lost.load(Ordering::Relaxed),
            "the collector takes spans again"
        );
    }

    fn tell(&self, say: impl FnOnce()) {
        if let Some(dispatch) = self.told.get().and_then(WeakDispatch::upgrade) {
            dispatcher::with_default(&dispatch, say);
        }
    }
}

impl SpanExporter for Watched {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            self.redaction.span(span);
        }
        let spans = batch.len() as u64;
        let result = self.inner.export(batch).await;
        self.note(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
