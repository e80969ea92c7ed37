//! Metrics on their way to the collector, on a thread of their own.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, mpsc as blocking};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest,
};
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tracing::Dispatch;
use tracing::dispatcher::{self, WeakDispatch};

use super::exporter::Told;
use super::pipeline::{Own, check, resource_of, runtime, within};
use crate::error::InitError;
use crate::handle::Counters;
use crate::otlp;
use crate::push::MetricsPush;

/// How many may wait for a push that they asked for; there is one at a time.
const ASKING: usize = 16;

/// Pushes until it is dropped or shut down.
#[derive(Debug)]
pub(crate) struct Push {
    asking: mpsc::Sender<Asked>,
    runtime: Own,
    told: Told,
}

/// Somebody waits for a push to be done.
#[derive(Debug)]
struct Asked {
    tell: blocking::SyncSender<bool>,
    last: bool,
}

impl Push {
    pub(crate) fn start(
        config: MetricsPush,
        resource: &[(String, String)],
        counters: Arc<Counters>,
    ) -> Result<Self, InitError> {
        check(&config.endpoint)?;
        let told: Told = Arc::new(OnceLock::new());
        let runtime = runtime("buttress-metrics")?;
        let (asking, asked) = mpsc::channel(ASKING);
        runtime.enter(|handle| {
            let pusher = Pusher {
                client: client(&config)?,
                resource: otlp::resource(&resource_of(resource)),
                config,
                counters,
                failing: false,
                told: Arc::clone(&told),
            };
            handle.spawn(pusher.run(asked));
            Ok(())
        })?;
        Ok(Self {
            asking,
            runtime,
            told,
        })
    }

    /// Says changes to `dispatch` from now on.
    pub(crate) fn tell(&self, dispatch: &Dispatch) {
        // Called here once, and nowhere else.
        let _first = self.told.set(dispatch.downgrade());
    }

    /// Pushes now; whether that was done within `timeout`.
    pub(crate) async fn flush(&self, timeout: Duration) -> bool {
        let asking = self.asking.clone();
        within(timeout, move || ask(&asking, false, timeout)).await
    }

    /// Pushes a last time and ends; whether that was done within `timeout`.
    pub(crate) async fn shutdown(self, timeout: Duration) -> bool {
        let Self {
            asking, runtime, ..
        } = self;
        let last = move || {
            let well = ask(&asking, true, timeout);
            drop(runtime);
            well
        };
        within(timeout, last).await
    }
}

/// Waits on this thread for the push that it asks for.
fn ask(asking: &mpsc::Sender<Asked>, last: bool, timeout: Duration) -> bool {
    let (tell, told) = blocking::sync_channel(1);
    asking.try_send(Asked { tell, last }).is_ok() && told.recv_timeout(timeout) == Ok(true)
}

fn client(config: &MetricsPush) -> Result<MetricsServiceClient<Channel>, InitError> {
    let endpoint = Endpoint::from_shared(config.endpoint.clone())
        .map_err(|error| InitError::Endpoint(error.to_string()))?;
    let channel = endpoint.connect_timeout(config.timeout).connect_lazy();
    Ok(MetricsServiceClient::new(channel))
}

struct Pusher {
    client: MetricsServiceClient<Channel>,
    resource: otlp::Resource,
    config: MetricsPush,
    counters: Arc<Counters>,
    failing: bool,
    told: Told,
}

impl Pusher {
    async fn run(mut self, mut asked: mpsc::Receiver<Asked>) {
        loop {
            let by_whom = tokio::select! {
                asked = asked.recv() => match asked {
                    Some(asked) => Some(asked),
                    // Nobody is left who could ask for the last one.
                    None => return,
                },
                () = self.config.clock.sleep(self.config.every) => None,
            };
            let well = self.push().await;
            if let Some(Asked { tell, last }) = by_whom {
                // An error says that nobody waits any more.
                let _ = tell.send(well);
                if last {
                    return;
                }
            }
        }
    }

    async fn push(&mut self) -> bool {
        let result = self.send().await;
        let counter = match result {
            Ok(()) => &self.counters.pushed,
            Err(_) => &self.counters.pushes_failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if result.is_err() != self.failing {
            self.failing = result.is_err();
            self.say(&result);
        }
        result.is_ok()
    }

    async fn send(&mut self) -> Result<(), String> {
        for request in self.requests().await? {
            let export = self.client.export(request);
            let answer = tokio::time::timeout(self.config.timeout, export)
                .await
                .map_err(|_| "no answer in time".to_owned())?
                .map_err(|status| format!("{:?}: {}", status.code(), status.message()))?;
            if let Some(partial) = answer.into_inner().partial_success {
                taken(&partial)?;
            }
        }
        Ok(())
    }

    /// Asked for where they may block and panic, as somebody else's code does.
    async fn requests(&self) -> Result<Vec<ExportMetricsServiceRequest>, String> {
        let (config, resource) = (self.config.clone(), self.resource.clone());
        let collect = move || {
            let families = config.metrics.collect();
            let since = config.metrics.since();
            let period = since..config.clock.since_1970().max(since);
            otlp::requests(&families, &resource, &period)
        };
        tokio::task::spawn_blocking(collect)
            .await
            .map_err(|_| "a source of metrics panicked".to_owned())
    }

    fn say(&self, result: &Result<(), String>) {
        let Some(dispatch) = self.told.get().and_then(WeakDispatch::upgrade) else {
            return;
        };
        let endpoint = &self.config.endpoint;
        dispatcher::with_default(&dispatch, || match result {
            Ok(()) => tracing::info!(
                target: "buttress::telemetry",
                endpoint,
                pushes_failed = self.counters.pushes_failed.load(Ordering::Relaxed),
                "the collector takes metrics again"
            ),
            Err(error) => tracing::warn!(
                target: "buttress::telemetry",
                endpoint,
                error,
                "metrics could not be pushed, the failures are counted until they can"
            ),
        });
    }
}

/// What the collector says of a request that it took.
fn taken(partial: &ExportMetricsPartialSuccess) -> Result<(), String> {
    match partial.rejected_data_points {
        0 => Ok(()),
        rejected => Err(format!(
            "{rejected} data points were rejected: {}",
            partial.error_message
        )),
    }
}
