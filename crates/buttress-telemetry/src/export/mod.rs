//! Getting spans out of the process without hurting it.

#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod pipeline;
#[cfg(feature = "otlp")]
mod queue;

#[cfg(feature = "otlp")]
pub(crate) use pipeline::{Pipeline, set_global_propagator};

#[cfg(not(feature = "otlp"))]
pub(crate) use absent::{Pipeline, set_global_propagator};

#[cfg(not(feature = "otlp"))]
mod absent {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use tracing::Dispatch;

    use crate::config::Otlp;
    use crate::error::InitError;
    use crate::handle::Counters;

    /// Without the feature there can be none.
    #[derive(Debug)]
    pub(crate) struct Pipeline(Infallible);

    impl Pipeline {
        pub(crate) fn install<S>(
            _: S,
            _: &Otlp,
            _: String,
            _: Arc<Counters>,
        ) -> Result<(Dispatch, Self), InitError> {
            let problem = "this build cannot export, the feature `otlp` is off";
            Err(InitError::Endpoint(problem.to_owned()))
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

    pub(crate) const fn set_global_propagator() {}
}
