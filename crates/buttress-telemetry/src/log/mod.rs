//! Log lines: who they belong to, and that nobody can forge them.

mod escape;
mod human;
mod json;
mod line;

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

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
    /// `message` at the top, everything else under `fields`.
    Json,
}

/// Writes events in a [`Format`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines(pub(crate) Format);

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
        let line = Line::of(event);
        let text = match self.0 {
            Format::Human => human::render(&line),
            Format::Json => json::render(&line),
        };
        writer.write_str(&text)
    }
}
