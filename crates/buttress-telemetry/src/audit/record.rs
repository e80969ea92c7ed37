//! One record, and its line.

use std::fmt::Write;

use buttress_correlation::CorrelationId;
use serde_json::Value;

use crate::log::{escape, wall_time};
use crate::redact::{REDACTED, Redaction};

/// What kind of change it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A rule changed the state of something.
    Transition,
    /// Somebody changed it by hand.
    Override,
    /// What the process is told was changed.
    Configuration,
    /// Records were lost before they came here.
    Gap,
}

impl Kind {
    /// The name in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transition => "transition",
            Self::Override => "override",
            Self::Configuration => "configuration",
            Self::Gap => "gap",
        }
    }
}

/// A change, with who made it and why.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a record is written by `Audit::record`"]
pub struct Record {
    kind: Kind,
    subject: String,
    who: String,
    why: String,
    before: Value,
    after: Value,
}

impl Record {
    /// A change of `subject`, of which nothing else is known.
    pub fn new(kind: Kind, subject: impl Into<String>) -> Self {
        Self {
            kind,
            subject: subject.into(),
            who: String::new(),
            why: String::new(),
            before: Value::Null,
            after: Value::Null,
        }
    }

    /// Who made it.
    pub fn who(mut self, who: impl Into<String>) -> Self {
        self.who = who.into();
        self
    }

    /// Why.
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// What was so until then, and what is so since: names, numbers, objects.
    pub fn change(mut self, before: impl Into<Value>, after: impl Into<Value>) -> Self {
        (self.before, self.after) = (before.into(), after.into());
        self
    }

    /// The line in the file.
    pub(super) fn line(self, number: u64, redaction: &Redaction) -> String {
        let shown = |text: &str| Value::String(redaction.text(text).into_owned());
        let id = CorrelationId::current();
        let fields = [
            ("time", wall_time().into()),
            ("record", number.into()),
            ("kind", self.kind.as_str().into()),
            ("subject", shown(&self.subject)),
            ("who", shown(&self.who)),
            ("why", shown(&self.why)),
            ("before", without_secrets(self.before, redaction)),
            ("after", without_secrets(self.after, redaction)),
        ];
        let of_request = id.map(|id| ("correlation_id", id.as_str().into()));
        let mut line = String::new();
        for (key, value) in fields.into_iter().chain(of_request) {
            let between = if line.is_empty() { '{' } else { ',' };
            // Writing to a string cannot fail.
            let _ = write!(line, "{between}\"{key}\":{value}");
        }
        line.push('}');
        let mut line = escape::in_json(line);
        line.push('\n');
        line
    }
}

fn without_secrets(value: Value, redaction: &Redaction) -> Value {
    match value {
        Value::String(text) => redaction.text(&text).into_owned().into(),
        Value::Array(values) => values
            .into_iter()
            .map(|value| without_secrets(value, redaction))
            .collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                if redaction.is_secret(&name) {
                    return (name, REDACTED.into());
                }
                (name, without_secrets(value, redaction))
            })
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_is_one_line_with_who_why_before_and_after_and_no_secret() {
        let record = Record::new(Kind::Override, "log filter")
            .who("127.0.0.1:9")
            .why("asked by\nann@example.com \u{202e}\u{9b}31m")
            .change("info", json!({ "filter": "debug", "token": "canary" }));
        let id: CorrelationId = "order-7".parse().unwrap();
        let line = id.sync_scope(|| record.line(3, &Redaction::new()));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.is_ascii(), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        assert!(read["time"].as_str().unwrap().ends_with('Z'));
        for (key, value) in [
            ("record", json!(3)),
            ("kind", json!("override")),
            ("subject", json!("log filter")),
            ("who", json!("127.0.0.1:9")),
            ("why", json!("asked by\n[redacted] \u{202e}\u{9b}31m")),
            ("before", json!("info")),
            ("after", json!({ "filter": "debug", "token": "[redacted]" })),
            ("correlation_id", json!("order-7")),
        ] {
            assert_eq!(read[key], value, "{key}");
        }
    }
}
