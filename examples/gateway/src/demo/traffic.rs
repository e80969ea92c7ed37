//! Gentle traffic, sent when it is due whatever became of the requests before.
//!
//! A closed loop would send less while an upstream is slow, and so hide what the demo shows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use crate::server::{Drain, Phase};

/// Requests a second.
pub const RATE: u32 = 60;
/// Requests in flight; what is due beyond that is counted as skipped.
const MOST_IN_FLIGHT: usize = 512;

/// What became of the traffic so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Requests sent.
    pub sent: u64,
    /// Answers below 500.
    pub good: u64,
    /// Answers from 500 up, and no answers.
    pub bad: u64,
    /// Requests that were due while too many were in flight.
    pub skipped: u64,
}

/// Running traffic; clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    good: AtomicU64,
    bad: AtomicU64,
    skipped: AtomicU64,
}

type TrafficClient = Client<HttpConnector, Empty<Bytes>>;

impl Traffic {
    /// Sends [`RATE`] requests a second to a gateway until `drain` begins.
    pub fn start(gateway: SocketAddr, drain: Drain) -> Self {
        let traffic = Self::default();
        let sender = traffic.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = sender.send(gateway) => {}
                () = drain.reached(Phase::LameDuck) => {}
            }
        });
        traffic
    }

    /// What became of it so far.
    pub fn counts(&self) -> TrafficCounts {
        let Counts {
            sent,
            good,
            bad,
            skipped,
        } = &*self.counts;
        TrafficCounts {
            sent: sent.load(Relaxed),
            good: good.load(Relaxed),
            bad: bad.load(Relaxed),
            skipped: skipped.load(Relaxed),
        }
    }

    async fn send(self, gateway: SocketAddr) {
        let Ok(uri) = format!("http://{gateway}/").parse::<Uri>() else {
            return;
        };
        let client: TrafficClient = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build_http();
        let places = Arc::new(Semaphore::new(MOST_IN_FLIGHT));
        let mut due = tokio::time::interval(Duration::from_secs(1) / RATE);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            due.tick().await;
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                self.counts.skipped.fetch_add(1, Relaxed);
                continue;
            };
            self.counts.sent.fetch_add(1, Relaxed);
            let (client, uri, counts) = (client.clone(), uri.clone(), Arc::clone(&self.counts));
            tokio::spawn(async move {
                let count = if is_good(&client, uri).await {
                    &counts.good
                } else {
                    &counts.bad
                };
                count.fetch_add(1, Relaxed);
                drop(place);
            });
        }
    }
}

async fn is_good(client: &TrafficClient, uri: Uri) -> bool {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    let Ok(response) = client.request(request).await else {
        return false;
    };
    let good = !response.status().is_server_error();
    response.into_body().collect().await.is_ok() && good
}
