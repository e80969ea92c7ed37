//! What tokio says of a runtime.

use std::borrow::Cow;

use buttress_core::metric::{Collect, Family, Kind, Value};
use tokio::runtime::Handle;

/// The `tokio_*` metrics: what tokio counts of one runtime without any flag of the compiler.
///
/// Several runtimes of one process cannot be told apart by them: register one.
///
/// ```
/// use std::sync::Arc;
/// use buttress_telemetry::metrics::{Metrics, RuntimeMetrics};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let metrics = Metrics::new();
/// metrics.register(Arc::new(RuntimeMetrics::of(&tokio::runtime::Handle::current())));
/// assert!(metrics.render().contains("tokio_workers 1\n"));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RuntimeMetrics(tokio::runtime::RuntimeMetrics);

impl RuntimeMetrics {
    /// Of the runtime behind `handle`, which may end before this does.
    pub fn of(handle: &Handle) -> Self {
        Self(handle.metrics())
    }

    fn gauges(&self) -> [Family; 3] {
        let gauge = |name, help, value: usize| {
            Family::new(name, Kind::Gauge, help).with(vec![], Value::Gauge(value as f64))
        };
        [
            gauge(
                "tokio_workers",
                "Threads on which the runtime polls tasks.",
                self.0.num_workers(),
            ),
            gauge(
                "tokio_alive_tasks",
                "Tasks that were spawned and have not ended.",
                self.0.num_alive_tasks(),
            ),
            gauge(
                "tokio_global_queue_tasks",
                "Tasks in the queue that all workers share, ready to be polled and not yet taken by one.",
                self.0.global_queue_depth(),
            ),
        ]
    }

    /// The time on workers, and how often they had nothing to do.
    #[cfg(target_has_atomic = "64")]
    fn workers(&self) -> [Family; 2] {
        let help = "Time in which a worker polled tasks or saw to the runtime, and did not wait.";
        let mut busy = Family::new("tokio_worker_busy_seconds", Kind::Counter, help);
        let help = "Times a worker went to sleep for lack of work.";
        let mut parks = Family::new("tokio_worker_parks", Kind::Counter, help);
        for worker in 0..self.0.num_workers() {
            let labels = vec![("worker", Cow::Owned(worker.to_string()))];
            let time = self.0.worker_total_busy_duration(worker);
            busy.push(labels.clone(), Value::Time(time));
            parks.push(labels, Value::Counter(self.0.worker_park_count(worker)));
        }
        [busy, parks]
    }

    #[cfg(not(target_has_atomic = "64"))]
    #[expect(clippy::unused_self, reason = "as the one that can count")]
    fn workers(&self) -> [Family; 0] {
        []
    }
}

impl Collect for RuntimeMetrics {
    fn collect(&self, into: &mut Vec<Family>) {
        into.extend(self.gauges());
        into.extend(self.workers());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spawned_is_seen_and_a_runtime_that_has_ended_can_still_be_asked() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let metrics = RuntimeMetrics::of(runtime.handle());
        let value = |name: &str| {
            let mut families = Vec::new();
            metrics.collect(&mut families);
            let mut found = families.into_iter().filter(|family| family.name == name);
            found.next().unwrap().points
        };
        let task = runtime.spawn(std::future::pending::<()>());
        assert_eq!(value("tokio_workers")[0].value, Value::Gauge(2.0));
        assert_eq!(value("tokio_alive_tasks")[0].value, Value::Gauge(1.0));
        assert_eq!(value("tokio_worker_busy_seconds").len(), 2);
        task.abort();
        runtime.shutdown_background();
        assert_eq!(value("tokio_worker_parks").len(), 2);
    }
}
