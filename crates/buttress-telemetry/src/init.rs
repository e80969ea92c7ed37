//! Setting up and taking down.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tracing::Metadata;
use tracing::dispatcher::{self, Dispatch};
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::Config;
use crate::environment::of_this_process;
use crate::error::InitError;
use crate::export::{Pipeline, Push};
use crate::handle::{Counters, Exports, TelemetryHandle};
use crate::log::{Lines, LogHandle, Output, Shared, bridge};

/// Sets up logs and traces for the whole process, as `config` says, with the lines of libraries that log
/// by the crate `log`. Keep the guard until the end.
pub fn init(config: Config) -> Result<Guard, InitError> {
    let (dispatch, guard) = config.build()?;
    dispatcher::set_global_default(dispatch).map_err(|_| InitError::AlreadySet)?;
    if !bridge::install() {
        tracing::warn!(
            target: "buttress::telemetry",
            "the crate log has a logger already, what is logged by it is not written here"
        );
    }
    crate::export::set_global_propagator();
    Ok(guard)
}

impl Config {
    /// Builds what [`init`] would install, for embedders and tests.
    pub fn build(mut self) -> Result<(Dispatch, Guard), InitError> {
        let problems = self.heed(&of_this_process);
        let resource = self.resource();
        let (filter, logs) = LogHandle::new(self.filter)?;
        let output = Output::new(
            self.format,
            self.redaction.clone(),
            self.writer,
            self.clock,
            self.repeats,
        );
        let lines = fmt::layer()
            .with_ansi(false)
            // What fails to be written would be reported to the standard error, by a macro that
            // panics if that has been closed.
            .log_internal_errors(false)
            .event_format(Lines(Arc::clone(&output)))
            .with_writer(Shared(Arc::clone(&output)))
            // Without a hint whatever traces at any level would ask the filter, request by request.
            .with_filter(
                filter.and(filter_fn(is_for_the_log).with_max_level_hint(LevelFilter::TRACE)),
            );
        let registry = Registry::default().with(lines);
        let counters = Arc::new(Counters::default());
        let exports = Exports {
            spans: self.otlp.is_some(),
            metrics: self.push.is_some(),
        };
        let handle = TelemetryHandle::new(Arc::clone(&counters), exports);
        let push = self
            .push
            .map(|push| Push::start(push, &resource, Arc::clone(&counters)));
        let push = push.transpose()?;
        let (dispatch, pipeline) = match &self.otlp {
            Some(otlp) => {
                let (dispatch, pipeline) =
                    Pipeline::install(registry, otlp, &resource, self.redaction, counters)?;
                (dispatch, Some(pipeline))
            }
            None => (Dispatch::new(registry), None),
        };
        if let Some(push) = &push {
            push.tell(&dispatch);
        }
        dispatcher::with_default(&dispatch, || say(&problems));
        let guard = Guard {
            pipeline,
            push,
            handle,
            logs,
            output,
        };
        Ok((dispatch, guard))
    }
}

/// A line for each thing that makes no sense in the environment.
fn say(problems: &[String]) {
    for problem in problems {
        tracing::warn!(target: "buttress::telemetry", %problem, "left out of the environment");
    }
}

/// Spans of requests are for the exporter: a log line must not depend on them, and without an
/// exporter they must not cost. What OpenTelemetry says of itself would come once for each failure.
fn is_for_the_log(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let of_a_request = metadata.is_span() && target == crate::SPAN_TARGET;
    !of_a_request && !target.starts_with("opentelemetry")
}

/// Keeps telemetry running. Dropping it gives up what has not been exported, and blocks nobody:
/// end with [`Guard::shutdown`].
#[derive(Debug)]
#[must_use = "dropping the guard ends the export of spans"]
pub struct Guard {
    pipeline: Option<Pipeline>,
    push: Option<Push>,
    handle: TelemetryHandle,
    logs: LogHandle,
    output: Arc<Output>,
}

/// How a shutdown ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Whether everything ended within the bound.
    pub complete: bool,
    /// Spans lost since the beginning: what the collector did not take, what found the queue full,
    /// and what was still waiting at the end.
    pub spans_lost: u64,
}

impl Guard {
    /// Reads what telemetry counts about itself.
    pub fn handle(&self) -> TelemetryHandle {
        self.handle.clone()
    }

    /// Changes which lines are written.
    pub fn logs(&self) -> LogHandle {
        self.logs.clone()
    }

    /// Exports what is waiting now; whether that was done within `timeout`. Like
    /// [`Guard::shutdown`], but goes on afterwards.
    pub async fn flush(&self, timeout: Duration) -> bool {
        let spans = async {
            match &self.pipeline {
                Some(pipeline) => pipeline.flush(timeout).await,
                None => true,
            }
        };
        let metrics = async {
            match &self.push {
                Some(push) => push.flush(timeout).await,
                None => true,
            }
        };
        both(spans, metrics).await
    }

    /// Exports what is waiting and ends, within `timeout` whatever the collector does. All of the
    /// work is done on threads of its own: this can be awaited on any runtime, of any size.
    pub async fn shutdown(mut self, timeout: Duration) -> ShutdownReport {
        self.output.sum_up();
        let (pipeline, push) = (self.pipeline.take(), self.push.take());
        let spans = async {
            match pipeline {
                Some(pipeline) => pipeline.shutdown(timeout).await,
                None => true,
            }
        };
        let metrics = async {
            match push {
                Some(push) => push.shutdown(timeout).await,
                None => true,
            }
        };
        let complete = both(spans, metrics).await;
        ShutdownReport {
            complete,
            spans_lost: self.handle.snapshot().spans_lost_by_now(),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.output.sum_up();
    }
}

/// Whether both went well, one beside the other: they have one bound for both.
async fn both(one: impl Future<Output = bool>, other: impl Future<Output = bool>) -> bool {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        step(one.as_mut(), &mut first, cx);
        step(other.as_mut(), &mut second, cx);
        match (first, second) {
            (Some(first), Some(second)) => Poll::Ready(first && second),
            _ => Poll::Pending,
        }
    })
    .await
}

fn step(
    future: Pin<&mut impl Future<Output = bool>>,
    known: &mut Option<bool>,
    cx: &mut Context<'_>,
) {
    if known.is_none()
        && let Poll::Ready(well) = future.poll(cx)
    {
        *known = Some(well);
    }
}
