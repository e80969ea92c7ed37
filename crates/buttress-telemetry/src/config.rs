//! What telemetry is told.

use std::fmt;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::Format;
use crate::push::MetricsPush;

/// The configuration of logs and traces.
///
/// By default: human lines of level INFO and above to the standard error, no spans exported.
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
    pub(crate) format: Format,
    pub(crate) filter: String,
    pub(crate) writer: BoxMakeWriter,
    pub(crate) otlp: Option<Otlp>,
    pub(crate) push: Option<MetricsPush>,
}

/// Where spans go.
#[derive(Clone, Debug)]
pub(crate) struct Otlp {
    pub(crate) endpoint: String,
    pub(crate) sample_ratio: f64,
    pub(crate) timeout: Duration,
}

impl Config {
    /// The defaults for the service called `service_name`, as `service.name` says it.
    pub fn new(service_name: impl Into<String>) -> Self {
        Self {
            service_name: service_name.into(),
            format: Format::default(),
            filter: "info".to_owned(),
            writer: BoxMakeWriter::new(std::io::stderr),
            otlp: None,
            push: None,
        }
    }

    /// Writes lines in `format`.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Writes the lines that `directives` let through, as `info,hyper=warn`.
    #[must_use]
    pub fn filter(mut self, directives: impl Into<String>) -> Self {
        self.filter = directives.into();
        self
    }

    /// Writes lines to what `writer` makes.
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
        self.otlp_mut().sample_ratio = ratio;
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

    fn otlp_mut(&mut self) -> &mut Otlp {
        self.otlp.get_or_insert_with(|| Otlp {
            endpoint: String::new(),
            sample_ratio: 1.0,
            timeout: Duration::from_secs(3),
        })
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("service_name", &self.service_name)
            .field("format", &self.format)
            .field("filter", &self.filter)
            .field("otlp", &self.otlp)
            .field("push", &self.push)
            .finish_non_exhaustive()
    }
}
