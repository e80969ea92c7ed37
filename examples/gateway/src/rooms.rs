//! The handles of all that a gateway runs, for whoever reads: metrics, health, status, the table.

use std::sync::Arc;

use buttress::breaker::BreakerHandle;
use buttress::core::health::HealthStatus;
use buttress::core::verdict::Action;
use buttress::correlation::CorrelationHandle;
use buttress::latency::{LatencyHandle, LatencySnapshot, RouteSnapshot};
use buttress::route::{EndpointSnapshot, EndpointState, PoolSnapshot, RouterHandle};

use crate::stack::EndpointStack;

/// The rooms of one gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// IDs taken and minted.
    pub correlation: CorrelationHandle,
    /// What clients see, by route.
    pub latency: LatencyHandle,
    /// What endpoints take, under [`endpoint_series`].
    pub endpoints: LatencyHandle,
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
    /// The breaker over its pool.
    pub breaker: BreakerHandle,
}

/// One pool.
#[derive(Clone, Debug)]
pub struct PoolRoom {
    /// The pool's name.
    pub name: Arc<str>,
    /// The pool.
    pub router: RouterHandle<EndpointStack>,
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

/// The name under which an endpoint's own latency is recorded.
pub fn endpoint_series(pool: &str, endpoint: &str) -> String {
    format!("{pool} {endpoint}")
}

/// What was recorded of an endpoint.
pub fn of_endpoint<'a>(
    endpoints: &'a LatencySnapshot,
    pool: &str,
    endpoint: &str,
) -> Option<&'a RouteSnapshot> {
    endpoints.route(&endpoint_series(pool, endpoint))
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
    let verdict = endpoint.last_verdict.as_ref();
    let kept = verdict.is_some_and(|verdict| matches!(verdict.action, Action::Suppressed(_)));
    endpoint.state == EndpointState::Active && !kept
}
