//! How many tunnels there are, what passed through them, and how they ended.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use buttress::core::metric::{Collect, Family, Kind, Value};

use super::durations::Durations;
use super::pump::Passed;

/// The tunnels of one route; clones count as one.
#[derive(Clone, Debug)]
pub struct Tunnels(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    route: Arc<str>,
    opened: AtomicU64,
    ended: [AtomicU64; End::ALL.len()],
    to_upstream: AtomicU64,
    to_client: AtomicU64,
    lasted: Durations,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both ends were done.
    Closed,
    /// Nothing passed for too long.
    Idle,
    /// One of the two took nothing of what waited for it for too long.
    Stuck,
    /// One of the two connections broke.
    Broken,
    /// The gateway ended first.
    Cut,
}

impl End {
    const ALL: [Self; 5] = [
        Self::Closed,
        Self::Idle,
        Self::Stuck,
        Self::Broken,
        Self::Cut,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::Stuck => "stuck",
            Self::Broken => "broken",
            Self::Cut => "cut",
        }
    }
}

impl Tunnels {
    /// None yet, of the route of that name.
    pub fn new(route: &str) -> Self {
        Self(Arc::new(Counts {
            route: route.into(),
            opened: AtomicU64::new(0),
            ended: Default::default(),
            to_upstream: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
            lasted: Durations::default(),
        }))
    }

    /// Open at this moment.
    pub fn now(&self) -> u64 {
        // Ended first: who ends in between counts as open.
        let ended: u64 = self.0.ended.iter().map(|count| count.load(Relaxed)).sum();
        self.0.opened.load(Relaxed).saturating_sub(ended)
    }

    /// One more, until what this gives is dropped.
    pub(super) fn open(&self) -> Open {
        self.0.opened.fetch_add(1, Relaxed);
        Open {
            tunnels: self.clone(),
            // As long as nobody carries it.
            end: End::Broken,
        }
    }
}

/// A tunnel that is open.
#[derive(Debug)]
pub(super) struct Open {
    tunnels: Tunnels,
    end: End,
}

impl Open {
    pub(super) fn route(&self) -> &str {
        &self.tunnels.0.route
    }

    pub(super) fn passed(&self, more: Passed) {
        let counts = &*self.tunnels.0;
        counts.to_upstream.fetch_add(more.to_upstream, Relaxed);
        counts.to_client.fetch_add(more.to_client, Relaxed);
    }

    pub(super) fn lasted(&self, lasted: Duration) {
        self.tunnels.0.lasted.record(lasted);
    }

    /// Dropped from here on it ended so.
    pub(super) const fn ended(&mut self, end: End) {
        self.end = end;
    }

    /// How it ends where it is dropped.
    pub(super) const fn end(&self) -> End {
        self.end
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(count) = self.tunnels.0.ended.get(self.end as usize) {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// A count of connections, as a gauge shows it.
#[expect(clippy::cast_precision_loss, reason = "there are no 2^53 connections")]
pub(crate) const fn gauge(connections: u64) -> Value {
    Value::Gauge(connections as f64)
}

impl Collect for Tunnels {
    fn collect(&self, into: &mut Vec<Family>) {
        let counts = &*self.0;
        let route = || ("route", Cow::Owned(counts.route.to_string()));
        let counter = |count: &AtomicU64| Value::Counter(count.load(Relaxed));
        let open = Family::new(
            "buttress_gateway_tunnels",
            Kind::Gauge,
            "Connections that go on in another protocol after an upgrade, open now.",
        );
        into.push(open.with(vec![route()], gauge(self.now())));
        let mut ended = Family::new(
            "buttress_gateway_tunnels_ended_total",
            Kind::Counter,
            "Tunnels that ended, by how.",
        );
        for (end, count) in End::ALL.into_iter().zip(&counts.ended) {
            let labels = vec![route(), ("reason", Cow::Borrowed(end.as_str()))];
            ended.push(labels, counter(count));
        }
        into.push(ended);
        let mut bytes = Family::new(
            "buttress_gateway_tunnel_bytes_total",
            Kind::Counter,
            "Bytes that passed through tunnels, by where they went.",
        );
        for (to, count) in [
            ("upstream", &counts.to_upstream),
            ("client", &counts.to_client),
        ] {
            bytes.push(vec![route(), ("to", Cow::Borrowed(to))], counter(count));
        }
        into.push(bytes);
        let lasted = Family::new(
            "buttress_gateway_tunnel_duration_seconds",
            Kind::Histogram,
            "How long tunnels lasted that have ended, from the head of the 101.",
        );
        into.push(lasted.with(vec![route()], Value::Histogram(counts.lasted.histogram())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_until_it_ends_or_is_dropped_and_counts_once() {
        let tunnels = Tunnels::new("r");
        let mut open = tunnels.open();
        let cut = tunnels.open();
        assert_eq!(tunnels.now(), 2);
        open.ended(End::Idle);
        assert_eq!(tunnels.now(), 2);
        drop(open);
        drop(cut);
        assert_eq!(tunnels.now(), 0);
    }
}
