//! Spans, before they leave.

use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::{REDACTED, Redaction};

/// What a client was told, and may show to anybody.
const SHOWN: &str = "correlation_id";

impl Redaction {
    /// Cuts what must not be seen out of all that `span` says.
    pub(crate) fn span(&self, span: &mut SpanData) {
        if let Some(shown) = self.changed(&span.name) {
            span.name = shown.into();
        }
        if let Status::Error { description } = &mut span.status
            && let Some(shown) = self.changed(description)
        {
            *description = shown.into();
        }
        self.attributes(&mut span.attributes);
        for event in &mut span.events.events {
            if let Some(shown) = self.changed(&event.name) {
                event.name = shown.into();
            }
            self.attributes(&mut event.attributes);
        }
        for link in &mut span.links.links {
            self.attributes(&mut link.attributes);
        }
    }

    fn attributes(&self, attributes: &mut Vec<KeyValue>) {
        attributes.retain(|attribute| self.0.path || attribute.key.as_str() != "url.path");
        for attribute in attributes {
            match attribute.key.as_str() {
                SHOWN => {}
                "url.full" if !self.0.path => without_path(&mut attribute.value),
                name if self.is_secret(name) => attribute.value = REDACTED.into(),
                _ => self.value(&mut attribute.value),
            }
        }
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.string(text),
            Value::Array(Array::String(texts)) => {
                for text in texts {
                    self.string(text);
                }
            }
            Value::I64(number) if self.is_secret_number(number.unsigned_abs()) => {
                *value = REDACTED.into();
            }
            _ => {}
        }
    }

    fn string(&self, text: &mut StringValue) {
        if let Some(shown) = self.changed(text.as_str()) {
            *text = shown.into();
        }
    }

    /// `text` without its secrets, if there are any.
    fn changed(&self, text: &str) -> Option<String> {
        match self.text(text) {
            std::borrow::Cow::Borrowed(_) => None,
            std::borrow::Cow::Owned(shown) => Some(shown),
        }
    }
}

/// Keeps the scheme and the authority of a URL.
fn without_path(value: &mut Value) {
    let url = value.as_str().into_owned();
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url.get(authority..).and_then(|rest| rest.find('/'));
    if let Some(shown) = end.and_then(|end| url.get(..authority + end)) {
        *value = shown.to_owned().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(redaction: &Redaction, attributes: &[(&'static str, Value)]) -> Vec<(String, String)> {
        let mut attributes = attributes
            .iter()
            .map(|(key, value)| KeyValue::new(*key, value.clone()))
            .collect();
        redaction.attributes(&mut attributes);
        let shown = attributes.into_iter();
        shown
            .map(|it| (it.key.to_string(), it.value.to_string()))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = expected.iter();
        owned
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn attributes_are_cut_by_name_and_by_shape_and_the_id_is_not() {
        let attributes = [
            ("correlation_id", "ann@example.com".into()),
            ("user", "ann@example.com".into()),
            ("api_key", "hunter2".into()),
            ("card", 4_111_111_111_111_111_i64.into()),
            ("n", 7_i64.into()),
            (
                "both",
                Value::Array(vec![StringValue::from("a@b.co")].into()),
            ),
        ];
        let expected = [
            ("correlation_id", "ann@example.com"),
            ("user", REDACTED),
            ("api_key", REDACTED),
            ("card", REDACTED),
            ("n", "7"),
            ("both", "[\"[redacted]\"]"),
        ];
        assert_eq!(shown(&Redaction::new(), &attributes), pairs(&expected));
    }

    #[test]
    fn paths_are_shown_or_not_as_asked() {
        let attributes = [
            ("url.path", "/orders/canary".into()),
            ("url.full", "http://host:81/orders/canary".into()),
        ];
        let kept = shown(&Redaction::new(), &attributes);
        assert!(format!("{kept:?}").contains("canary"));
        let hidden = Redaction::new().show_path(false);
        let expected = [("url.full", "http://host:81")];
        assert_eq!(shown(&hidden, &attributes), pairs(&expected));
    }
}
