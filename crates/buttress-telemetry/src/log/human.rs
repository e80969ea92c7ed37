//! A line for eyes.

use std::fmt::Write;

use serde_json::Value;

use super::escape;
use super::line::Line;

pub(super) fn render(line: &Line<'_>) -> String {
    let mut out = String::with_capacity(160);
    // Writing to a string cannot fail.
    let _ = write!(out, "{} {:>5} ", line.time, line.level);
    if let Some(id) = &line.correlation {
        let _ = write!(out, "[{id}] ");
    }
    escape::harmless(&mut out, &line.target);
    out.push_str(": ");
    escape::harmless(&mut out, &line.message);
    for (name, value) in &line.fields {
        let _ = write!(out, " {name}=");
        match value {
            Value::String(text) => escape::value(&mut out, text),
            other => {
                let _ = write!(out, "{other}");
            }
        }
    }
    if let Some(trace) = &line.trace {
        let _ = write!(
            out,
            " trace_id={:032x} span_id={:016x}",
            trace.trace_id, trace.span_id
        );
    }
    out.push('\n');
    out
}
