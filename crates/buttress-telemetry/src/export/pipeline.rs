//! Spans on their way to the collector, on threads of their own.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tracing::{Dispatch, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use super::exporter::{Told, Watched};
use super::queue::Queue;
use super::sampling::sampler;
use super::tail::TailKeep;
use crate::config::Otlp;
use crate::error::InitError;
use crate::handle::{Counters, QUEUE};
use crate::redact::Redaction;

/// Everything between the end of a span and the collector.
#[derive(Debug)]
pub(crate) struct Pipeline(Option<Parts>);

#[derive(Debug)]
struct Parts {
    provider: SdkTracerProvider,
    runtime: Own,
}

/// A runtime for the connection to the collector alone: it works before the service's own runtime
/// exists, while that is busy, and after it is gone.
#[derive(Debug)]
pub(super) struct Own(Option<Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Any other way of ending it blocks, or panics where blocking is not allowed.
            runtime.shutdown_background();
        }
    }
}

impl Own {
    /// Does `work` inside of the runtime.
    pub(super) fn enter<T>(
        &self,
        work: impl FnOnce(&Handle) -> Result<T, InitError>,
    ) -> Result<T, InitError> {
        let Some(runtime) = &self.0 else {
            return Err(InitError::Thread("its runtime has ended".to_owned()));
        };
        let _inside = runtime.enter();
        work(runtime.handle())
    }
}

impl Pipeline {
    /// Adds the export of spans to `subscriber`.
    pub(crate) fn install<S>(
        subscriber: S,
        otlp: &Otlp,
        resource: &[(String, String)],
        redaction: Redaction,
        counters: Arc<Counters>,
    ) -> Result<(Dispatch, Self), InitError>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static,
    {
        let told: Told = Arc::new(OnceLock::new());
        let parts = Parts::build(otlp, resource, redaction, counters, Arc::clone(&told))?;
        let spans = tracing_opentelemetry::layer()
            .with_tracer(parts.provider.tracer("buttress"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_for_the_trace));
        let dispatch = Dispatch::new(subscriber.with(spans));
        // Set here once, and nowhere else.
        let _first = told.set(dispatch.downgrade());
        Ok((dispatch, Self(Some(parts))))
    }

    /// Exports what is waiting; whether that was done within `timeout`.
    pub(crate) async fn flush(&self, timeout: Duration) -> bool {
        let Some(parts) = &self.0 else {
            return true;
        };
        let provider = parts.provider.clone();
        within(timeout, move || provider.force_flush().is_ok()).await
    }

    /// Exports what is waiting and ends; whether that was done within `timeout`.
    pub(crate) async fn shutdown(mut self, timeout: Duration) -> bool {
        match self.0.take() {
            Some(parts) => within(timeout, move || parts.end(timeout)).await,
            None => true,
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Some(parts) = self.0.take() {
            drop(start(move || parts.end(Duration::ZERO)));
        }
    }
}

/// What `work` says, or no if it does not say it within `timeout`. It goes on, on its own thread.
pub(super) async fn within(
    timeout: Duration,
    work: impl FnOnce() -> bool + Send + 'static,
) -> bool {
    let (tell, told) = oneshot::channel();
    let working = start(work);
    // A thread that only waits: it needs no timer of the runtime that awaits this.
    let waiting = start(move || {
        let well = working.is_some_and(|working| working.recv_timeout(timeout) == Ok(true));
        // An error says that nobody waits any more.
        let _ = tell.send(well);
        well
    });
    waiting.is_some() && told.await.unwrap_or(false)
}

/// Starts `work` on a thread of its own, which tells what it says. `None` if there can be no thread.
fn start(work: impl FnOnce() -> bool + Send + 'static) -> Option<mpsc::Receiver<bool>> {
    let (tell, told) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("buttress-telemetry".to_owned())
        .spawn(move || {
            // An error says that nobody waits any more.
            let _ = tell.send(work());
        })
        .ok()
        .map(|_| told)
}

impl Parts {
    fn build(
        otlp: &Otlp,
        resource: &[(String, String)],
        redaction: Redaction,
        counters: Arc<Counters>,
        told: Told,
    ) -> Result<Self, InitError> {
        let runtime = runtime("buttress-otlp")?;
        let waiting = Arc::default();
        let exporter = Watched {
            inner: exporter(otlp, &runtime)?,
            endpoint: otlp.endpoint.clone(),
            redaction,
            counters: Arc::clone(&counters),
            waiting: Arc::clone(&waiting),
            failing: AtomicBool::new(false),
            told,
        };
        let size = usize::try_from(QUEUE).unwrap_or(usize::MAX);
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(size)
            .with_scheduled_delay(Duration::from_secs(1))
            .build();
        let inner = BatchSpanProcessor::builder(exporter)
            .with_batch_config(batch)
            .build();
        let tail = otlp.tail.as_ref();
        let tail = tail.map(|tail| TailKeep::new(tail, Arc::clone(&counters)));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Queue {
                inner,
                counters,
                waiting,
                tail,
            })
            .with_sampler(sampler(otlp))
            .with_resource(resource_of(resource))
            .build();
        Ok(Self { provider, runtime })
    }

    /// Exports what is waiting and ends; may block for longer than `timeout`.
    fn end(self, timeout: Duration) -> bool {
        let well = self.provider.shutdown_with_timeout(timeout).is_ok();
        drop(self.runtime);
        well
    }
}

/// What the environment says is in `said` already: it is not asked again.
pub(super) fn resource_of(said: &[(String, String)]) -> Resource {
    let said = said
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(said)
        .build()
}

pub(super) fn runtime(name: &str) -> Result<Own, InitError> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()
        .map(|runtime| Own(Some(runtime)))
        .map_err(|error| InitError::Thread(error.to_string()))
}

fn exporter(otlp: &Otlp, runtime: &Own) -> Result<opentelemetry_otlp::SpanExporter, InitError> {
    check(&otlp.endpoint)?;
    runtime.enter(|_| {
        opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&otlp.endpoint)
            .with_timeout(otlp.timeout)
            .build()
            .map_err(|error| InitError::Endpoint(error.to_string()))
    })
}

pub(super) fn check(endpoint: &str) -> Result<(), InitError> {
    let problem = match endpoint.parse::<http::Uri>() {
        Ok(uri) if uri.scheme_str() == Some("http") && uri.host().is_some() => return Ok(()),
        Ok(uri) if uri.scheme_str() == Some("https") => "there is no TLS in this build",
        _ => "not an address",
    };
    let problem = format!("{endpoint:?}: {problem}, expected the form http://127.0.0.1:4317");
    Err(InitError::Endpoint(problem))
}

/// Spans of requests and of the service's own code. Log events stay out of spans: a line may carry
/// what a trace should not, and the line itself names its trace.
fn is_for_the_trace(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO
}

/// For other instrumented libraries of the process, which ask for the global one.
pub(crate) fn set_global_propagator() {
    opentelemetry::global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]));
}
