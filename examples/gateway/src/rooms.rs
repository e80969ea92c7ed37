//! The handles of all that a gateway runs: for metrics, health, status, the table, and whoever takes it in hand.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use buttress::breaker::BreakerHandle;
use buttress::core::events::Subscription;
use buttress::core::health::HealthStatus;
use buttress::core::metric::{Collect, Family, Histogram, Kind, Value};
use buttress::core::verdict::By;
use buttress::correlation::CorrelationHandle;
use buttress::latency::{LatencyHandle, WindowSnapshot};
use buttress::route::discover::Discovery;
use buttress::route::failover::FailoverHandle;
use buttress::route::mirror::MirrorHandle;
use buttress::route::split::SplitHandle;
use buttress::route::{self, EndpointSnapshot, EndpointState, Event, PoolSnapshot, RouterHandle};

use crate::overrides::Told;
use crate::timed::PoolTimes;
use crate::upgrade::{Tunnels, gauge};

/// The rooms of one gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// IDs taken and minted.
    pub correlation: CorrelationHandle,
    /// What clients see, by route.
    pub latency: LatencyHandle,
    /// The routes, in the order of the configuration.
    pub routes: Arc<[RouteRoom]>,
    /// The pools, in the order of the configuration.
    pub pools: Arc<[PoolRoom]>,
}

/// One route.
#[derive(Clone, Debug)]
pub struct RouteRoom {
    /// The route's name, which is also its breaker's.
    pub name: Arc<str>,
    /// The pool that takes what goes to no canary.
    pub pool: Arc<str>,
    /// The breaker over its pool.
    pub breaker: BreakerHandle,
    /// What becomes of copies of its requests, if there are any.
    pub mirror: Option<MirrorHandle>,
    /// Which share of its requests goes to a canary, if it has one.
    pub split: Option<RouteSplit>,
    /// Connections that went on in another protocol, if any may.
    pub tunnels: Option<Tunnels>,
}

/// A route's canary.
#[derive(Clone, Debug)]
pub struct RouteSplit {
    /// The pool that is the canary.
    pub canary: Arc<str>,
    /// How far its rollout is, and a hand on it.
    pub handle: SplitHandle,
}

/// One pool.
#[derive(Clone, Debug)]
pub struct PoolRoom {
    /// The pool's name.
    pub name: Arc<str>,
    /// Only copies lead to it: a gateway without it serves as well.
    pub spare: bool,
    /// The pool.
    pub router: Arc<dyn PoolView>,
    /// What is sent again to another of its endpoints.
    pub failover: FailoverHandle,
    /// What each endpoint takes, and how many connections to it go on in another protocol.
    pub times: PoolTimes,
    /// Whether any may.
    pub upgrades: bool,
    /// Who says which endpoints there are, if anybody does.
    pub discovery: Option<Discovery>,
}

/// What is read of a pool and done to it, whatever its endpoints are served by.
pub trait PoolView: Collect + fmt::Debug {
    /// The pool at this moment.
    fn snapshot(&self) -> PoolSnapshot;
    /// What it is set to.
    fn config(&self) -> route::Config;
    /// The state of the endpoint `id` at this moment.
    fn state(&self, id: &str) -> Option<EndpointState>;
    /// What is decided about endpoints, from now on.
    fn subscribe(&self) -> Subscription<Event>;
    /// Takes the endpoint `id` in hand, which `by` does; `false` if there is none.
    fn tell(&self, id: &str, told: Told, by: By) -> bool;
}

impl<S: fmt::Debug + Send + Sync> PoolView for RouterHandle<S> {
    fn snapshot(&self) -> PoolSnapshot {
        Self::snapshot(self)
    }

    fn config(&self) -> route::Config {
        Self::config(self)
    }

    fn state(&self, id: &str) -> Option<EndpointState> {
        Self::state(self, id)
    }

    fn subscribe(&self) -> Subscription<Event> {
        Self::subscribe(self)
    }

    fn tell(&self, id: &str, told: Told, by: By) -> bool {
        let handle = self.on_behalf_of(by);
        match told {
            Told::Active => handle.restore(id),
            Told::ForcedOut => handle.eject(id),
            Told::Draining => handle.drain(id),
        }
    }
}

/// What the endpoints take to answer, and their tunnels where there may be any.
impl Collect for PoolRoom {
    fn collect(&self, into: &mut Vec<Family>) {
        let mut family = Family::new(
            "buttress_endpoint_head_duration_seconds",
            Kind::Histogram,
            "From when a request is sent to the endpoint until the head of its answer, or until there will be none.",
        );
        let mut tunnels = Family::new(
            "buttress_endpoint_tunnels",
            Kind::Gauge,
            "Connections to the endpoint that go on in another protocol after an upgrade, open now.",
        );
        let labels = |endpoint: &str| {
            vec![
                ("pool", Cow::Owned(self.name.to_string())),
                ("endpoint", Cow::Owned(endpoint.to_owned())),
            ]
        };
        // Beside those in the pool the ones that left it, which still have some.
        let mut left = self.times.tunnels();
        for endpoint in self.router.snapshot().endpoints {
            let Some(times) = self.times.get(&endpoint.id) else {
                continue;
            };
            left.retain(|(id, _)| *id != endpoint.id);
            let histogram = Histogram::from(&times.total());
            family.push(labels(&endpoint.id), Value::Histogram(histogram));
            tunnels.push(labels(&endpoint.id), gauge(times.tunnels()));
        }
        for (id, count) in left {
            tunnels.push(labels(&id), gauge(count));
        }
        into.push(family);
        if self.upgrades {
            into.push(tunnels);
        }
    }
}

impl RouteRoom {
    /// What share of the route's requests goes to `pool` at this moment, 0 to 1.
    pub fn share_of(&self, pool: &str) -> f64 {
        let split = self.split.as_ref();
        let canary = split.map_or(0.0, |it| it.handle.snapshot().share);
        match split {
            Some(split) if *split.canary == *pool => canary,
            _ if *self.pool == *pool => 1.0 - canary,
            _ => 0.0,
        }
    }
}

impl PoolRoom {
    /// The rolling windows of what the endpoint `id` takes, the shortest first.
    pub fn windows(&self, id: &str) -> Vec<WindowSnapshot> {
        let times = self.times.get(id);
        times.map_or_else(Vec::new, |times| times.windows())
    }
}

impl Rooms {
    /// The pool called `name`.
    pub fn pool(&self, name: &str) -> Option<&PoolRoom> {
        self.pools.iter().find(|pool| &*pool.name == name)
    }

    /// The route called `name`.
    pub fn route(&self, name: &str) -> Option<&RouteRoom> {
        self.routes.iter().find(|route| &*route.name == name)
    }
}

/// What a pool's endpoints make of its health: one that serves is enough to serve.
pub fn health_of(pool: &PoolSnapshot) -> HealthStatus {
    let serving = pool.endpoints.iter().filter(|each| serves(each)).count();
    match serving {
        0 => HealthStatus::Unhealthy,
        all if all == pool.endpoints.len() => HealthStatus::Healthy,
        _ => HealthStatus::Degraded,
    }
}

/// Whether an endpoint is given ordinary traffic and deserves it. One that only stays because the
/// budget bears no further ejection does not serve.
pub fn serves(endpoint: &EndpointSnapshot) -> bool {
    endpoint.state == EndpointState::Active && !endpoint.suspect
}
