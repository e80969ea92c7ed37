//! What telemetry is told.

use std::fmt;
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_correlation::CorrelationId;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::error::InitError;
use crate::push::MetricsPush;
use crate::{Format, Redaction, Repeats};

/// The configuration of logs and traces.
///
/// What the environment says in the variables of OpenTelemetry's specification takes the place of what is
/// set here, for whoever deploys a service sets it: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
/// `OTEL_EXPORTER_OTLP_ENDPOINT` and `_TIMEOUT` (and both with `_TRACES`), `OTEL_TRACES_SAMPLER` with its
/// `_ARG`, `OTEL_SDK_DISABLED`. What makes no sense there is left out, and a line says so.
///
/// By default: human lines of level INFO and above to the standard error, secrets cut out, what repeats
/// outside of requests summed up, no spans exported.
///
/// ```
/// use buttress_telemetry::{Config, Format};
///
/// let config = Config::new("orders").format(Format::Json).filter("info,hyper=warn");
/// let (dispatch, _guard) = config.build()?;
/// tracing::dispatcher::with_default(&dispatch, || tracing::info!(port = 8080, "listening"));
/// # Ok::<(), buttress_telemetry::InitError>(())
/// ```
#[non_exhaustive]
pub struct Config {
    pub(crate) service_name: String,
    /// Further attributes of the resource, each key once.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) format: Format,
    pub(crate) filter: String,
    pub(crate) writer: BoxMakeWriter,
    pub(crate) redaction: Redaction,
    pub(crate) repeats: Option<Repeats>,
    pub(crate) clock: Clock,
    pub(crate) otlp: Option<Otlp>,
    pub(crate) push: Option<MetricsPush>,
}

/// The variable of the environment that overrules the filter, where [`Config::env`] is asked to.
pub const LOG_VARIABLE: &str = "BUTTRESS_LOG";

/// The variable of the environment that overrules the format, where [`Config::env`] is asked to.
pub const LOG_FORMAT_VARIABLE: &str = "BUTTRESS_LOG_FORMAT";

/// The attribute that tells one process of a service from another.
const INSTANCE: &str = "service.instance.id";

/// Where spans go.
#[derive(Clone, Debug)]
pub(crate) struct Otlp {
    pub(crate) endpoint: String,
    pub(crate) sampling: Sampling,
    pub(crate) timeout: Duration,
    pub(crate) tail: Option<Tail>,
}

/// Which traces the head sampler takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampling {
    pub(crate) ratio: f64,
    /// Whether the choice that was made where a trace began holds.
    pub(crate) parent_based: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            ratio: 1.0,
            parent_based: true,
        }
    }
}

/// Keeps requests that failed or were slow although the head sampler said no.
///
/// Spans of other requests are then recorded too and held until the request has ended, as this process
/// sees it: all of them are exported if one of them ended in an error, or if the request was slow, and
/// none otherwise. What other services recorded of such a trace is not kept by this: they were told that
/// it is not sampled.
///
/// Memory is bounded by both limits; over one of them the trace that has waited longest is decided by what
/// it has shown so far, and counted where that is nothing:
/// `buttress_trace_tail_spans_total{result="evicted"}`.
///
/// # What it costs
///
/// For every request that is not sampled, 0.9 µs and 7,100 instructions for its two spans as a proxy makes
/// them: 5.0 µs where these took 4.2, and 4.6 where all are sampled, of which 0.2 are the bare service's.
/// Measured by `cargo run --release -p buttress-telemetry --features otlp --example span_cost`, the
/// instructions as that example's first lines say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tail {
    /// A request that takes as long as this is kept. Default 1 s; `None` keeps errors alone.
    pub slow_after: Option<Duration>,
    /// At most so many spans are held. Default 8,192.
    pub max_spans: usize,
    /// They take at most about so many bytes. Default 16 MiB.
    pub max_bytes: usize,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            slow_after: Some(Duration::from_secs(1)),
            max_spans: 8192,
            max_bytes: 16 << 20,
        }
    }
}

impl Tail {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a request that takes as long as `threshold`; `None` keeps errors alone.
    #[must_use]
    pub fn slow_after(mut self, threshold: impl Into<Option<Duration>>) -> Self {
        self.slow_after = threshold.into();
        self
    }

    /// Holds at most so many spans.
    #[must_use]
    pub const fn max_spans(mut self, spans: usize) -> Self {
        self.max_spans = spans;
        self
    }

    /// Holds spans of at most about so many bytes.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

impl Config {
    /// The defaults for the service called `service_name`, as `service.name` says it.
    pub fn new(service_name: impl Into<String>) -> Self {
        Self {
            service_name: service_name.into(),
            attributes: Vec::new(),
            format: Format::default(),
            filter: "info".to_owned(),
            writer: BoxMakeWriter::new(std::io::stderr),
            redaction: Redaction::default(),
            repeats: Some(Repeats::default()),
            clock: Clock::default(),
            otlp: None,
            push: None,
        }
    }

    /// The service's version, as `service.version` says it.
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> Self {
        self.attribute("service.version", version)
    }

    /// Says this of the service, beside every span: `deployment.environment.name`, say. What the
    /// environment says in `OTEL_RESOURCE_ATTRIBUTES` takes its place. `service.instance.id` is made up
    /// where nobody says it.
    #[must_use]
    pub fn attribute(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set_attribute(key, value.into());
        self
    }

    /// Writes lines in `format`.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Writes the lines that `directives` let through, as `info,hyper=warn`: levels, for all targets or
    /// for those that begin so. [`crate::LogHandle::set_filter`] changes them while the process runs.
    #[must_use]
    pub fn filter(mut self, directives: impl Into<String>) -> Self {
        self.filter = directives.into();
        self
    }

    /// Lets the environment overrule what was said before: [`LOG_VARIABLE`] the filter, and
    /// [`LOG_FORMAT_VARIABLE`] the format, `human` or `json`. Fails on a format that is neither; a filter is
    /// read when this is built.
    pub fn env(self) -> Result<Self, InitError> {
        self.env_by(|name| std::env::var(name).ok())
    }

    /// As [`Config::env`], with variables that `read` tells.
    pub fn env_by(mut self, read: impl Fn(&str) -> Option<String>) -> Result<Self, InitError> {
        if let Some(directives) = read(LOG_VARIABLE) {
            self.filter = directives;
        }
        if let Some(format) = read(LOG_FORMAT_VARIABLE) {
            self.format = format.parse()?;
        }
        Ok(self)
    }

    /// Cuts secrets out of lines and spans as `redaction` says.
    #[must_use]
    pub fn redaction(mut self, redaction: Redaction) -> Self {
        self.redaction = redaction;
        self
    }

    /// Sums up lines that repeat as `repeats` says; `None` writes every line.
    #[must_use]
    pub fn repeats(mut self, repeats: impl Into<Option<Repeats>>) -> Self {
        self.repeats = repeats.into();
        self
    }

    /// Counts repeats in windows of `clock`. The time on a line is the wall clock's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Writes lines to what `writer` makes, where they are logged: to [`crate::LineQueue`] where that may take long.
    /// Default: the standard error.
    #[must_use]
    pub fn writer<W>(mut self, writer: W) -> Self
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        self.writer = BoxMakeWriter::new(writer);
        self
    }

    /// Exports spans by OTLP over gRPC to `endpoint`, as `http://127.0.0.1:4317`. Needs the feature
    /// `otlp`.
    #[must_use]
    pub fn otlp(mut self, endpoint: impl Into<String>) -> Self {
        let otlp = self.otlp_mut();
        otlp.endpoint = endpoint.into();
        self
    }

    /// Keeps this share of the traces that start here, from 0 to 1; by default all. A trace that
    /// starts elsewhere and is believed keeps the choice made there.
    #[must_use]
    pub fn sample_ratio(mut self, ratio: f64) -> Self {
        self.otlp_mut().sampling.ratio = ratio;
        self
    }

    /// Keeps failed and slow requests, too, that the head sampler said no to. Default: off.
    #[must_use]
    pub fn tail(mut self, tail: Tail) -> Self {
        self.otlp_mut().tail = Some(tail);
        self
    }

    /// Waits this long for the collector to take a batch; by default 3 seconds.
    #[must_use]
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.otlp_mut().timeout = timeout;
        self
    }

    /// Pushes metrics, too.
    #[must_use]
    pub fn push(mut self, push: MetricsPush) -> Self {
        self.push = Some(push);
        self
    }

    pub(crate) fn set_attribute(&mut self, key: &str, value: String) {
        match self.attributes.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((key.to_owned(), value)),
        }
    }

    /// What is said of the service beside all that it exports.
    pub(crate) fn resource(&self) -> Vec<(String, String)> {
        let mut all = vec![("service.name".to_owned(), self.service_name.clone())];
        if !self.attributes.iter().any(|(key, _)| key == INSTANCE) {
            all.push((INSTANCE.to_owned(), CorrelationId::mint_v4().to_string()));
        }
        all.extend(self.attributes.iter().cloned());
        all
    }

    pub(crate) fn otlp_mut(&mut self) -> &mut Otlp {
        self.otlp.get_or_insert_with(|| Otlp {
            endpoint: String::new(),
            sampling: Sampling::default(),
            timeout: Duration::from_secs(3),
            tail: None,
        })
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("service_name", &self.service_name)
            .field("attributes", &self.attributes)
            .field("format", &self.format)
            .field("filter", &self.filter)
            .field("redaction", &self.redaction)
            .field("repeats", &self.repeats)
            .field("otlp", &self.otlp)
            .field("push", &self.push)
            .finish_non_exhaustive()
    }
}
