//! One place that asks every room for its metrics, and what the process and its runtime say.

#[cfg(feature = "process")]
mod process;
mod runtime;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::metric::{Collect, Family};
use http::HeaderMap;

use crate::exposition::{self, Format};

#[cfg(feature = "process")]
#[cfg_attr(docsrs, doc(cfg(feature = "process")))]
pub use process::ProcessMetrics;
pub use runtime::RuntimeMetrics;

/// Everything that can be asked for metrics, and the page made of it. Cheap to clone; clones share
/// what is registered.
///
/// ```
/// use std::sync::Arc;
/// use buttress_correlation::CorrelationLayer;
/// use buttress_telemetry::Metrics;
///
/// let layer = CorrelationLayer::default();
/// let metrics = Metrics::new();
/// metrics.register(Arc::new(layer.handle()));
/// assert!(metrics.render().contains("buttress_correlation_ids_total{source=\"minted\"} 0"));
/// ```
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

struct Shared {
    sources: RwLock<Vec<Arc<dyn Collect>>>,
    /// Since the Unix epoch.
    since: Duration,
}

impl Metrics {
    /// Nothing registered yet.
    pub fn new() -> Self {
        let shared = Shared {
            sources: RwLock::default(),
            since: Clock::default().since_1970(),
        };
        Self(Arc::new(shared))
    }

    /// When this was made, since the Unix epoch: what is told of with a beginning counts from here.
    pub fn since(&self) -> Duration {
        self.0.since
    }

    /// Asks `source` too from now on.
    pub fn register(&self, source: Arc<dyn Collect>) {
        let mut sources = self
            .0
            .sources
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        sources.push(source);
    }

    /// What every source says now, in the order of registration.
    pub fn collect(&self) -> Vec<Family> {
        // Copied out: a source is somebody else's code and is not called under the lock.
        let sources = self.sources();
        let mut families = Vec::new();
        for source in &sources {
            source.collect(&mut families);
        }
        families
    }

    /// The answer to a scraper that sent `headers`: the content type and the page in the
    /// [form](exposition) that their `Accept` prefers.
    pub fn page(&self, headers: &HeaderMap) -> (&'static str, Vec<u8>) {
        let format = Format::negotiate(headers);
        (format.content_type(), format.encode(&self.collect()))
    }

    /// The page of Prometheus text.
    pub fn render(&self) -> String {
        exposition::text(&self.collect())
    }

    fn sources(&self) -> Vec<Arc<dyn Collect>> {
        self.0
            .sources
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Collect for Metrics {
    fn collect(&self, into: &mut Vec<Family>) {
        into.extend(Self::collect(self));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("sources", &self.sources().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::metric::{Kind, Value};

    struct Source(Metrics);

    impl Collect for Source {
        fn collect(&self, into: &mut Vec<Family>) {
            // Would hang if the registry's lock were held meanwhile.
            self.0.register(Arc::new(Silent));
            into.push(Family::new("n", Kind::Counter, "N.").with(vec![], Value::Counter(1)));
        }
    }

    struct Silent;

    impl Collect for Silent {
        fn collect(&self, _: &mut Vec<Family>) {}
    }

    #[test]
    fn sources_are_asked_outside_of_any_lock() {
        let metrics = Metrics::new();
        metrics.register(Arc::new(Source(metrics.clone())));
        assert!(metrics.render().ends_with("n_total 1\n"));
        assert_eq!(metrics.sources().len(), 2);
    }
}
