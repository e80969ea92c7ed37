//! A line for machines.

use serde_json::Value;

use super::escape;
use super::line::Line;

pub(super) fn render(line: &Line<'_>) -> String {
    let mut out = String::with_capacity(256);
    out.push('{');
    text(&mut out, "time", &line.time);
    text(&mut out, "level", line.level.as_str());
    text(&mut out, "target", &line.target);
    if let Some(id) = &line.correlation {
        text(&mut out, "correlation_id", id.as_str());
    }
    if let Some(trace) = &line.trace {
        text(&mut out, "trace_id", &format!("{:032x}", trace.trace_id));
        text(&mut out, "span_id", &format!("{:016x}", trace.span_id));
    }
    text(&mut out, "message", &line.message);
    if !line.fields.is_empty() {
        key(&mut out, "fields");
        out.push('{');
        for (name, field) in &line.fields {
            key(&mut out, name);
            value(&mut out, field);
        }
        out.push('}');
    }
    out.push('}');
    let mut out = escape::in_json(out);
    out.push('\n');
    out
}

fn text(out: &mut String, name: &str, text: &str) {
    key(out, name);
    quoted(out, text);
}

fn key(out: &mut String, name: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    quoted(out, name);
    out.push(':');
}

fn quoted(out: &mut String, text: &str) {
    // A string always has a form in JSON; the empty fallback is never taken.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn value(out: &mut String, value: &Value) {
    out.push_str(&value.to_string());
}
