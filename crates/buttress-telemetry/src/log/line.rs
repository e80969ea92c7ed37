//! What a line says, before it is given a form.

use std::borrow::Cow;
use std::fmt;

use buttress_core::trace_context::TraceContext;
use buttress_correlation::CorrelationId;
use serde_json::Value;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_log::NormalizeEvent;

use super::filter;
use super::repeats::Summary;
use super::time::wall_time;
use crate::access;
use crate::redact::{REDACTED, Redaction};
use crate::trace::current;

pub(super) struct Line<'r> {
    pub(super) time: String,
    pub(super) level: Level,
    pub(super) target: Cow<'static, str>,
    /// Where in the code it comes from; `None` if nowhere.
    pub(super) place: Option<Identifier>,
    pub(super) correlation: Option<CorrelationId>,
    pub(super) trace: Option<TraceContext>,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
    redaction: Option<&'r Redaction>,
}

impl<'r> Line<'r> {
    /// What `event` says, as far as `redaction` lets it.
    pub(super) fn of(event: &Event<'_>, redaction: &'r Redaction) -> Self {
        let metadata = event.metadata();
        let mut line = Self {
            time: wall_time(),
            level: *metadata.level(),
            target: Cow::Borrowed(metadata.target()),
            place: Some(metadata.callsite()),
            correlation: CorrelationId::current(),
            trace: current::trace(),
            message: String::new(),
            fields: Vec::new(),
            redaction: Some(redaction),
        };
        if let Some(of_log) = event.normalized_metadata() {
            line.target = Cow::Owned(redaction.text(of_log.target()).into_owned());
        }
        event.record(&mut line);
        line
    }

    /// What is said in the place of lines that were held back.
    pub(super) fn of_summary(summary: Summary) -> Self {
        Self {
            time: wall_time(),
            level: summary.level,
            target: summary.target,
            place: None,
            correlation: None,
            trace: None,
            message: format!(
                "{} (repeated {} times)",
                summary.message,
                grouped(summary.times)
            ),
            fields: vec![("repeated", summary.times.into())],
            redaction: None,
        }
    }

    /// Whether this may be held back if it repeats itself.
    pub(super) fn may_repeat(&self, in_requests: bool) -> bool {
        let of_request = self.correlation.is_some() || self.trace.is_some();
        let is_exempt = self.target == access::TARGET || self.target == filter::TARGET;
        (in_requests || !of_request) && !is_exempt
    }

    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        // What `log` says of itself: the target has its own place, and the rest helps nobody.
        if name.starts_with("log.") {
            return;
        }
        let value = self.without_secrets(name, value);
        match (name, value) {
            ("message", Value::String(message)) => self.message = message,
            ("message", other) => self.message = other.to_string(),
            (name, value) => self.fields.push((name, value)),
        }
    }

    fn without_secrets(&self, name: &str, value: Value) -> Value {
        let Some(redaction) = self.redaction else {
            return value;
        };
        if redaction.is_secret(name) {
            return REDACTED.into();
        }
        match value {
            Value::String(text) => Value::String(match redaction.text(&text) {
                Cow::Borrowed(_) => text,
                Cow::Owned(shown) => shown,
            }),
            Value::Number(number)
                if number
                    .as_u64()
                    .is_some_and(|it| redaction.is_secret_number(it)) =>
            {
                REDACTED.into()
            }
            other => other,
        }
    }
}

/// `number` with a comma after each three digits from its end.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::String(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut next = value.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        self.put(field, Value::String(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (4_213, "4,213"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
