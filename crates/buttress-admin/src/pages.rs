//! The pages, as plain data. Closures of others run here, and may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use crate::builder::Admin;
use crate::settings;

/// An answer before it is a response.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Every path there is, with what it shows.
const PATHS: [(&str, &str); 7] = [
    ("/", "this page"),
    ("/metrics", "metrics for Prometheus"),
    ("/health", "the health of each component"),
    ("/health/live", "whether the process works"),
    ("/health/ready", "whether traffic should come"),
    ("/status", "what each part is doing now"),
    ("/settings", "what can be changed"),
];

impl Page {
    fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
        }
    }

    /// A sentence of text.
    pub(crate) fn text(status: StatusCode, sentence: &str) -> Self {
        Self::new(status, TEXT, format!("{sentence}\n"))
    }

    pub(crate) fn not_found() -> Self {
        Self::text(
            StatusCode::NOT_FOUND,
            "no such page; / lists those there are",
        )
    }

    pub(crate) fn no_setting() -> Self {
        let sentence = "no such setting; /settings lists those there are";
        Self::text(StatusCode::NOT_FOUND, sentence)
    }

    fn json(serves: bool, content_type: &'static str, value: &Value) -> Self {
        let status = if serves {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        Self::new(status, content_type, format!("{value:#}\n"))
    }

    /// A value as JSON.
    pub(crate) fn object(status: StatusCode, value: &Value) -> Self {
        Self::new(status, JSON, format!("{value:#}\n"))
    }
}

impl Admin {
    /// Whether there is a page at `path`.
    pub(crate) fn has(&self, path: &str) -> bool {
        match path {
            "/" => true,
            "/metrics" => self.metrics.is_some(),
            "/health" | "/health/live" | "/health/ready" => self.health.is_some(),
            "/status" => !self.sections.is_empty(),
            settings::PATH => !(self.settings.is_empty() && self.listed.is_empty()),
            _ => false,
        }
    }

    /// The page at `path`, in the form that `headers` ask for where there is a choice.
    pub(crate) fn page(&self, path: &str, headers: &HeaderMap) -> Page {
        let page = match path {
            "/" => Some(self.index(accepts_json(headers))),
            "/metrics" => self.metrics_page(headers),
            "/health" => self.health_page(),
            "/health/live" => self.live_page(),
            "/health/ready" => self.ready_page(),
            settings::PATH => Some(self.settings_page()),
            _ => Some(self.status_page()),
        };
        page.unwrap_or_else(Page::not_found)
    }

    fn index(&self, as_json: bool) -> Page {
        let here = PATHS.iter().filter(|(path, _)| self.has(path));
        if as_json {
            let paths: Map<String, Value> = here
                .map(|&(path, shows)| (path.to_owned(), shows.into()))
                .collect();
            return Page::json(true, JSON, &json!({ "paths": paths }));
        }
        let lines = here.map(|(path, shows)| format!("{path:<16}{shows}\n"));
        Page::new(StatusCode::OK, TEXT, lines.collect::<String>())
    }

    fn metrics_page(&self, headers: &HeaderMap) -> Option<Page> {
        let render = self.metrics.as_ref()?;
        Some(match caught(|| render(headers)) {
            Ok((content_type, page)) => Page::new(StatusCode::OK, content_type, page),
            Err(problem) => Page::text(StatusCode::INTERNAL_SERVER_ERROR, problem),
        })
    }

    fn health_page(&self) -> Option<Page> {
        let report = self.health.as_ref()?.report();
        let serves = report.status().serves();
        let content_type = buttress_health::CONTENT_TYPE;
        Some(Page::json(serves, content_type, &report.to_json()))
    }

    fn live_page(&self) -> Option<Page> {
        let live = self.health.as_ref()?.is_live();
        Some(probe(live, &json!({ "status": pass(live) })))
    }

    fn ready_page(&self) -> Option<Page> {
        // Read once: a drain in between must not say two things.
        let phase = self.health.as_ref()?.readiness().phase();
        let ready = phase == buttress_health::Phase::Ready;
        let body = json!({ "status": pass(ready), "phase": phase.as_str() });
        Some(probe(ready, &body))
    }

    fn status_page(&self) -> Page {
        let sections = self.sections.iter().map(|(name, section)| {
            let value = caught(section).unwrap_or_else(|problem| json!({ "error": problem }));
            (name.clone(), value)
        });
        Page::json(true, JSON, &Value::Object(sections.collect()))
    }
}

fn accepts_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("application/json"))
}

fn probe(passes: bool, body: &Value) -> Page {
    Page::json(passes, buttress_health::CONTENT_TYPE, body)
}

fn pass(passes: bool) -> &'static str {
    if passes { "pass" } else { "fail" }
}

/// Runs what may panic.
pub(crate) fn caught<T>(render: impl Fn() -> T) -> Result<T, &'static str> {
    catch_unwind(AssertUnwindSafe(render)).map_err(|_| "what renders this panicked")
}
