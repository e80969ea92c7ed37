//! The layers, composed: what a request passes, from the outermost to the client.
//!
//! ```text
//! Ingress        one Host, one route, no hop-by-hop header
//! Correlation    one ID, echoed on whatever comes back
//! ServerSpan     a span where a collector is configured; nothing where none is
//! AccessLog      a line for each exchange, where asked for
//! Dispatch       to the route's own stack; refusals become problems
//!   Named          which route it is, for span and line
//!   Latency        what the client sees, to the end of the body
//!   Breaker        the pool as a whole
//!   HealthRouter   one endpoint of it
//!     Timed          what that endpoint takes
//!     Propagate      the ID on what goes out
//!     TracePropagate a span of its own for the attempt, and its headers
//!     Origin         timeouts, client
//! ```
//!
//! A pool is one pool however many routes lead to it; a breaker belongs to its route.

use std::sync::Arc;

use buttress::breaker::{Breaker, BreakerService};
use buttress::core::clock::Clock;
use buttress::core::config::ConfigError;
use buttress::core::protocol::Http;
use buttress::core::rng::Rng;
use buttress::correlation::{self, Correlation, CorrelationLayer, Propagate, PropagateLayer};
use buttress::latency::{self, Latency, LatencyHandle, LatencyLayer};
use buttress::route::{Endpoint, HealthRouter};
use buttress::telemetry::access::{AccessLog, AccessLogLayer};
use buttress::telemetry::trace::{
    ServerSpan, ServerSpanLayer, TracePropagate, TracePropagateLayer,
};
use tower_layer::Layer;

use crate::config::{self, Config, HostPolicy, Pool, Route};
use crate::dispatch::Dispatch;
use crate::ingress::Ingress;
use crate::named::Named;
use crate::rooms::{PoolRoom, Rooms, RouteRoom};
use crate::settings;
use crate::timed::{HeadTimes, Timed};
use crate::upstream::{Origin, OriginConfig};

/// What serves one endpoint.
pub type EndpointStack = Timed<Propagate<TracePropagate<Origin>>>;
/// What serves one route.
pub type RouteStack = Named<Latency<BreakerService<HealthRouter<EndpointStack>, Http>, Http>>;
/// What the public listener serves.
pub type Proxy = Ingress<Correlation<ServerSpan<AccessLog<Dispatch<RouteStack>>>>>;

/// What a gateway is given that no file says: for tests, simulation and embedding.
#[derive(Clone, Debug, Default)]
pub struct Seams {
    /// The clock that all layers read.
    pub clock: Clock,
    /// The generator that all layers draw from.
    pub rng: Rng,
    /// How latency is recorded; its clock is replaced by [`Seams::clock`].
    pub latency: latency::Config,
}

/// Builds the stack of a configuration, and the handles of all that is in it.
pub fn build(config: &Config, seams: Seams) -> Result<(Proxy, Rooms), ConfigError> {
    let trust = settings::trust(config.correlation.trust);
    let correlation = CorrelationLayer::new(correlation::Config::new().trust(trust.clone()));
    let build = Build::new(config, seams)?;
    let pools = config.pools.iter().map(|pool| build.pool(pool));
    let pools = pools.collect::<Result<Vec<_>, _>>()?;
    let (routers, pools): (Vec<_>, Vec<_>) = pools.into_iter().unzip();
    let (stacks, routes) = build.routes(&config.routes, &routers)?;

    let logged = AccessLogLayer::new()
        .clock(build.clock.clone())
        .layer(Dispatch::new(stacks));
    let spanned = ServerSpanLayer::new().trust(trust).layer(logged);
    let proxy = Ingress::new(correlation.layer(spanned), config);
    let rooms = Rooms {
        correlation: correlation.handle(),
        latency: build.latency,
        routes: routes.into(),
        pools: pools.into(),
    };
    Ok((proxy, rooms))
}

/// What all pools and routes are built from.
struct Build {
    host: HostPolicy,
    clock: Clock,
    rng: Rng,
    latency: LatencyHandle,
}

impl Build {
    fn new(config: &Config, seams: Seams) -> Result<Self, ConfigError> {
        let Seams {
            clock,
            rng,
            latency,
        } = seams;
        Ok(Self {
            host: config.forwarded.host,
            latency: LatencyHandle::new(latency.clock(clock.clone()))?,
            clock,
            rng,
        })
    }

    fn routes(
        &self,
        routes: &[Route],
        routers: &[HealthRouter<EndpointStack>],
    ) -> Result<(Vec<RouteStack>, Vec<RouteRoom>), ConfigError> {
        let mut stacks = Vec::with_capacity(routes.len());
        let mut rooms = Vec::with_capacity(routes.len());
        for route in routes {
            let Some(router) = routers.get(route.pool) else {
                continue;
            };
            let breaker = self.breaker(route)?;
            rooms.push(RouteRoom {
                name: Arc::clone(breaker.name()),
                breaker: breaker.handle(),
            });
            stacks.push(self.route(route, &breaker, router.clone()));
        }
        Ok((stacks, rooms))
    }

    fn pool(&self, pool: &Pool) -> Result<(HealthRouter<EndpointStack>, PoolRoom), ConfigError> {
        let config = settings::router(pool)
            .clock(self.clock.clone())
            .rng(self.rng.clone());
        let timed: Vec<_> = pool
            .endpoints
            .iter()
            .map(|each| self.endpoint(pool, each))
            .collect();
        let times = timed
            .iter()
            .map(|(endpoint, times)| (Arc::clone(endpoint.id()), times.clone()));
        let times = times.collect();
        let router = HealthRouter::new(config, timed.into_iter().map(|(endpoint, _)| endpoint))?;
        let room = PoolRoom {
            name: pool.name.as_str().into(),
            router: router.handle(),
            times,
        };
        Ok((router, room))
    }

    fn endpoint(
        &self,
        pool: &Pool,
        endpoint: &config::Endpoint,
    ) -> (Endpoint<EndpointStack>, HeadTimes) {
        let how = OriginConfig::of(pool, self.host);
        let origin = Origin::new(endpoint.authority.clone(), how);
        let propagated = PropagateLayer::new().layer(TracePropagateLayer::new().layer(origin));
        let times = HeadTimes::new(self.clock.clone());
        let timed = Timed::new(propagated, times.clone());
        let endpoint = Endpoint::new(endpoint.address.as_str(), timed).weight(endpoint.weight);
        (endpoint, times)
    }

    fn breaker(&self, route: &Route) -> Result<Breaker, ConfigError> {
        let config = settings::breaker(&route.breaker)
            .clock(self.clock.clone())
            .rng(self.rng.clone());
        Breaker::new(route.name.as_str(), config)
    }

    fn route(
        &self,
        route: &Route,
        breaker: &Breaker,
        router: HealthRouter<EndpointStack>,
    ) -> RouteStack {
        let guarded = breaker.layer().layer(router);
        let timed = LatencyLayer::new(self.latency.clone())
            .route(&route.name)
            .layer(guarded);
        Named::new(&route.name, timed)
    }
}
