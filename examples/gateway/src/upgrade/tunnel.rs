//! Two connections that are one from here on, and the line that says how that ended.

use std::time::Duration;

use buttress::telemetry::access;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::counts::{End, Open};
use super::pump::{self, Limits, Passed};
use crate::body::now;
use crate::timed::Tunnelled;

/// Two connections about to be one.
#[derive(Debug)]
pub(super) struct Tunnel {
    client: OnUpgrade,
    upstream: OnUpgrade,
    limits: Limits,
    account: Account,
}

impl Tunnel {
    /// Of two connections, counted as `open` and `at_endpoint`.
    pub(super) fn new(
        (client, upstream): (OnUpgrade, OnUpgrade),
        limits: Limits,
        open: Open,
        at_endpoint: Tunnelled,
    ) -> Self {
        Self {
            client,
            upstream,
            limits,
            account: Account {
                open,
                at_endpoint,
                passed: Passed::default(),
                begun: now(),
            },
        }
    }

    /// Ends when both ends are done, one of them broke, or what is waited for does not come.
    pub(super) async fn carry(self) {
        let Self {
            client,
            upstream,
            limits,
            mut account,
        } = self;
        account.open.ended(End::Cut);
        // Both are there as soon as both heads have passed.
        let both = async { tokio::try_join!(client, upstream) };
        let end = match within(limits.half, both).await {
            Some(Ok((client, upstream))) => {
                let (client, upstream) = (TokioIo::new(client), TokioIo::new(upstream));
                let passed = |more| account.passed(more);
                pump::carry(client, upstream, limits, passed).await
            }
            Some(Err(_)) => End::Broken,
            None => End::Idle,
        };
        account.open.ended(end);
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

/// What is kept of a tunnel, and said where it is dropped: also of one that is cut.
#[derive(Debug)]
struct Account {
    open: Open,
    at_endpoint: Tunnelled,
    passed: Passed,
    begun: Instant,
}

impl Account {
    fn passed(&mut self, more: Passed) {
        self.passed.to_upstream += more.to_upstream;
        self.passed.to_client += more.to_client;
        self.open.passed(more);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let lasted = now().saturating_duration_since(self.begun);
        self.open.lasted(lasted);
        tracing::info!(
            target: access::TARGET,
            route = self.open.route(),
            pool = self.at_endpoint.pool(),
            endpoint = self.at_endpoint.endpoint(),
            to_upstream_bytes = self.passed.to_upstream,
            to_client_bytes = self.passed.to_client,
            duration_ms = access::millis(lasted),
            reason = self.open.end().as_str(),
            "tunnel ended",
        );
    }
}
