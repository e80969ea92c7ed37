//! Getting spans and metrics out of the process without hurting it.

#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod held;
#[cfg(feature = "otlp")]
mod pipeline;
#[cfg(feature = "otlp")]
mod push;
#[cfg(feature = "otlp")]
mod queue;
#[cfg(feature = "otlp")]
mod sampling;
#[cfg(feature = "otlp")]
mod tail;

#[cfg(feature = "otlp")]
pub(crate) use pipeline::{Pipeline, set_global_propagator};
#[cfg(feature = "otlp")]
pub(crate) use push::Push;

#[cfg(not(feature = "otlp"))]
pub(crate) use absent::{Pipeline, Push, set_global_propagator};

#[cfg(not(feature = "otlp"))]
mod absent {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use tracing::Dispatch;

    use crate::config::Otlp;
    use crate::error::InitError;
    use crate::handle::Counters;
    use crate::push::MetricsPush;
    use crate::redact::Redaction;

    /// Without the feature there can be none.
    #[derive(Debug)]
    pub(crate) struct Pipeline(Infallible);

    impl Pipeline {
        pub(crate) fn install<S>(
            _: S,
            _: &Otlp,
            _: &[(String, String)],
            _: Redaction,
            _: Arc<Counters>,
        ) -> Result<(Dispatch, Self), InitError> {
            Err(off())
        }

        #[expect(clippy::unused_async, reason = "as the one that exports")]
        pub(crate) async fn flush(&self, _: Duration) -> bool {
            match self.0 {}
        }

        #[expect(clippy::unused_async, reason = "as the one that exports")]
        pub(crate) async fn shutdown(self, _: Duration) -> bool {
            match self.0 {}
        }
    }

    /// Nor this.
    #[derive(Debug)]
    pub(crate) struct Push(Infallible);

    impl Push {
        pub(crate) fn start(
            _: MetricsPush,
            _: &[(String, String)],
            _: Arc<Counters>,
        ) -> Result<Self, InitError> {
            Err(off())
        }

        pub(crate) const fn tell(&self, _: &Dispatch) {
            match self.0 {}
        }

        #[expect(clippy::unused_async, reason = "as the one that exports")]
        pub(crate) async fn flush(&self, _: Duration) -> bool {
            match self.0 {}
        }

        #[expect(clippy::unused_async, reason = "as the one that exports")]
        pub(crate) async fn shutdown(self, _: Duration) -> bool {
            match self.0 {}
        }
    }

    fn off() -> InitError {
        let problem = "this build cannot export, the feature `otlp` is off";
        InitError::Endpoint(problem.to_owned())
    }

    pub(crate) const fn set_global_propagator() {}
}
