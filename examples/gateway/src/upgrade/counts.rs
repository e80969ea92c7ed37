//! How many tunnels there are, what passed through them, and how they ended.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use buttress::core::metric::{Collect, Family, Kind, Value};

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
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both ends were done.
    Closed,
    /// Nothing passed for too long.
    Idle,
    /// One of the two connections broke.
    Broken,
    /// The gateway ended first.
    Cut,
}

impl End {
    const ALL: [Self; 4] = [Self::Closed, Self::Idle, Self::Broken, Self::Cut];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "idle",
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
            end: End::Cut,
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

    pub(super) fn sent_to_upstream(&self, bytes: u64) {
        self.tunnels.0.to_upstream.fetch_add(bytes, Relaxed);
    }

    pub(super) fn sent_to_client(&self, bytes: u64) {
        self.tunnels.0.to_client.fetch_add(bytes, Relaxed);
    }

    /// It ended so, and was not cut.
    pub(super) const fn ended(&mut self, end: End) {
        self.end = end;
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
    }
}
