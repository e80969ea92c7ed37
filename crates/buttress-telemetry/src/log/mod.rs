//! Log lines: who they belong to, and that nobody can forge them.

pub(crate) mod bridge;
pub(crate) mod escape;
mod filter;
mod human;
mod json;
mod line;
mod output;
mod queue;
mod repeats;
mod time;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

pub use filter::LogHandle;
pub use queue::LineQueue;
pub use repeats::Repeats;

pub(crate) use output::{Output, Shared};
pub(crate) use time::wall_time;

use crate::error::InitError;
use line::Line;

/// How a log line looks.
///
/// In both forms the correlation ID, and the trace and span where there are any, stand on every
/// line of a request, before anything that a client could have written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// For eyes: `time level [id] target: message key=value`. What would steer a terminal or end the
    /// line is escaped.
    #[default]
    Human,
    /// One JSON object a line: `time`, `level`, `target`, `correlation_id`, `trace_id`, `span_id`,
    /// `message` at the top, everything else under `fields`. What would steer a terminal is written as
    /// an escape of JSON.
    Json,
}

impl FromStr for Format {
    type Err = InitError;

    fn from_str(name: &str) -> Result<Self, InitError> {
        match name {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            other => Err(InitError::Format(other.to_owned())),
        }
    }
}

/// Writes events as an [`Output`] says.
#[derive(Clone, Debug)]
pub(crate) struct Lines(pub(crate) Arc<Output>);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let line = Line::of(event, &self.0.redaction);
        writer.write_str(&self.0.text(&line))
    }
}
