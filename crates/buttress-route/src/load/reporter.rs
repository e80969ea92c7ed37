//! What a server says of its load, set from anywhere in it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use http::HeaderValue;

use super::LoadReport;

/// What a [`ReportLoadLayer`](super::ReportLoadLayer) reports. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct LoadReporter(Source);

#[derive(Clone)]
enum Source {
    Told(Arc<Told>),
    Asked(Arc<dyn Fn() -> LoadReport + Send + Sync>),
}

/// What was told last, and the header that says so: an answer pays for no printing.
#[derive(Debug, Default)]
struct Told {
    report: Mutex<LoadReport>,
    header: ArcSwapOption<HeaderValue>,
}

impl Default for LoadReporter {
    /// One that reports nothing until it is told something.
    fn default() -> Self {
        Self(Source::Told(Arc::default()))
    }
}

impl LoadReporter {
    /// One that reports nothing until it is told something.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that asks for each answer, and prints it, which allocates. If it panics that answer is lost and no other.
    pub fn from_fn(ask: impl Fn() -> LoadReport + Send + Sync + 'static) -> Self {
        Self(Source::Asked(Arc::new(ask)))
    }

    /// The share of the CPU that is used, from now on. Whatever is below 0, above 100 or no number is not reported.
    /// Best a mean over about a second: a moment's figure swings.
    pub fn set_cpu_utilization(&self, utilization: f64) {
        self.set(|report| report.cpu_utilization = Some(utilization));
    }

    /// How busy the application is by its own measure, from now on; bounds as above.
    pub fn set_application_utilization(&self, utilization: f64) {
        self.set(|report| report.application_utilization = Some(utilization));
    }

    /// Changes the report. Does nothing to one that asks ([`LoadReporter::from_fn`]).
    pub fn set(&self, change: impl FnOnce(&mut LoadReport)) {
        let Source::Told(told) = &self.0 else { return };
        let mut report = told.report.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = *report;
        change(&mut changed);
        *report = changed;
        told.header.store(header(&changed).map(Arc::new));
    }

    /// The header that says it; `None` while there is nothing to say.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        match &self.0 {
            Source::Told(told) => told.header.load().as_deref().cloned(),
            Source::Asked(ask) => header(&ask()),
        }
    }
}

fn header(report: &LoadReport) -> Option<HeaderValue> {
    if report.is_empty() {
        return None;
    }
    HeaderValue::from_maybe_shared(report.to_string()).ok()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(told) => f.debug_tuple("Told").field(told).finish(),
            Self::Asked(_) => f.debug_tuple("Asked").finish_non_exhaustive(),
        }
    }
}
